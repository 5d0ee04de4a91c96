//! The WebSockets of one app, whatever cores they are on: found by their ids and by their topics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dayfly_model::websocket::is_topic;
use dayfly_telemetry::Source;
use dayfly_telemetry::metrics::{self, Counter, Families, Value};

use super::Error;
use super::link::{Link, Message};
use super::topic::Topic;
use crate::under_way::{Held, UnderWay};

/// How many topics an app has at once.
const TOPICS: usize = 100_000;

/// What messages that wait for clients may take of the host's memory, in bytes; each counts once,
/// however many wait for it.
const HELD_BYTES: usize = 256 << 20;

/// What clients' messages may take of it that have not ended, or are being handled, in bytes.
const COMING_BYTES: usize = 256 << 20;

/// What is not counted of either for each connection, in bytes: those that say and hear little have as much
/// however much the others take.
const FREE_BYTES: usize = 16 << 10;

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

/// What a server says that begins anew (<https://www.iana.org/assignments/websocket>).
const RESTART: u16 = 1012;

/// What bounds one connection.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What may wait for its client, in bytes.
    pub queue_bytes: usize,
    /// How many topics it may be in.
    pub topics: usize,
    /// Which of the app's activations keeps it.
    pub activation: u64,
}

/// The WebSockets of one app.
pub struct Hub {
    connections: Mutex<HashMap<u128, Arc<Link>>>,
    topics: Mutex<HashMap<Arc<str>, Arc<Topic>>>,
    most: AtomicUsize,
    held: UnderWay,
    coming: UnderWay,
    counts: Counts,
}

/// What has come of a client's message, as far as it is counted.
#[derive(Default)]
pub struct Coming(Option<Held>);

/// What is counted of them.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that were opened.
    pub opened: Counter,
    /// Messages that clients sent.
    pub received: Counter,
    /// Messages that were written for clients.
    pub sent: Counter,
    /// Events of which no handler took care.
    pub failed: Counter,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            connections: Mutex::default(),
            topics: Mutex::default(),
            most: AtomicUsize::new(usize::MAX),
            held: UnderWay::new(HELD_BYTES),
            coming: UnderWay::new(COMING_BYTES),
            counts: Counts::default(),
        }
    }
}

