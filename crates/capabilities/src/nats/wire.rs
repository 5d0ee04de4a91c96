//! What a NATS server sends (<https://docs.nats.io/reference/reference-protocols/nats-protocol>), read from
//! whatever bytes have come. Nothing is read or written here.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::Value;
use thiserror::Error as ThisError;

/// The longest line that a server may send, and the longest headers of a message, in bytes.
pub(super) const LINE_BYTES: usize = 64 << 10;

/// What ends a line.
pub(super) const END: &[u8] = b"\r\n";

/// Why a connection is of no use any more.
#[derive(Debug, ThisError)]
pub(crate) enum Broken {
    #[error("the connection broke off")]
    Closed(#[source] Option<io::Error>),
    #[error("the server does not speak NATS")]
    Protocol,
    /// Which says nothing of how it was logged in to.
    #[error("the server says: {0}")]
    Said(String),
}

/// A message of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The number of the subscription.
    pub subscription: u64,
    /// The subject that it was sent to.
    pub subject: String,
    /// Where replies to it go.
    pub reply: Option<String>,
    /// Its headers as they came.
    pub headers: Bytes,
    /// What it carries.
    pub data: Bytes,
    /// Whether it is larger than is taken; its headers and data are left out then.
    pub is_too_large: bool,
}

/// Whatever a server sends.
pub(super) enum Line {
    Info(Value),
    Ping,
    Pong,
    Fine,
    Message(Incoming),
    /// A message that is too large, and how many bytes of it are to come.
    TooLarge(Incoming, usize),
}

/// Reads what a server sends, in pieces of so many bytes.
#[cfg(fuzzing)]
pub fn fuzz(sent: &[u8], piece: usize) -> usize {
    const MOST: usize = 4 << 20;
    let mut read = BytesMut::new();
    let mut lines = 0;
    for piece in sent.chunks(piece.max(1)) {
        read.extend_from_slice(piece);
        loop {
            match parse(&mut read, MOST) {
                Ok(Some(_)) => lines += 1,
                Ok(None) => break,
                Err(_) => return lines,
            }
        }
    }
    lines
}

/// Takes what comes first, if all of it is there. A message may have so many bytes at `most`.
pub(super) fn parse(read: &mut BytesMut, most: usize) -> Result<Option<Line>, Broken> {
    let Some(end) = read.windows(END.len()).position(|two| two == END) else {
        return if read.len() > LINE_BYTES { Err(Broken::Protocol) } else { Ok(None) };
    };
    // Who publishes may put anything into a subject.
    let line = String::from_utf8_lossy(&read[..end]).into_owned();
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
    let said = match verb.to_ascii_uppercase().as_str() {
        "MSG" => return message(read, (&line, false), most),
        "HMSG" => return message(read, (&line, true), most),
        "INFO" => Line::Info(serde_json::from_str(rest).map_err(|_| Broken::Protocol)?),
        "PING" => Line::Ping,
        "PONG" => Line::Pong,
        "+OK" => Line::Fine,
        "-ERR" => return Err(Broken::Said(rest.trim().trim_matches('\'').to_owned())),
        _ => return Err(Broken::Protocol),
    };
    read.advance(end + END.len());
    Ok(Some(said))
}

