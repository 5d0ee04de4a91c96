//! HTTP: what puts messages by requests.

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The route that leads into a queue.
pub(super) const ROUTE: &str = "/put";

/// A client of the server that is measured.
#[derive(Default)]
pub(super) struct Client {
    port: u16,
}

impl Client {
    pub(super) const fn new(port: u16) -> Self {
        Self { port }
    }

    pub(super) async fn send(&self, path: &str, (text, count): (&str, u64)) -> Result<()> {
        for _ in 0..count {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            ensure!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        }
        Ok(())
    }
}
