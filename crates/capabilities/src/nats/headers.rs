//! Headers of messages: a line with the version and perhaps a status, then a name and a value a line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The version that begins headers.
const VERSION: &str = "NATS/1.0";

/// The status of a request that nobody is there for.
pub const NOBODY: u16 = 503;

/// Headers as they are sent; nothing if there are none. `None` if one is not one that can be sent.
pub(crate) fn write<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<u8>> {
    let mut headers = String::new();
    for (name, value) in pairs {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_name || value.contains(['\r', '\n', '\0']) {
            return None;
        }
        // Writing to a string cannot fail.
        let _ = write!(headers, "{name}: {value}\r\n");
    }
    Some(match headers.as_str() {
        "" => Vec::new(),
        headers => format!("{VERSION}\r\n{headers}\r\n").into_bytes(),
    })
}

/// The status of a message that carries one, and its words.
#[must_use]
pub fn status(headers: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(headers.get(..headers.len().min(256))?);
    let line = text.split("\r\n").next()?.strip_prefix(VERSION)?.trim();
    let (code, words) = line.split_once(' ').unwrap_or((line, ""));
    Some((code.parse().ok()?, words.trim().to_owned()))
}

/// The names and values of headers.
#[must_use]
pub fn read(headers: &[u8]) -> Vec<(String, String)> {
    let text: Cow<'_, str> = String::from_utf8_lossy(headers);
    let pairs = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let pairs = [("a", "1"), ("ce-id", "x: y")];
        let written = write(pairs.into_iter()).unwrap();
        assert_eq!(written, b"NATS/1.0\r\na: 1\r\nce-id: x: y\r\n\r\n");
        let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(&written), owned);
        assert_eq!(status(&written), None);
        assert_eq!(write([].into_iter()).unwrap(), b"");
    }

    #[test]
    fn what_would_add_a_line_is_not_written() {
        for pair in [("a", "1\r\nb: 2"), ("a b", "1"), ("a:", "1"), ("", "1")] {
            assert_eq!(write([pair].into_iter()), None, "{pair:?}");
        }
    }

    #[test]
    fn statuses_are_read() {
        let text = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n\r\n";
        assert_eq!(status(text), Some((408, "Request Timeout".to_owned())));
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some((503, String::new())));
        assert_eq!(status(b""), None);
    }
}
