//! wasi:sockets 0.3.

use std::net::SocketAddr;

use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
    UdpSocket,
};
use wasip3::wit_bindgen::spawn_local;
use wasip3::wit_stream;

use crate::Outcome;
use crate::output::{copy, print};

/// Sends a text, ends its side, and prints what comes back.
pub async fn tcp(address: &str, text: &str) -> Outcome {
    let (family, address) = parse(address)?;
    let socket = TcpSocket::create(family).map_err(name)?;
    socket.connect(address).await.map_err(name)?;
    let (mut sender, reader) = wit_stream::new();
    let sent = socket.send(reader);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
    });
    let (answer, received) = socket.receive();
    sent.await.map_err(name)?;
    copy(Vec::new(), answer).await?;
    received.await.map_err(name)
}

/// Sends one datagram and prints the next that comes.
pub async fn udp(address: &str, text: &str) -> Outcome {
    let (family, address) = parse(address)?;
    let socket = UdpSocket::create(family).map_err(name)?;
    socket.send(text.as_bytes().to_vec(), Some(address)).await.map_err(name)?;
    let (answer, _) = socket.receive().await.map_err(name)?;
    print(&String::from_utf8_lossy(&answer)).await
}

pub async fn resolve(host: &str) -> Outcome {
    let addresses =
        resolve_addresses(host.to_owned()).await.map_err(|error| format!("{error:?}"))?;
    print(&addresses.iter().map(|address| format!("{address:?}\n")).collect::<String>()).await
}

/// Makes many sockets at once, and says how often that went well.
pub async fn sockets(times: &str) -> Outcome {
    let times: usize = times.parse().map_err(|error| format!("{error}"))?;
    let mut made = Vec::new();
    let mut refused = String::new();
    for _ in 0..times {
        match TcpSocket::create(IpAddressFamily::Ipv4) {
            Ok(socket) => made.push(socket),
            Err(error) => refused = name(error),
        }
    }
    print(&format!("{} {refused}\n", made.len())).await
}

fn parse(text: &str) -> Result<(IpAddressFamily, IpSocketAddress), String> {
    Ok(match text.parse().map_err(|error| format!("{text}: {error}"))? {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            let address = Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            let address = Ipv6SocketAddress {
                port: address.port(),
                flow_info: address.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: address.scope_id(),
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    })
}

fn name(error: ErrorCode) -> String {
    format!("{error:?}")
}