/// Takes a message, which the line begins that comes first; whether it has headers.
fn message(
    read: &mut BytesMut,
    (line, has_headers): (&str, bool),
    most: usize,
) -> Result<Option<Line>, Broken> {
    let words: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
    let number = |word: &str| word.parse::<usize>().map_err(|_| Broken::Protocol);
    let (rest, header_bytes, bytes) = match (words.as_slice(), has_headers) {
        ([rest @ .., bytes], false) => (rest, 0, number(bytes)?),
        ([rest @ .., headers, bytes], true) => (rest, number(headers)?, number(bytes)?),
        _ => return Err(Broken::Protocol),
    };
    let (subject, subscription, reply) = match rest {
        [subject, subscription] => (subject, subscription, None),
        [subject, subscription, reply] => (subject, subscription, Some((*reply).to_owned())),
        _ => return Err(Broken::Protocol),
    };
    let subscription = subscription.parse().map_err(|_| Broken::Protocol)?;
    let end = read.windows(END.len()).position(|two| two == END).ok_or(Broken::Protocol)?;
    if header_bytes > bytes {
        return Err(Broken::Protocol);
    }
    let (headers, data, subject) = (Bytes::new(), Bytes::new(), (*subject).to_owned());
    let message = Incoming { subscription, subject, reply, headers, data, is_too_large: false };
    if header_bytes > LINE_BYTES || bytes > most {
        read.advance(end + END.len());
        let left = bytes.checked_add(END.len()).ok_or(Broken::Protocol)?;
        return Ok(Some(Line::TooLarge(Incoming { is_too_large: true, ..message }, left)));
    }
    let whole = end + bytes + 2 * END.len();
    if read.len() < whole {
        read.reserve(whole - read.len());
        return Ok(None);
    }
    read.advance(end + END.len());
    let mut data = read.split_to(bytes).freeze();
    if !read.starts_with(END) {
        return Err(Broken::Protocol);
    }
    read.advance(END.len());
    let headers = data.split_to(header_bytes);
    Ok(Some(Line::Message(Incoming { headers, data, ..message })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 20;

    fn read(bytes: &[u8]) -> Result<Option<Line>, Broken> {
        let mut read = BytesMut::from(bytes);
        let line = parse(&mut read, MOST)?;
        assert!(line.is_none() || read.is_empty());
        Ok(line)
    }

    #[test]
    fn messages_are_read() {
        let Ok(Some(Line::Message(plain))) = read(b"MSG a.b 7 _INBOX.x 5\r\nhello\r\n") else {
            panic!("no message");
        };
        assert_eq!((plain.subscription, plain.subject.as_str()), (7, "a.b"));
        assert_eq!((plain.reply.as_deref(), &plain.data[..]), (Some("_INBOX.x"), &b"hello"[..]));
        let text = b"HMSG a 1 19 20\r\nNATS/1.0\r\nA: bc\r\n\r\nx\r\n";
        let Ok(Some(Line::Message(headed))) = read(text) else { panic!("no message") };
        assert_eq!(
            (&headed.headers[..], &headed.data[..]),
            (&b"NATS/1.0\r\nA: bc\r\n\r\n"[..], &b"x"[..])
        );
        assert!(matches!(read(b"pong\r\n"), Ok(Some(Line::Pong))));
        assert!(matches!(read(b"MSG \xff 1 0\r\n\r\n"), Ok(Some(Line::Message(_)))));
    }

    #[test]
    fn what_is_not_whole_is_waited_for() {
        for part in [&b""[..], b"MSG a 1 5", b"MSG a 1 5\r\n", b"MSG a 1 5\r\nhello", b"PON"] {
            assert!(matches!(read(part), Ok(None)), "{part:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_told_and_not_kept() {
        for line in ["MSG a 1 1048577\r\n", "HMSG a 1 65537 70000\r\n"] {
            let Ok(Some(Line::TooLarge(message, left))) = read(line.as_bytes()) else {
                panic!("{line}");
            };
            assert!(message.is_too_large && message.data.is_empty() && left > 70_000, "{line}");
        }
    }

    #[test]
    fn nonsense_ends_it() {
        for text in [
            "HTTP/1.1 200 OK\r\n",
            "MSG a 1\r\n",
            "MSG a x 1\r\n",
            "MSG a 1 b c d 1\r\n",
            "HMSG a 1 9 1\r\n",
            "MSG a 1 18446744073709551615\r\n",
            "MSG a 1 1\r\nab\r\n",
            "INFO {\r\n",
        ] {
            assert!(matches!(read(text.as_bytes()), Err(Broken::Protocol)), "{text}");
        }
        let endless = "x".repeat(LINE_BYTES + 1);
        assert!(matches!(read(endless.as_bytes()), Err(Broken::Protocol)));
        let Err(Broken::Said(text)) = read(b"-ERR 'Authorization Violation'\r\n") else {
            panic!("no error");
        };
        assert_eq!(text, "Authorization Violation");
    }
}
