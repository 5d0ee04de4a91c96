//! What a broker and this process know of each other's messages. The broker sends again what was not
//! acknowledged on a connection that broke off; some give it other numbers then, so messages are told
//! by what they are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use blake3::Hash;
use dayfly_capabilities::mqtt::broker::{Acks, Receipt, Received};

/// How long after a connection began the broker may send again what was not acknowledged. What equals
/// that and comes later is another message.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of the messages of one client.
#[derive(Default)]
pub(super) struct Session {
    acks: Option<Acks>,
    next: u64,
    flights: HashMap<u64, Flight>,
    /// How many of them have not come on the connection that there is.
    elsewhere: usize,
    /// What was acknowledged on it, by its number; a number is another message's once the broker knows.
    told: HashMap<u16, Hash>,
    /// Messages that were handled and not acknowledged, by what they are.
    handled: HashMap<Hash, u32>,
    /// When the connection began.
    began: Option<Instant>,
}

/// A message under way.
struct Flight {
    hash: Hash,
    /// As it came on the connection that there is; nothing if it has not come there yet.
    receipt: Option<Receipt>,
}

/// What a message is that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// One to be handled, and what it is known by, if it is to be acknowledged.
    New(Option<u64>),
    /// One that is under way already, or was handled and is acknowledged now.
    Known,
}

impl Session {
    /// There is another connection; whether the broker knew us.
    pub(super) fn connected(&mut self, is_resumed: bool, acks: Acks) {
        let before = self.acks.replace(acks);
        self.begin(is_resumed, &before.map(|acks| acks.unwritten()).unwrap_or_default());
    }

    /// Numbers are others from now on, or mean nothing any more. Of those `unwritten` the broker has not
    /// heard on the last connection.
    fn begin(&mut self, is_resumed: bool, unwritten: &[u16]) {
        self.began = Some(Instant::now());
        let told = std::mem::take(&mut self.told);
        if is_resumed {
            unwritten.iter().filter_map(|number| told.get(number)).for_each(|it| self.owe(*it));
            self.flights.values_mut().for_each(|flight| flight.receipt = None);
        } else {
            self.flights.clear();
            self.handled.clear();
        }
        self.elsewhere = self.flights.len();
    }

    /// By which connection messages are acknowledged.
    pub(super) fn acks(&self) -> Option<Acks> {
        self.acks.clone()
    }

    /// What a message is.
    pub(super) fn arrived(&mut self, message: &Received) -> Arrived {
        let Some(receipt) = message.receipt else { return Arrived::New(None) };
        let hash = hash(message);
        if self.began.is_none_or(|began| began.elapsed() > AGAIN) {
            self.handled.clear();
        }
        if let Some(count) = self.handled.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.handled.remove(&hash);
            }
            self.acknowledge(receipt, Some(hash));
            return Arrived::Known;
        }
        if self.elsewhere > 0 {
            let same = |flight: &&mut Flight| flight.hash == hash && flight.receipt.is_none();
            if let Some(flight) = self.flights.values_mut().find(same) {
                flight.receipt = Some(receipt);
                self.elsewhere -= 1;
                return Arrived::Known;
            }
        }
        self.next += 1;
        self.flights.insert(self.next, Flight { hash, receipt: Some(receipt) });
        Arrived::New(Some(self.next))
    }

    /// A message was handled: it is acknowledged, now or when it comes again.
    pub(super) fn settled(&mut self, flight: u64) {
        let Some(Flight { hash, receipt }) = self.flights.remove(&flight) else { return };
        match receipt {
            Some(receipt) => self.acknowledge(receipt, Some(hash)),
            None => {
                self.elsewhere -= 1;
                self.owe(hash);
            }
        }
    }

    /// Acknowledges a message that nobody handles.
    pub(super) fn dropped(&mut self, receipt: Receipt) {
        self.acknowledge(receipt, None);
    }

    fn acknowledge(&mut self, receipt: Receipt, hash: Option<Hash>) {
        match hash {
            Some(hash) => drop(self.told.insert(receipt.number, hash)),
            None => drop(self.told.remove(&receipt.number)),
        }
        if let Some(acks) = &self.acks {
            acks.acknowledge(receipt);
        }
    }

    /// A message was handled and is not acknowledged: the broker sends it again.
    fn owe(&mut self, message: Hash) {
        *self.handled.entry(message).or_default() += 1;
    }
}

/// What a message is.
fn hash(message: &Received) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(message.topic.len() as u64).to_le_bytes());
    hasher.update(message.topic.as_bytes()).update(&message.data);
    for (name, value) in &message.attributes {
        hasher.update(name.as_bytes()).update(b"\0").update(value.as_bytes()).update(b"\0");
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u16, data: &'static str) -> Received {
        Received {
            topic: "t".to_owned(),
            data: data.into(),
            content_type: None,
            attributes: Vec::new(),
            receipt: (number > 0).then_some(Receipt { number, is_exact: false }),
            is_too_large: false,
        }
    }

    fn new(session: &mut Session, number: u16, data: &'static str) -> u64 {
        match session.arrived(&message(number, data)) {
            Arrived::New(Some(flight)) => flight,
            _ => panic!("`{data}` is new"),
        }
    }

    fn is_known(session: &mut Session, number: u16, data: &'static str) -> bool {
        session.arrived(&message(number, data)) == Arrived::Known
    }

    #[test]
    fn messages_are_known_again_by_what_they_are() {
        let mut session = Session::default();
        let one = new(&mut session, 2, "one");
        new(&mut session, 3, "two");
        session.begin(true, &[]);
        // Others have their numbers now.
        let three = new(&mut session, 2, "three");
        assert!(is_known(&mut session, 7, "one") && is_known(&mut session, 8, "two"));
        // The same once more is another one.
        let again = new(&mut session, 9, "one");
        assert!(one != again && three != again);
    }

    #[test]
    fn what_was_handled_meanwhile_is_acknowledged_when_it_comes_again() {
        let mut session = Session::default();
        let one = new(&mut session, 1, "one");
        session.begin(true, &[]);
        session.settled(one);
        assert!(is_known(&mut session, 4, "one"));
        new(&mut session, 5, "one");
    }

    #[test]
    fn what_was_acknowledged_to_nobody_is_again() {
        let mut session = Session::default();
        for (number, data) in [(1, "one"), (2, "two")] {
            let flight = new(&mut session, number, data);
            session.settled(flight);
        }
        // A number that is another's by then tells nothing.
        session.dropped(Receipt { number: 3, is_exact: false });
        session.begin(true, &[2, 3]);
        assert!(is_known(&mut session, 5, "two"));
        new(&mut session, 6, "two");
        new(&mut session, 7, "one");
    }

    #[test]
    fn a_broker_that_knows_nothing_any_more_sends_new_messages_only() {
        let mut session = Session::default();
        let one = new(&mut session, 1, "one");
        session.begin(false, &[1]);
        session.settled(one);
        new(&mut session, 1, "one");
        assert_eq!(session.arrived(&message(0, "one")), Arrived::New(None));
    }
}
