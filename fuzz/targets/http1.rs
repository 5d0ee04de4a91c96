//! One connection's bytes, through the whole server: whatever they are, the server answers in
//! HTTP or closes, never panics, never lets a second request see the first one's, and goes on
//! serving. A connection that begins with HTTP/2's preface is one of HTTP/2.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::Shutdown as Half;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dayfly_host::{
    Body, ClientBody, Connection, Handler, ListenAddr, Server, ServerConfig, Shutdown,
};
use http::{Request, Response, Version};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;

/// Reads the whole request and answers how long its body was.
struct Counts;

impl Handler for Counts {
    async fn handle(&self, request: Request<ClientBody>, _: &Arc<Connection>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        if head.version < Version::HTTP_2 {
            let headers = &head.headers;
            assert!(headers.get_all("host").iter().count() <= 1, "{head:?}");
            assert!(headers.get_all("content-length").iter().count() <= 1, "{head:?}");
            let codings = headers.get_all("transfer-encoding").iter().count();
            assert!(codings == 0 || !headers.contains_key("content-length"), "{head:?}");
            assert!(codings <= 1, "{head:?}");
        }
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, |data| data.len());
        }
        Response::new(Body::from(format!("{bytes}\n")))
    }
}

fn socket() -> &'static PathBuf {
    static SOCKET: OnceLock<PathBuf> = OnceLock::new();
    SOCKET.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("dayfly-fuzz-{}.sock", std::process::id()));
        let listen: ListenAddr = format!("unix:{}", path.display()).parse().unwrap();
        // On a busy machine the server may wait for a processor, and refusing is right then.
        let max_lag = Duration::from_secs(3600);
        let config =
            ServerConfig { listen: vec![listen], threads: 1, max_lag, ..ServerConfig::default() };
        let server = Server::bind(config).unwrap();
        std::thread::spawn(move || server.run(Arc::new(Counts), Shutdown::new()));
        path
    })
}

/// Sends bytes and reads until the server closes. A client that closes its side has left and gets
/// no answer, so it waits for a moment; what begins no whole request needs that end.
fn exchange(bytes: &[u8], end: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket()).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes);
    if end {
        std::thread::sleep(Duration::from_micros(200));
        let _ = stream.shutdown(Half::Write);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("a connection that the client ended stays open")
        }
        _ => answer,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let answer = exchange(bytes, true);
    if !bytes.starts_with(b"PRI * HTTP/2.0") {
        let good = answer.is_empty() || answer.starts_with(b"HTTP/1.");
        assert!(good, "{}", String::from_utf8_lossy(&answer));
    }
    let alive = exchange(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", false);
    assert!(alive.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&alive));
});
