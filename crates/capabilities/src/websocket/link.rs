//! One connection as those see it who send to it: what waits for its client, and a waker for whoever
//! writes it, on whatever core that is.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;

use super::{Error, MESSAGE_BYTES, Terms};

/// A message, as clients see it. Clones share its bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl Message {
    /// The message that an answer of this media type is: text if the type says so or, where there is
    /// none, the message that it answers was; what is no UTF-8 is no text.
    pub fn of_answer(data: Bytes, content_type: Option<&str>, text: bool) -> Self {
        let text = match content_type.map(|it| it.split(';').next().unwrap_or_default().trim()) {
            None | Some("") => text,
            Some(media) => {
                let media = media.to_ascii_lowercase();
                media.starts_with("text/")
                    || media == "application/json"
                    || media.ends_with("+json")
            }
        };
        match text && std::str::from_utf8(&data).is_ok() {
            true => Self::Text(data),
            false => Self::Binary(data),
        }
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The same, with its bytes made anew.
    pub(super) fn map(self, make: impl FnOnce(Bytes) -> Bytes) -> Self {
        match self {
            Self::Text(bytes) => Self::Text(make(bytes)),
            Self::Binary(bytes) => Self::Binary(make(bytes)),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.bytes().len() > MESSAGE_BYTES { Err(Error::TooLarge) } else { Ok(()) }
    }
}

impl fmt::Debug for Message {
    /// Shows nothing of what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Text(_)) { "Text" } else { "Binary" };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(Message),
    /// The end, with a code and a reason.
    Close(u16, String),
}

/// One connection.
pub struct Link {
    pub(super) key: u128,
    pub(super) topics: Mutex<HashSet<Arc<str>>>,
    pub(super) most_topics: usize,
    pub(super) activation: u64,
    queue_bytes: usize,
    waiting: Mutex<Waiting>,
    writer: AtomicWaker,
}

/// What waits for a client.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    close: Option<(u16, String)>,
    /// Whether nothing more is taken in.
    is_closing: bool,
}

/// What one message takes beside its bytes.
const EACH: usize = 64;

impl Link {
    pub(super) fn new(key: u128, terms: Terms) -> Self {
        let Terms { queue_bytes, topics: most_topics, activation } = terms;
        let (topics, waiting, writer) = Default::default();
        Self { key, topics, most_topics, activation, queue_bytes, waiting, writer }
    }

    /// Its id, as events and guests have it.
    pub fn id(&self) -> String {
        format!("{:032x}", self.key)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message behind those that wait, if there is room.
    pub(super) fn send(&self, message: Message) -> Result<(), Error> {
        let mut waiting = self.waiting();
        if waiting.is_closing {
            return Err(Error::Gone);
        }
        if waiting.bytes > 0 && waiting.bytes + message.bytes().len() > self.queue_bytes {
            return Err(Error::Full);
        }
        waiting.push(message);
        drop(waiting);
        self.writer.wake();
        Ok(())
    }

    /// Whether all that was sent is taken, or being written.
    pub(super) fn waits_for_nothing(&self) -> bool {
        self.waiting().messages.is_empty()
    }

    /// Puts an answer behind the messages that wait, however many these are.
    pub(super) fn answer(&self, message: Message) {
        let mut waiting = self.waiting();
        if !waiting.is_closing {
            waiting.push(message);
        }
    }

    /// Closes once what waits was written.
    pub(super) fn close(&self, code: u16, reason: String) -> Result<(), Error> {
        let mut waiting = self.waiting();
        if std::mem::replace(&mut waiting.is_closing, true) {
            return Err(Error::Gone);
        }
        waiting.close = Some((code, reason));
        drop(waiting);
        self.writer.wake();
        Ok(())
    }

    /// Closes without what waits.
    pub(super) fn give_up(&self, code: u16, reason: &str) {
        let mut waiting = self.waiting();
        if std::mem::replace(&mut waiting.is_closing, true) {
            return;
        }
        (waiting.messages, waiting.bytes) = Default::default();
        waiting.close = Some((code, reason.to_owned()));
        drop(waiting);
        self.writer.wake();
    }

    /// Takes nothing more in.
    pub(super) fn shut(&self) {
        let mut waiting = self.waiting();
        waiting.is_closing = true;
        (waiting.messages, waiting.bytes) = Default::default();
    }

    /// Whether enough was taken of what waited that more of the client's own messages may be read.
    pub fn has_room(&self) -> bool {
        self.waiting().bytes < self.queue_bytes
    }

    /// What is to be written next; the task is woken when there is something.
    pub fn poll_outgoing(&self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        self.writer.register(cx.waker());
        let mut waiting = self.waiting();
        if let Some(message) = waiting.messages.pop_front() {
            waiting.bytes -= message.bytes().len() + EACH;
            if waiting.messages.is_empty() {
                // Most connections are idle most of the time.
                waiting.messages = VecDeque::new();
            }
            return Poll::Ready(Outgoing::Message(message));
        }
        match waiting.close.take() {
            Some((code, reason)) => Poll::Ready(Outgoing::Close(code, reason)),
            None => Poll::Pending,
        }
    }
}

impl Waiting {
    fn push(&mut self, message: Message) {
        self.bytes += message.bytes().len() + EACH;
        self.messages.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_the_kind_that_its_type_says_or_of_its_messages() {
        let kind = |data: &'static [u8], media, text| {
            matches!(Message::of_answer(Bytes::from_static(data), media, text), Message::Text(_))
        };
        assert!(kind(b"a", None, true) && !kind(b"a", None, false));
        assert!(kind(b"a", Some("text/html; charset=utf-8"), false));
        assert!(kind(b"a", Some("application/JSON"), false));
        assert!(!kind(b"a", Some("application/octet-stream"), true));
        assert!(!kind(b"\xff", Some("text/plain"), true), "no text");
    }

    #[test]
    fn what_waits_is_bounded_and_comes_before_the_end() {
        let link = Link::new(1, Terms { queue_bytes: 100, topics: 1, activation: 0 });
        let message = |text: &str| Message::Text(Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(link.send(message("first")), Ok(()));
        assert_eq!(link.send(message(&"x".repeat(50))), Err(Error::Full));
        assert_eq!(link.close(1000, "done".to_owned()), Ok(()));
        assert_eq!(link.send(message("late")), Err(Error::Gone));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let first = Poll::Ready(Outgoing::Message(message("first")));
        assert_eq!(link.poll_outgoing(&mut cx), first);
        let close = Poll::Ready(Outgoing::Close(1000, "done".to_owned()));
        assert_eq!(link.poll_outgoing(&mut cx), close);
        assert_eq!(link.poll_outgoing(&mut cx), Poll::Pending);
    }
}
