//! What is listened to at a NATS server: a subject, or a stream of JetStream.

use std::fmt;
use std::time::Duration;

use crate::template::Template;

/// What is listened to at a NATS server.
#[derive(Debug, Clone)]
pub struct NatsSource {
    /// The server's address, `nats://…` or `tls://…`.
    pub address: Template,
    /// Where messages come from.
    pub from: NatsFrom,
}

/// Where messages come from at a NATS server.
#[derive(Debug, Clone)]
pub enum NatsFrom {
    /// Whatever is published to subjects while they are listened to.
    Subject {
        /// A subject, or subjects by `*` and `>`.
        subject: Template,
        /// The group that shares the messages: one of the app's and trigger's own unless stated, none
        /// if it is empty.
        group: Option<String>,
    },
    /// A stream, by a durable consumer.
    Stream(NatsStream),
}

/// A stream of JetStream.
#[derive(Debug, Clone)]
pub struct NatsStream {
    /// Its name.
    pub name: String,
    /// Which of its subjects; all of them unless stated.
    pub subject: Option<Template>,
    /// The consumer's name; the app's unless the manifest says another.
    pub durable: Option<String>,
    /// Whether a consumer that is made new begins with what the stream holds already.
    pub from_start: bool,
    /// After how long a message comes again of which nothing was heard.
    pub ack_wait: Duration,
    /// Whether the stream is made, of `subject`, if there is none.
    pub makes_it: bool,
}

impl NatsSource {
    /// Which subjects, if the manifest says.
    #[must_use]
    pub const fn subject(&self) -> Option<&Template> {
        match &self.from {
            NatsFrom::Subject { subject, .. } => Some(subject),
            NatsFrom::Stream(stream) => stream.subject.as_ref(),
        }
    }
}

/// Whether messages can be sent to a subject.
#[must_use]
pub fn is_subject(text: &str) -> bool {
    let words = text.split('.').all(|word| !matches!(word, "" | "*" | ">"));
    words && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether a text is a subject, or subjects by `*` for a word and `>` at the end for all that follow.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    let (before, last) = text.rsplit_once('.').unwrap_or(("*", text));
    let is_word = |word: &str| word == "*" || is_subject(word);
    before.split('.').all(is_word) && (last == ">" || is_word(last))
}

/// Whether a filter, with `*` for a word and `>` at the end for all that follow, takes a subject.
#[must_use]
pub fn takes(filter: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for word in filter.split('.') {
        match (word, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (word, Some(other)) if word == other => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

impl fmt::Display for NatsFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject { subject, .. } => write!(f, "{subject}"),
            Self::Stream(NatsStream { name, subject: None, .. }) => write!(f, "stream {name}"),
            Self::Stream(NatsStream { name, subject: Some(subject), .. }) => {
                write!(f, "stream {name} {subject}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_words() {
        for good in ["a", "a.b", "orders.new-1", "a*b", "größe"] {
            assert!(is_subject(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\r\nPUB x 0", "a\tb"] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }

    #[test]
    fn filters_are_subjects_or_many() {
        for good in ["a", "a.b", "*", ">", "a.*.b", "a.>", "*.>"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a.", ".a", ">.a", "a.>.b", "a b", "a\r\n"] {
            assert!(!is_filter(bad), "{bad:?}");
        }
    }

    #[test]
    fn filters_take_subjects() {
        for (filter, subject) in
            [("a", "a"), ("a.*", "a.b"), ("a.>", "a.b.c"), ("*.b", "a.b"), (">", "a")]
        {
            assert!(takes(filter, subject), "{filter} {subject}");
        }
        for (filter, subject) in
            [("a", "b"), ("a.*", "a"), ("a.>", "a"), ("a", "a.b"), ("a.*", "a.b.c")]
        {
            assert!(!takes(filter, subject), "{filter} {subject}");
        }
    }
}
