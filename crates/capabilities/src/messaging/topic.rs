//! Topics, and which of them are open.

use super::error::Error;

/// The longest topic, in bytes.
pub(super) const TOPIC_BYTES: usize = 1024;

/// The topics of a client that are open: those that are listed, or all but those that servers keep
/// for themselves.
pub(super) struct Topics(Option<Vec<String>>);

impl Topics {
    pub(super) fn new(listed: Option<Vec<String>>) -> Self {
        Self(listed)
    }

    /// Whether messages may be sent to a topic. What a server makes of its words, the server's own
    /// code checks.
    pub(super) fn check(&self, topic: &str) -> Result<(), Error> {
        if topic.is_empty() || topic.len() > TOPIC_BYTES {
            return Err(Error::Topic("none of the server's own signs"));
        }
        let Some(listed) = &self.0 else {
            // `$SYS`, `$JS`, `$share`: by these, servers themselves are asked and told.
            let of_server = topic.starts_with('$') || topic.starts_with("_INBOX.");
            return if of_server { Err(Error::ClosedTopic) } else { Ok(()) };
        };
        let open = listed.iter().any(|listed| match listed.strip_suffix('*') {
            Some(beginning) => topic.starts_with(beginning),
            None => topic == listed,
        });
        if open { Ok(()) } else { Err(Error::ClosedTopic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(listed: &[&str], topic: &str) -> bool {
        let listed = listed.iter().map(|topic| (*topic).to_owned()).collect();
        Topics::new(Some(listed)).check(topic).is_ok()
    }

    fn is_open_by_default(topic: &str) -> bool {
        Topics::new(None).check(topic).is_ok()
    }

    #[test]
    fn topics_that_are_not_listed_are_closed() {
        assert!(is_open(&["orders", "mail.*"], "orders"));
        assert!(is_open(&["orders", "mail.*"], "mail.out"));
        for closed in ["order", "orders2", "mail", "Orders", "", " orders"] {
            assert!(!is_open(&["orders", "mail.*"], closed), "{closed}");
        }
        assert!(is_open(&["$JS.API.INFO"], "$JS.API.INFO"));
        assert!(is_open(&["*"], "anything") && !is_open(&[], "anything"));
    }

    #[test]
    fn topics_of_servers_themselves_are_closed() {
        for closed in ["$SYS.REQ.SERVER.PING", "$JS.API.STREAM.DELETE.x", "_INBOX.a", ""] {
            assert!(!is_open_by_default(closed), "{closed}");
        }
        assert!(is_open_by_default("orders") && is_open_by_default("a$b"));
        assert!(!is_open_by_default(&"x".repeat(TOPIC_BYTES + 1)));
        assert!(is_open_by_default(&"x".repeat(TOPIC_BYTES)));
    }
}
