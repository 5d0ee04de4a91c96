//! Taking what is scarce, and keeping it.

use std::hint::black_box;
use std::mem::forget;

use wasip2::cli::{environment, stdout};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

/// What is asked for in one piece.
pub fn memory() -> String {
    let mut piece: Vec<u8> = Vec::with_capacity(1 << 30);
    piece.resize(1 << 30, 1);
    black_box(&piece).len().to_string()
}

/// A page at a time, each of them written to.
pub fn memory_slowly() -> String {
    let mut pieces = Vec::new();
    loop {
        pieces.push(vec![1_u8; 64 << 10]);
        black_box(&pieces);
    }
}

pub fn fields() {
    loop {
        forget(Fields::new());
    }
}

pub fn pollables() {
    loop {
        forget(subscribe_duration(3_600_000_000_000));
    }
}

pub fn streams() {
    loop {
        forget(stdout::get_stdout());
    }
}

/// Requests to the authority behind `?`, none of which is waited for; how many could be sent.
pub fn requests(target: &str) -> String {
    let authority = target.split_once('?').map_or("127.0.0.1:1", |(_, authority)| authority);
    let mut sent = 0;
    for _ in 0..5000 {
        let request = OutgoingRequest::new(Fields::new());
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some(authority));
        let _ = request.set_path_with_query(Some("/"));
        match handle(request, None) {
            Ok(response) => {
                response.subscribe().block();
                match response.get() {
                    Some(Ok(Ok(_))) => sent += 1,
                    other => return format!("{sent} {other:?}"),
                }
            }
            Err(error) => return format!("{sent} {error:?}"),
        }
    }
    sent.to_string()
}

/// Opens the first granted folder's file `file` as often as it can; what it has then, and how that
/// ended.
pub fn files() -> (Vec<Descriptor>, String) {
    let folders = get_directories();
    let mut opened = Vec::new();
    let Some((folder, _)) = folders.first() else { return (opened, "no folder".to_owned()) };
    loop {
        let flags = (PathFlags::empty(), OpenFlags::empty(), DescriptorFlags::READ);
        match folder.open_at(flags.0, "file", flags.1, flags.2) {
            Ok(file) => opened.push(file),
            Err(error) => {
                let text = format!("{} {error:?}", opened.len());
                return (opened, text);
            }
        }
    }
}

/// Has the granted folders handed over again and again.
pub fn folders() {
    loop {
        forget(get_directories());
    }
}

/// Makes sockets as long as it can; what it has then, and how that ended.
pub fn sockets() -> (Vec<TcpSocket>, String) {
    let mut made = Vec::new();
    loop {
        match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(socket) => made.push(socket),
            Err(error) => {
                let text = format!("{} {error:?}", made.len());
                return (made, text);
            }
        }
    }
}

/// Opens the file and makes a socket a hundred times, and keeps none of them.
pub fn one_by_one() -> String {
    let folders = get_directories();
    let flags = (PathFlags::empty(), OpenFlags::empty(), DescriptorFlags::READ);
    for round in 0..100 {
        let file = folders[0].0.open_at(flags.0, "file", flags.1, flags.2);
        let tcp = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4);
        let udp = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4);
        if file.is_err() || tcp.is_err() || udp.is_err() {
            return format!("{round} {file:?} {tcp:?} {udp:?}");
        }
    }
    "100".to_owned()
}

pub fn lookups() -> String {
    let network = instance_network::instance_network();
    let mut asked = 0;
    loop {
        match ip_name_lookup::resolve_addresses(&network, "localhost") {
            Ok(stream) => forget(stream),
            Err(error) => return format!("{asked} {error:?}"),
        }
        asked += 1;
    }
}

/// Has the host make the same texts for ever.
pub fn environment() {
    loop {
        black_box(environment::get_environment());
    }
}
