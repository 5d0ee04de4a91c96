//! One who publishes to an MQTT broker, by version 3.1.1, and sends again what the broker has not
//! acknowledged, however often it is killed meanwhile.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long it may take until all is acknowledged, and how long after a connection broke off another is
/// made.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(20);

/// How many messages may be under way: brokers take so many of quality 2.
const WINDOW: usize = 20;

/// Types of packets, with their flags.
const CONNECT: u8 = 0x10;
const CONNECTED: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const ACKNOWLEDGED: u8 = 0x40;
const RECEIVED: u8 = 0x50;
const RELEASE: u8 = 0x62;
const COMPLETE: u8 = 0x70;

/// Publishes messages; all of them are acknowledged when this returns.
///
/// # Panics
/// If that takes too long.
pub(crate) async fn publish(port: u16, topic: String, messages: Vec<String>, qos: u8) {
    let mut left: BTreeMap<u16, String> = (1..).zip(messages).collect();
    let publishing = async {
        while !left.is_empty() {
            if session(port, &topic, qos, &mut left).await.is_err() {
                sleep(AGAIN).await;
            }
        }
    };
    timeout(PATIENCE, publishing).await.expect("the broker acknowledges in time");
}

async fn session(port: u16, topic: &str, qos: u8, left: &mut BTreeMap<u16, String>) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // Version 4, a clean session, no keep-alive, a name that the broker makes.
    let connect = [&text("MQTT")[..], &[4, 2, 0, 0], &text("")].concat();
    stream.write_all(&packet(CONNECT, &connect)).await?;
    if next(&mut stream).await? != (CONNECTED, 0) {
        return Err(Error::from(ErrorKind::ConnectionRefused));
    }
    let publication = |(number, message): (&u16, &String)| {
        let body = [&text(topic)[..], &number.to_be_bytes(), message.as_bytes()].concat();
        packet(PUBLISH | qos << 1, &body)
    };
    let all: Vec<Vec<u8>> = left.iter().map(publication).collect();
    let mut all = all.into_iter();
    let first: Vec<Vec<u8>> = all.by_ref().take(WINDOW).collect();
    stream.write_all(&first.concat()).await?;
    while !left.is_empty() {
        match next(&mut stream).await? {
            (ACKNOWLEDGED | COMPLETE, number) => {
                left.remove(&number);
                if let Some(one) = all.next() {
                    stream.write_all(&one).await?;
                }
            }
            (RECEIVED, number) => {
                stream.write_all(&packet(RELEASE, &number.to_be_bytes())).await?;
            }
            _ => return Err(Error::from(ErrorKind::InvalidData)),
        }
    }
    Ok(())
}

/// What comes next: all packets that are for who subscribes to nothing have two bytes.
async fn next(stream: &mut TcpStream) -> Result<(u8, u16)> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await?;
    Ok((bytes[0], u16::from_be_bytes([bytes[2], bytes[3]])))
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 128);
    [&[kind, length.expect("a short packet")][..], body].concat()
}
