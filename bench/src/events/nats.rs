//! NATS: what sends, and the least that consumes, by the bare protocol.

use anyhow::{Context as _, Result};
use dayfly_testing::Nats;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// How many messages are asked for at once.
const TOGETHER: u64 = 64;

/// A client of a server.
pub(super) struct Client {
    authority: String,
    sender: Connection,
}

struct Connection {
    stream: BufStream<TcpStream>,
    line: String,
    data: Vec<u8>,
}

impl Connection {
    async fn open(authority: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let stream = BufStream::new(stream);
        let mut connection = Self { stream, line: String::new(), data: Vec::new() };
        connection.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n").await?;
        connection.settle().await?;
        Ok(connection)
    }

    async fn say(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn settle(&mut self) -> Result<()> {
        self.say("PING\r\n").await?;
        while self.read_line().await? != "PONG" {}
        Ok(())
    }

    async fn read_line(&mut self) -> Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        Ok(self.line.trim_end())
    }

    /// Reads the next message; where its answer goes, if it is to be answered.
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            let line = self.read_line().await?;
            let words: Vec<&str> = line.split(' ').collect();
            if !matches!(words[0], "MSG" | "HMSG") {
                continue;
            }
            let bytes: usize = words.last().context("a length")?.parse()?;
            let reply = words.iter().find(|word| word.starts_with("$JS.ACK")).copied();
            let reply = reply.map(str::to_owned);
            self.data.resize(bytes + 2, 0);
            self.stream.read_exact(&mut self.data).await?;
            return Ok(reply);
        }
    }
}

impl Client {
    pub(super) async fn new(nats: &Nats) -> Result<Self> {
        let authority = nats.authority();
        let sender = Connection::open(&authority).await?;
        nats.stream("native", "native-jetstream").await;
        let config = json!({ "durable_name": "native", "ack_policy": "explicit" });
        let consumer = json!({ "stream_name": "native", "config": config });
        nats.jetstream("CONSUMER.DURABLE.CREATE.native.native", &consumer).await;
        Ok(Self { authority, sender })
    }

    pub(super) async fn send(&mut self, to: &str, (text, count): (&str, u64)) -> Result<()> {
        let message = format!("PUB {to} {}\r\n{text}\r\n", text.len());
        let mut left = count;
        while left > 0 {
            let now = left.min(1000);
            self.sender.say(&message.repeat(usize::try_from(now)?)).await?;
            left -= now;
        }
        match count {
            1 => Ok(()),
            _ => self.sender.settle().await,
        }
    }

    pub(super) async fn subject_natively(&mut self, name: &str, events: u64) -> Result<()> {
        let mut consumer = Connection::open(&self.authority).await?;
        consumer.say(&format!("SUB {name} 1\r\n")).await?;
        consumer.settle().await?;
        let taken = async {
            for _ in 0..events {
                consumer.next().await?;
            }
            Ok(())
        };
        tokio::try_join!(self.send(name, (super::TEXT, events)), taken).map(drop)
    }

    pub(super) async fn stream_natively(&mut self, name: &str, events: u64) -> Result<()> {
        let mut consumer = Connection::open(&self.authority).await?;
        consumer.say("SUB _INBOX.native 1\r\n").await?;
        let ask = json!({ "batch": TOGETHER, "expires": 10_000_000_000_u64 }).to_string();
        let ask = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.native.native _INBOX.native {}\r\n{ask}\r\n",
            ask.len()
        );
        let taken = async {
            let mut taken = 0;
            while taken < events {
                consumer.say(&ask).await?;
                for _ in 0..TOGETHER.min(events - taken) {
                    let reply = consumer.next().await?.context("a message")?;
                    consumer.say(&format!("PUB {reply} 4\r\n+ACK\r\n")).await?;
                    taken += 1;
                }
            }
            consumer.settle().await
        };
        tokio::try_join!(self.send(name, (super::TEXT, events)), taken).map(drop)
    }
}
