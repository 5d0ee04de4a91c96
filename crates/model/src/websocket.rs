//! Routes whose connections become WebSockets.

use std::time::Duration;

use crate::events::Output;

/// How the WebSockets of one route are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Websocket {
    /// The origins whose pages may connect beside those of the same host, `https://example.com`; `*`
    /// stands for all.
    pub origins: Vec<String>,
    /// The topics that each connection joins by itself.
    pub join: Vec<String>,
    /// Where the handler's answers go, in place of the connection.
    pub output: Option<Output>,
    /// How many connections the route has at once; only the process bounds them if there is none.
    pub connections: Option<u32>,
    /// The longest message that a client sends, in bytes.
    pub message_bytes: u64,
    /// How much may wait for a client to take it, in bytes.
    pub queue_bytes: u64,
    /// How many topics one connection is in.
    pub topics: u32,
    /// How long a client may be silent before it is asked whether it is still there.
    pub ping: Duration,
    /// How long a client may be silent before it counts as gone.
    pub idle: Duration,
}

impl Default for Websocket {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            join: Vec::new(),
            output: None,
            connections: None,
            message_bytes: 128 << 10,
            queue_bytes: 1 << 20,
            topics: 64,
            ping: Duration::from_secs(30),
            idle: Duration::from_secs(75),
        }
    }
}

/// The longest name of a topic, in bytes.
pub const TOPIC_BYTES: usize = 256;

/// Whether a text can name a topic.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOPIC_BYTES && !text.contains(char::is_control)
}

/// Whether a text is an origin as browsers send it: a scheme and a host, with a port unless it is the
/// scheme's own.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    is_scheme && !host.is_empty() && host.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_urls() {
        for origin in ["https://example.com", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in ["example.com", "https://", "https://a/", "https://A", "*", "null", "//a"] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
