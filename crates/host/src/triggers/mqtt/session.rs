//! What a broker and this process know of each other's messages. The broker sends again what was not
//! acknowledged on a connection that broke off; some give it other numbers then, so messages are told
//! by what they are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use blake3::Hash;
use dayfly_capabilities::mqtt::broker::{Acks, Received};

/// How long after a connection began the broker may send again what was not acknowledged. What equals
/// that and comes later is another message.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of the messages of one client.
#[derive(Default)]
pub(super) struct Session {
    acks: Option<Acks>,
    next: u64,
    flights: HashMap<u64, Flight>,
    /// Messages that were handled and not acknowledged, by what they are.
    handled: HashMap<Hash, u32>,
    /// When the connection began.
    began: Option<Instant>,
}

/// A message under way.
struct Flight {
    hash: Hash,
    /// As it came on the connection that there is; nothing if it has not come there yet.
    message: Option<Received>,
}

/// What a message is that arrives.
pub(super) enum Arrived {
    /// One to be handled, and what it is known by, if it is to be acknowledged.
    New(Option<u64>),
    /// One that is under way already.
    UnderWay,
    /// One that was handled, and is to be acknowledged.
    Handled,
}

impl Session {
    /// There is another connection; whether the broker knew us.
    pub(super) fn connected(&mut self, is_resumed: bool, acks: Acks) {
        self.acks = Some(acks);
        self.begin(is_resumed);
    }

    /// Numbers are others from now on, or mean nothing any more.
    fn begin(&mut self, is_resumed: bool) {
        self.began = Some(Instant::now());
        if is_resumed {
            self.flights.values_mut().for_each(|flight| flight.message = None);
        } else {
            self.flights.clear();
            self.handled.clear();
        }
    }

    /// By which connection messages are acknowledged.
    pub(super) fn acks(&self) -> Option<Acks> {
        self.acks.clone()
    }

    /// What a message is.
    pub(super) fn arrived(&mut self, message: &Received) -> Arrived {
        if message.number == 0 {
            return Arrived::New(None);
        }
        let hash = hash(message);
        if self.began.is_none_or(|began| began.elapsed() > AGAIN) {
            self.handled.clear();
        }
        if let Some(count) = self.handled.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.handled.remove(&hash);
            }
            return Arrived::Handled;
        }
        let same = |flight: &&mut Flight| flight.hash == hash && flight.message.is_none();
        // Its data is under way already.
        let without = Received { data: bytes::Bytes::new(), ..message.clone() };
        if let Some(flight) = self.flights.values_mut().find(same) {
            flight.message = Some(without);
            return Arrived::UnderWay;
        }
        self.next += 1;
        self.flights.insert(self.next, Flight { hash, message: Some(without) });
        Arrived::New(Some(self.next))
    }

    /// A message was handled: how to acknowledge it, if that can be done now.
    pub(super) fn settled(&mut self, flight: u64) -> Option<Ack> {
        let Flight { hash, message } = self.flights.remove(&flight)?;
        match (&self.acks, message) {
            (Some(acks), Some(message)) => Some(Ack { acks: acks.clone(), message, hash }),
            _ => {
                self.unacknowledged(hash);
                None
            }
        }
    }

    /// A message was handled and could not be acknowledged: the broker sends it again.
    pub(super) fn unacknowledged(&mut self, message: Hash) {
        *self.handled.entry(message).or_default() += 1;
    }
}

/// How a message is acknowledged.
pub(super) struct Ack {
    pub(super) acks: Acks,
    pub(super) message: Received,
    pub(super) hash: Hash,
}

/// What a message is.
fn hash(message: &Received) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(message.topic.len() as u64).to_le_bytes());
    hasher.update(message.topic.as_bytes()).update(&message.data);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u16, data: &'static str) -> Received {
        Received {
            topic: "t".to_owned(),
            data: data.into(),
            number,
            is_too_large: false,
            is_exact: false,
        }
    }

    fn new(session: &mut Session, number: u16, data: &'static str) -> u64 {
        match session.arrived(&message(number, data)) {
            Arrived::New(Some(flight)) => flight,
            _ => panic!("`{data}` is new"),
        }
    }

    #[test]
    fn messages_are_known_again_by_what_they_are() {
        let mut session = Session::default();
        let one = new(&mut session, 2, "one");
        new(&mut session, 3, "two");
        session.begin(true);
        // Others have their numbers now.
        let three = new(&mut session, 2, "three");
        assert!(matches!(session.arrived(&message(7, "one")), Arrived::UnderWay));
        assert!(matches!(session.arrived(&message(8, "two")), Arrived::UnderWay));
        // The same once more is another one.
        let again = new(&mut session, 9, "one");
        assert!(one != again && three != again);
    }

    #[test]
    fn what_was_handled_meanwhile_is_acknowledged_when_it_comes_again() {
        let mut session = Session::default();
        let one = new(&mut session, 1, "one");
        session.begin(true);
        assert!(session.settled(one).is_none());
        assert!(matches!(session.arrived(&message(4, "one")), Arrived::Handled));
        new(&mut session, 5, "one");
    }

    #[test]
    fn a_broker_that_knows_nothing_any_more_sends_new_messages_only() {
        let mut session = Session::default();
        let one = new(&mut session, 1, "one");
        session.begin(false);
        assert!(session.settled(one).is_none());
        new(&mut session, 1, "one");
        assert!(matches!(session.arrived(&message(0, "one")), Arrived::New(None)));
    }
}
