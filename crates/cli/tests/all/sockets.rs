//! TCP and UDP sockets, as granted; listening never is.

use dayfly_testing::{App, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::dayfly;

/// A server that sends back in capitals what it was sent, until the client is done.
async fn tcp_echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            if stream.read_to_string(&mut text).await.is_ok() {
                let _ = stream.write_all(text.to_uppercase().as_bytes()).await;
            }
        }
    });
    port
}

async fn udp_echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]).to_uppercase();
            let _ = socket.send_to(text.as_bytes(), from).await;
        }
    });
    port
}

async fn granted(hosts: &[String]) -> (App, Running) {
    let app = App::granted("rust-http", &format!("allowed_outbound_hosts = {hosts:?}"));
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

fn tcp(port: u16) -> String {
    format!("/tcp?addr=127.0.0.1:{port}&send=hello&half_close=yes")
}

fn udp(port: u16) -> String {
    format!("/udp?addr=127.0.0.1:{port}&send=hello")
}

async fn refused(server: &Running, path: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    assert!(answer.text().contains("access-denied"), "{path}: {}", answer.text());
}

#[tokio::test]
async fn granted_addresses_are_reached_by_tcp_and_udp() {
    let (tcp_port, udp_port) = (tcp_echo().await, udp_echo().await);
    let hosts = [format!("tcp://127.0.0.1:{tcp_port}"), format!("udp://127.0.0.1:{udp_port}")];
    let (_app, server) = granted(&hosts).await;
    assert_eq!(server.text(&tcp(tcp_port)).await, "HELLO");
    assert_eq!(server.text(&udp(udp_port)).await, "HELLO");
    server.stop().await;
}

#[tokio::test]
async fn a_scheme_for_all_grants_both() {
    let (tcp_port, udp_port) = (tcp_echo().await, udp_echo().await);
    let (_app, server) = granted(&["*://127.0.0.0/8:*".to_owned()]).await;
    assert_eq!(server.text(&tcp(tcp_port)).await, "HELLO");
    assert_eq!(server.text(&udp(udp_port)).await, "HELLO");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let (tcp_port, udp_port) = (tcp_echo().await, udp_echo().await);
    let hosts = [format!("udp://127.0.0.1:{tcp_port}"), format!("tcp://127.0.0.1:{udp_port}")];
    let (_app, server) = granted(&hosts).await;
    refused(&server, &tcp(tcp_port)).await;
    refused(&server, &udp(udp_port)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_wildcard_reaches_no_private_address() {
    let (tcp_port, udp_port) = (tcp_echo().await, udp_echo().await);
    let (_app, server) = granted(&["*://*:*".to_owned()]).await;
    refused(&server, &tcp(tcp_port)).await;
    refused(&server, &udp(udp_port)).await;
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_granted_by_default() {
    let port = tcp_echo().await;
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    refused(&server, &tcp(port)).await;
    assert_eq!(server.get(&udp(port)).await.status, 502);
    assert_eq!(server.get("/resolve?name=localhost").await.status, 502);
    server.stop().await;
}

#[tokio::test]
async fn names_resolve_where_something_is_granted() {
    let (_app, server) = granted(&["*://localhost:*".to_owned()]).await;
    let addresses = server.text("/resolve?name=localhost").await;
    assert!(addresses.lines().any(|address| address == "127.0.0.1"), "{addresses}");
    server.stop().await;
}
