//! What this process knows of a stream's messages: which are under way, and which were handled. The
//! server delivers again what it has not heard of, and forgets what it heard just before it was killed.

use std::collections::{HashMap, HashSet, VecDeque};

use dayfly_capabilities::nats::jetstream::Place;

/// How many handled messages are remembered.
const HANDLED: usize = 1 << 16;

/// A message, by its number and when the stream took it: numbers begin anew in a stream that is made
/// anew.
pub(super) type Key = (u64, u64);

/// What a message is that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    New,
    /// It is under way already.
    UnderWay,
    /// It was handled.
    Handled,
}

/// What is known.
#[derive(Default)]
pub(super) struct Known {
    /// The messages under way, and where is told what becomes of them.
    under_way: HashMap<Key, String>,
    handled: HashSet<Key>,
    /// The same, the oldest first.
    oldest: VecDeque<Key>,
}

pub(super) fn key(place: Place) -> Key {
    (place.sequence, place.nanos)
}

impl Known {
    pub(super) fn arrived(&mut self, key: Key, reply: &str) -> Arrived {
        if self.handled.contains(&key) {
            return Arrived::Handled;
        }
        match self.under_way.insert(key, reply.to_owned()) {
            Some(_) => Arrived::UnderWay,
            None => Arrived::New,
        }
    }

    /// A message is not under way any more; where to tell that.
    pub(super) fn settled(&mut self, key: Key, is_handled: bool) -> Option<String> {
        if is_handled && self.handled.insert(key) {
            self.oldest.push_back(key);
            if self.oldest.len() > HANDLED
                && let Some(oldest) = self.oldest.pop_front()
            {
                self.handled.remove(&oldest);
            }
        }
        self.under_way.remove(&key)
    }

    /// Where is told of the messages under way that they are.
    pub(super) fn replies(&self) -> Vec<String> {
        self.under_way.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_until_it_is_given_back() {
        let mut known = Known::default();
        assert_eq!(known.arrived((1, 5), "a"), Arrived::New);
        assert_eq!(known.arrived((1, 5), "b"), Arrived::UnderWay);
        assert_eq!(known.replies(), ["b"]);
        assert_eq!(known.settled((1, 5), false).as_deref(), Some("b"));
        assert_eq!(known.arrived((1, 5), "c"), Arrived::New);
        assert_eq!(known.settled((1, 5), true).as_deref(), Some("c"));
        assert_eq!(known.arrived((1, 5), "d"), Arrived::Handled);
        // Of a stream that was made anew.
        assert_eq!(known.arrived((1, 6), "e"), Arrived::New);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        for number in 0..=HANDLED as u64 {
            known.settled((number, 0), true);
        }
        assert_eq!((known.handled.len(), known.oldest.len()), (HANDLED, HANDLED));
        assert_eq!(known.arrived((0, 0), "a"), Arrived::New);
    }
}