/// Bytes that count as waiting for as long as anybody has them.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Hub {
    /// Bounds how many connections there are at once.
    pub fn bound(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// How many connections there may be.
    pub fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    /// What is counted.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u128, Arc<Link>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Topic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, under an id that nobody can guess; `None` if there is no room.
    pub fn take_in(self: &Arc<Self>, terms: Terms) -> Option<Kept> {
        let mut connections = self.connections();
        if connections.len() >= self.most.load(Relaxed) {
            return None;
        }
        let key = uuid::Uuid::new_v4().as_u128();
        let link = Arc::new(Link::new(key, terms));
        connections.insert(key, link.clone());
        Some(Kept { hub: self.clone(), link })
    }

    fn find(&self, id: &str) -> Result<Arc<Link>, Error> {
        // One way to write an id.
        let is_id = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let key = u128::from_str_radix(id, 16).ok().filter(|_| is_id).ok_or(Error::Gone)?;
        self.connections().get(&key).cloned().ok_or(Error::Gone)
    }

    /// Counts that so many bytes have come of a message; false if there is no room for as much.
    pub fn has_room_for(&self, coming: &mut Coming, bytes: u64) -> bool {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(FREE_BYTES);
        let more = bytes.saturating_sub(coming.0.as_ref().map_or(0, Held::bytes));
        if more == 0 {
            return true;
        }
        let Ok(more) = self.coming.take(more) else { return false };
        match &mut coming.0 {
            Some(held) => held.add(more),
            None => coming.0 = Some(more),
        }
        true
    }

    /// Puts an answer behind the messages that wait for whom it is for: who answers reads no further before
    /// they are taken.
    ///
    /// # Errors
    /// If too much waits for clients already.
    pub fn answer(&self, link: &Link, message: Message) -> Result<(), Error> {
        let is_free = message.bytes().len() <= FREE_BYTES && link.waits_for_nothing();
        link.answer(if is_free { message } else { self.hold(message)? });
        Ok(())
    }

    /// Sends to a connection.
    ///
    /// # Errors
    /// If there is none of that id, or too much waits already.
    pub fn send(&self, id: &str, message: Message) -> Result<(), Error> {
        message.check()?;
        let link = self.find(id)?;
        link.send(self.hold(message)?)
    }

    /// Sends to all connections of a topic, and tells how many they are.
    ///
    /// # Errors
    /// If it is no topic, or too much waits already.
    pub fn publish(&self, topic: &str, message: Message) -> Result<u32, Error> {
        message.check()?;
        if !is_topic(topic) {
            return Err(Error::Topic);
        }
        let Some(topic) = self.topics().get(topic).cloned() else { return Ok(0) };
        Ok(topic.publish(&self.hold(message)?))
    }

    /// A message whose bytes count until nobody has them any more.
    fn hold(&self, message: Message) -> Result<Message, Error> {
        let held = self.held.take(message.bytes().len()).map_err(|_| Error::Full)?;
        Ok(message.map(|bytes| Bytes::from_owner(Counted { bytes, _held: held })))
    }

    /// Adds a connection to a topic.
    ///
    /// # Errors
    /// If there is none of that id, or there are too many topics.
    pub fn join(&self, id: &str, topic: &str) -> Result<(), Error> {
        if !is_topic(topic) {
            return Err(Error::Topic);
        }
        let link = self.find(id)?;
        let mut joined = link.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if joined.contains(topic) {
            return Ok(());
        }
        if joined.len() >= link.most_topics {
            return Err(Error::TooManyTopics);
        }
        let mut topics = self.topics();
        let (name, found) = match topics.get_key_value(topic) {
            Some((name, found)) => (name.clone(), found.clone()),
            None if topics.len() >= TOPICS => return Err(Error::TooManyTopics),
            None => {
                let (name, found): (Arc<str>, Arc<Topic>) = (topic.into(), Arc::default());
                topics.insert(name.clone(), found.clone());
                (name, found)
            }
        };
        // While nobody can find it empty and take it away.
        found.members().insert(link.key, link.clone());
        drop(topics);
        joined.insert(name);
        drop(joined);
        // It may have been closed meanwhile, and then nobody else would.
        if self.find(id).is_err() {
            self.leave_all(&link);
            return Err(Error::Gone);
        }
        Ok(())
    }

    /// Takes a connection from a topic.
    ///
    /// # Errors
    /// If there is none of that id.
    pub fn leave(&self, id: &str, topic: &str) -> Result<(), Error> {
        if !is_topic(topic) {
            return Err(Error::Topic);
        }
        let link = self.find(id)?;
        let left = link.topics.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
        if left {
            self.part(&link, topic);
        }
        Ok(())
    }

    /// Closes a connection once what waits for it was written.
    ///
    /// # Errors
    /// If there is none of that id, or it cannot be closed like that.
    pub fn close(&self, id: &str, code: u16, reason: String) -> Result<(), Error> {
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(Error::Code);
        }
        if reason.len() > REASON_BYTES {
            return Err(Error::Reason);
        }
        self.find(id)?.close(code, reason)
    }

    /// Asks the clients that an activation keeps to come again, to the one after it (1012, service
    /// restart).
    pub fn send_away(&self, activation: u64) {
        let theirs = |link: &&Arc<Link>| link.activation == activation;
        let links: Vec<_> = self.connections().values().filter(theirs).cloned().collect();
        for link in links {
            // Those that close already do so as they were told.
            let _ = link.close(RESTART, "service restart".to_owned());
        }
    }

    fn leave_all(&self, link: &Link) {
        let mut joined = link.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in joined.drain() {
            self.part(link, &topic);
        }
    }

    fn part(&self, link: &Link, topic: &str) {
        let mut topics = self.topics();
        let Some(found) = topics.get(topic) else { return };
        let mut members = found.members();
        members.remove(&link.key);
        let is_empty = members.is_empty();
        drop(members);
        if is_empty {
            topics.remove(topic);
        }
    }
}

