//! A message, in the host's memory, which it pays for.

use std::sync::Arc;

use bytes::Bytes;

use super::Client;
use super::error::Error;
use crate::under_way::{Busy, Held, UnderWay};

/// The largest message, in bytes.
pub(super) const MESSAGE_BYTES: usize = 4 << 20;

/// How many metadata a message may have, and how large they may be together, in bytes.
pub(super) const METADATA: usize = 64;
pub(super) const METADATA_BYTES: usize = 16 << 10;

/// What each takes beyond its text, in bytes.
const ENTRY_BYTES: usize = 64;

/// What is sent of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) data: Bytes,
    pub(super) content_type: Option<String>,
    pub(super) metadata: Option<Vec<(String, String)>>,
}

/// A message that a guest holds.
pub struct Message {
    pub(super) content: Content,
    /// Where it came from, if it came.
    pub(super) topic: Option<String>,
    /// Where replies to it go.
    pub(super) reply: Option<(Arc<Client>, String)>,
    under_way: UnderWay,
    held: Held,
}

impl Content {
    fn bytes(&self) -> usize {
        self.data.len() + self.metadata_bytes()
    }

    fn metadata_bytes(&self) -> usize {
        let entry = |(key, value): &(String, String)| key.len() + value.len() + ENTRY_BYTES;
        let metadata = self.metadata.iter().flatten().map(entry).sum::<usize>();
        metadata + self.content_type.as_ref().map_or(0, String::len)
    }

    /// Whether it may be sent.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.data.len() > MESSAGE_BYTES {
            return Err(Error::TooLarge);
        }
        let count = self.metadata.as_ref().map_or(0, Vec::len);
        if count > METADATA || self.metadata_bytes() > METADATA_BYTES {
            return Err(Error::TooMuchMetadata);
        }
        Ok(())
    }
}

impl Message {
    /// A new one, if there is room.
    pub(super) fn new(content: Content, under_way: UnderWay) -> Result<Self, Busy> {
        let held = under_way.take(content.bytes())?;
        Ok(Self { content, topic: None, reply: None, under_way, held })
    }

    /// One that comes from elsewhere: it takes room only once it is changed.
    pub(super) fn incoming(
        topic: Option<String>,
        content: Content,
        under_way: UnderWay,
    ) -> Result<Self, Busy> {
        let held = under_way.take(0)?;
        Ok(Self { content, topic, reply: None, under_way, held })
    }

    /// Changes it, if there is room for what it becomes.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Content)) -> Result<(), Busy> {
        change(&mut self.content);
        if let Some(missing) = self.content.bytes().checked_sub(self.held.bytes()) {
            self.held.add(self.under_way.take(missing)?);
        }
        Ok(())
    }

    /// Sets one of the metadata in place of those of the same name.
    pub(super) fn set(&mut self, key: String, value: String) -> Result<(), Busy> {
        self.change(|content| {
            let metadata = content.metadata.get_or_insert_default();
            match metadata.iter_mut().find(|(known, _)| *known == key) {
                Some((_, old)) => *old = value,
                None => metadata.push((key, value)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: usize) -> Content {
        Content { data: vec![0; bytes].into(), ..Content::default() }
    }

    #[test]
    fn messages_pay_for_what_they_hold() {
        let room = UnderWay::new(100 << 10);
        let mut one = Message::new(content(50 << 10), room.clone()).unwrap();
        assert!(Message::new(content(60 << 10), room.clone()).is_err());
        assert!(one.change(|of| *of = content(200 << 10)).is_err());
        drop(one);
        let mut one = Message::new(content(60 << 10), room).unwrap();
        one.set("a".into(), "1".into()).unwrap();
        one.set("a".into(), "2".into()).unwrap();
        assert_eq!(one.content.metadata, Some(vec![("a".into(), "2".into())]));
        assert!(one.set("b".into(), "x".repeat(60 << 10)).is_err());
    }

    #[test]
    fn what_is_too_much_is_not_sent() {
        let room = UnderWay::new(64 << 20);
        let mut message = Message::new(content(MESSAGE_BYTES), room.clone()).unwrap();
        assert!(message.content.check().is_ok());
        for number in 0..METADATA {
            message.set(number.to_string(), String::new()).unwrap();
        }
        assert!(message.content.check().is_ok());
        message.set("one more".into(), String::new()).unwrap();
        assert!(matches!(message.content.check(), Err(Error::TooMuchMetadata)));
        assert!(matches!(content(MESSAGE_BYTES + 1).check(), Err(Error::TooLarge)));
    }
}
