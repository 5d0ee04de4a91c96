//! TCP, UDP and name look-ups through `wasi:sockets`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::{InputStream, OutputStream, ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::OutgoingDatagram;
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::exchange::{Exchange, Failure, wit_failure};

/// Connects to `addr` (`IP:PORT`), sends `send`, and answers what comes back until the peer closes.
/// `half_close=yes` closes the sending side first.
pub fn tcp(exchange: &mut Exchange) -> Result<(), Failure> {
    let address: SocketAddr = exchange.required("addr")?.parse()?;
    let socket = create_tcp_socket(family(address)).map_err(|e| wit_failure("socket", e))?;
    let (mut input, mut output) =
        connect(&socket, address).map_err(|error| wit_failure("connect", error))?;
    output.write_all(exchange.query("send").unwrap_or_default().as_bytes())?;
    output.flush()?;
    if exchange.query("half_close").is_some() {
        socket.shutdown(ShutdownType::Send).map_err(|e| wit_failure("shutdown", e))?;
    }
    let mut answer = Vec::new();
    input.read_to_end(&mut answer)?;
    exchange.text(&String::from_utf8_lossy(&answer))
}

fn connect(
    socket: &TcpSocket,
    address: SocketAddr,
) -> Result<(InputStream, OutputStream), ErrorCode> {
    socket.start_connect(&instance_network(), socket_address(address))?;
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            done => return done,
        }
    }
}

/// Sends `send` as one datagram to `addr` and answers the first that comes back.
pub fn udp(exchange: &mut Exchange) -> Result<(), Failure> {
    let address: SocketAddr = exchange.required("addr")?.parse()?;
    let data = exchange.query("send").unwrap_or_default().into_bytes();
    let answer = ask(address, data).map_err(|error| wit_failure("udp", error))?;
    exchange.text(&String::from_utf8_lossy(&answer))
}

fn ask(address: SocketAddr, data: Vec<u8>) -> Result<Vec<u8>, ErrorCode> {
    let socket = create_udp_socket(family(address))?;
    let any = SocketAddr::new(unspecified(address), 0);
    socket.start_bind(&instance_network(), socket_address(any))?;
    while let Err(error) = socket.finish_bind() {
        match error {
            ErrorCode::WouldBlock => socket.subscribe().block(),
            other => return Err(other),
        }
    }
    let (incoming, outgoing) = socket.stream(Some(socket_address(address)))?;
    while outgoing.check_send()? == 0 {
        outgoing.subscribe().block();
    }
    outgoing.send(&[OutgoingDatagram { data, remote_address: None }])?;
    loop {
        if let Some(datagram) = incoming.receive(1)?.pop() {
            return Ok(datagram.data);
        }
        incoming.subscribe().block();
    }
}

/// The addresses of `name`, one a line.
pub fn resolve(exchange: &mut Exchange) -> Result<(), Failure> {
    let name = exchange.required("name")?;
    let found = resolve_addresses(&instance_network(), &name)
        .map_err(|error| wit_failure("resolve", error))?;
    let mut lines = Vec::new();
    loop {
        match found.resolve_next_address() {
            Ok(Some(address)) => lines.push(line(address)),
            Ok(None) => return exchange.text(&lines.concat()),
            Err(ErrorCode::WouldBlock) => found.subscribe().block(),
            Err(error) => return Err(wit_failure("resolve", error)),
        }
    }
}

fn line(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => format!("{}\n", std::net::Ipv4Addr::new(a, b, c, d)),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
            format!("{}\n", std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h))
        }
    }
}

fn unspecified(address: SocketAddr) -> std::net::IpAddr {
    match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn family(address: SocketAddr) -> IpAddressFamily {
    match address {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

fn socket_address(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}