impl Source for Hub {
    fn collect(&self, families: &mut Families) {
        let Counts { opened, received, sent, failed } = &self.counts;
        // Apps without WebSockets have nothing to tell.
        if opened.get() == 0 {
            return;
        }
        let integer = |count: &Counter| Value::Integer(count.get());
        let open = self.connections().len() as u64;
        families.add(&metrics::WEBSOCKETS, &[], Value::Integer(open));
        families.add(&metrics::WEBSOCKETS_OPENED, &[], integer(opened));
        let messages = [("received", received), ("sent", sent)];
        for (direction, count) in messages {
            let labels = [("direction", direction)];
            families.add(&metrics::WEBSOCKET_MESSAGES, &labels, integer(count));
        }
        families.add(&metrics::WEBSOCKET_EVENTS_FAILED, &[], integer(failed));
    }
}

/// A connection that is kept; gone from the hub when dropped.
pub struct Kept {
    hub: Arc<Hub>,
    link: Arc<Link>,
}

impl Kept {
    /// The connection.
    pub const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Who keeps it.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}

impl Kept {
    /// Lets nobody find it any more.
    pub fn leave(&self) {
        let known = self.hub.connections().remove(&self.link.key);
        if known.is_some() {
            self.hub.leave_all(&self.link);
            self.link.shut();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { queue_bytes: 1 << 10, topics: 2, activation: 1 };

    fn text(text: &str) -> Message {
        Message::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn what_is_gone_is_in_no_topic() {
        let hub = Arc::new(Hub::default());
        let (a, b) = (hub.take_in(TERMS).unwrap(), hub.take_in(TERMS).unwrap());
        let (first, second) = (a.link().id(), b.link().id());
        assert_eq!(hub.join(&first, "room"), Ok(()));
        assert_eq!(hub.join(&first, "room"), Ok(()), "twice is once");
        assert_eq!(hub.join(&second, "room"), Ok(()));
        assert_eq!(hub.publish("room", text("x")), Ok(2));
        drop(a);
        assert_eq!(hub.publish("room", text("x")), Ok(1));
        assert_eq!(hub.send(&first, text("x")), Err(Error::Gone));
        assert_eq!(hub.leave(&second, "room"), Ok(()));
        assert_eq!(hub.publish("room", text("x")), Ok(0));
        assert!(hub.topics().is_empty(), "nobody is in it");
    }

    #[test]
    fn bounds_hold() {
        let hub = Arc::new(Hub::default());
        hub.bound(1);
        let kept = hub.take_in(TERMS).unwrap();
        assert!(hub.take_in(TERMS).is_none());
        let id = kept.link().id();
        assert_eq!(hub.join(&id, "a"), Ok(()));
        assert_eq!(hub.join(&id, "b"), Ok(()));
        assert_eq!(hub.join(&id, "c"), Err(Error::TooManyTopics));
        assert_eq!(hub.join(&id, "a\n"), Err(Error::Topic));
        assert_eq!(hub.send(&id.to_uppercase(), text("x")), Err(Error::Gone));
        assert_eq!(hub.close(&id, 1005, String::new()), Err(Error::Code));
        assert_eq!(hub.close(&id, 1000, "x".repeat(124)), Err(Error::Reason));
        let large = Message::Binary(vec![0; (1 << 20) + 1].into());
        assert_eq!(hub.send(&id, large), Err(Error::TooLarge));
    }

    #[test]
    fn those_of_one_activation_are_sent_away() {
        let hub = Arc::new(Hub::default());
        let (old, new) =
            (hub.take_in(TERMS).unwrap(), hub.take_in(Terms { activation: 2, ..TERMS }));
        let (old, new) = (old.link(), new.as_ref().unwrap().link());
        hub.send_away(1);
        hub.send_away(1);
        assert_eq!(hub.send(&old.id(), text("x")), Err(Error::Gone));
        assert_eq!(hub.send(&new.id(), text("x")), Ok(()));
    }

    #[test]
    fn who_takes_nothing_is_let_go_by_what_is_published() {
        let hub = Arc::new(Hub::default());
        let kept = hub.take_in(TERMS).unwrap();
        let id = kept.link().id();
        hub.join(&id, "a").unwrap();
        let mut reached = 0;
        for _ in 0..100 {
            reached += hub.publish("a", text("some words")).unwrap();
        }
        assert!((1..100).contains(&reached), "{reached}");
        assert_eq!(hub.send(&id, text("x")), Err(Error::Gone));
    }
}
