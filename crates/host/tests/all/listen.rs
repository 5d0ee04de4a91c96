//! Addresses: several, taken ones, Unix sockets.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use dayfly_host::{ListenAddr, ListenError, LocalAddr, ServeError, Server, ServerConfig};

use crate::harness::{LONG, Running, config, connect, read_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const WHO: &str = "GET /who HTTP/1.1\r\nhost: a\r\n\r\n";

fn listen(addrs: &[&str]) -> ServerConfig {
    let listen = addrs.iter().map(|addr| addr.parse::<ListenAddr>().unwrap()).collect();
    ServerConfig { listen, ..config() }
}

fn refused(config: ServerConfig) -> ServeError {
    match Server::bind(config) {
        Ok(server) => panic!("listens on {:?}", server.local_addrs()),
        Err(error) => error,
    }
}

#[test]
fn several_addresses_are_served_by_every_thread() {
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}/s", dir.path().display());
    let server = Running::with(listen(&["127.0.0.1:0", "localhost:0", ":0", &unix]));
    assert!(server.addrs.len() >= 4);
    for addr in &server.addrs {
        let LocalAddr::Tcp(mut addr) = addr.clone() else { continue };
        if addr.ip().is_unspecified() {
            addr.set_ip("127.0.0.1".parse().unwrap());
        }
        // Many connections, so that each thread gets some.
        let mut connections: Vec<_> = (0..16).map(|_| connect(addr)).collect();
        for tcp in &mut connections {
            tcp.write_all(GET.as_bytes()).unwrap();
            read_until(tcp, "hello\n");
        }
    }
    assert!(server.stop().is_clean());
}

#[test]
fn connections_are_shared_out_evenly() {
    let server = Running::with(ServerConfig { threads: 4, ..config() });
    let mut connections: Vec<_> = (0..12).map(|_| server.connect()).collect();
    let mut workers = [0; 4];
    for tcp in &mut connections {
        tcp.write_all(b"GET /worker HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let answer = read_until(tcp, "\n.");
        let worker: usize =
            answer.rsplit_once('\n').unwrap().0.lines().last().unwrap().parse().unwrap();
        workers[worker] += 1;
    }
    // Two threads may accept at the very same moment and both think the same thread has fewest.
    assert!(workers.iter().all(|count| (2..=4).contains(count)), "{workers:?}");
}

#[test]
fn on_every_interface_a_connection_knows_its_own_address() {
    let server = Running::with(listen(&[":0"]));
    let port = server.addr().port();
    let mut tcp = connect(([127, 0, 0, 1], port).into());
    tcp.write_all(WHO.as_bytes()).unwrap();
    let answer = read_until(&mut tcp, "http/1");
    assert!(answer.contains(&format!("127.0.0.1:{port} http")), "{answer}");
}

#[test]
fn urls_are_such_as_reach_us() {
    let server = Server::bind(listen(&["127.0.0.1:0", "0.0.0.0:0", "unix:/tmp/../tmp/dayfly-x"]));
    let server = server.unwrap();
    let port = |index: usize| server.local_addrs()[index].tcp().unwrap().port();
    let urls: Vec<_> = server.urls().collect();
    assert_eq!(urls[0], format!("http://127.0.0.1:{}", port(0)));
    assert_eq!(urls[1], format!("http://localhost:{}", port(1)));
    assert!(urls[2].starts_with("unix:/tmp"), "{urls:?}");
}

#[test]
fn a_taken_port_is_refused_with_a_hint() {
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    shared.set_reuse_port(true).unwrap();
    shared.set_reuse_address(true).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    shared.bind(&any.into()).unwrap();
    shared.listen(1).unwrap();
    for threads in [1, 2] {
        let ours = Running::with(ServerConfig { threads, ..config() });
        for taken in [
            foreign.local_addr().unwrap(),
            shared.local_addr().unwrap().as_socket().unwrap(),
            ours.addr(),
        ] {
            let error = refused(listen(&[&taken.to_string()]));
            assert_eq!(error.to_string(), format!("`{taken}` is already in use"));
            assert!(error.hint().unwrap().contains("--listen"));
        }
    }
}

#[test]
fn the_same_address_twice_is_refused_and_nothing_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = refused(listen(&[&free, &free]));
    assert!(matches!(error, ServeError::Listen(ListenError::InUse { .. })), "{error:?}");
    TcpListener::bind(free).unwrap();
}

#[test]
fn other_refusals_say_why() {
    let error = refused(listen(&["192.0.2.1:0"]));
    assert_eq!(error.to_string(), "`192.0.2.1:0` is not an address of this machine");
    let error = refused(listen(&["name.invalid:0"]));
    assert_eq!(error.to_string(), "failed to resolve `name.invalid`");
    let error = refused(listen(&[]));
    assert_eq!(error.to_string(), "no address to listen on");
    let error = refused(listen(&["unix:/nowhere/at/all"]));
    assert_eq!(error.to_string(), "failed to listen on `unix:/nowhere/at/all`");
}

#[test]
fn a_unix_socket_serves_and_its_file_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = Running::with(listen(&[&format!("unix:{}?mode=640", path.display())]));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let mut unix = UnixStream::connect(&path).unwrap();
    unix.set_read_timeout(Some(LONG)).unwrap();
    unix.write_all(WHO.as_bytes()).unwrap();
    read_until(&mut unix, &format!("unix: unix:{} http http/1", path.display()));
    assert!(server.stop().is_clean());
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let addr = format!("unix:{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that nobody listens on");
    let server = Running::with(listen(&[&addr]));
    let error = refused(listen(&[&addr]));
    assert_eq!(error.to_string(), format!("`{addr}` is already in use"));
    assert!(path.exists(), "the refused one left the file alone");
    assert!(server.stop().is_clean());

    std::fs::write(&path, "precious").unwrap();
    let error = refused(listen(&[&addr]));
    assert_eq!(error.to_string(), format!("`{}` exists and is not a socket", path.display()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_socket_that_another_took_over_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = Running::with(listen(&[&format!("unix:{}", path.display())]));
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    assert!(server.stop().is_clean());
    assert!(path.exists());
}
