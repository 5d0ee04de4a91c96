//! What lies behind a message that carries its data alone: as far as this process sent it, it knows how many
//! steps, and in which trace. So a cycle through a channel or a list of Redis, or a topic of MQTT, ends like
//! others, and the way through them is one trace. Of what other processes sent nothing is known here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dayfly_capabilities::redis::note::Note;

use super::Event;

/// How many messages are known that have not come back, and for how long.
const MOST: usize = 32 << 10;
const LONGEST: Duration = Duration::from_mins(10);

/// The messages that were sent to where one trigger listens and have not come back yet. It may not listen
/// to all that was sent there: what it does not is forgotten after a while.
#[derive(Default)]
pub(super) struct Echoes(Mutex<Sent>);

#[derive(Default)]
struct Sent {
    /// What lies behind each message, by where it went and what it is, the first first; with a number.
    by_message: HashMap<Key, VecDeque<(u64, Note)>>,
    /// All of them, the oldest first. What came back since is here still.
    oldest: VecDeque<(Instant, u64, Key)>,
    next: u64,
}

type Key = [u8; 16];

impl Echoes {
    /// Notes an event whose data is about to be sent.
    pub(super) fn sent(&self, place: &str, event: &Event) {
        self.sent_at(Instant::now(), key(place, &event.data), event.note());
    }

    /// Forgets one that was not sent after all.
    pub(super) fn not_sent(&self, place: &str, event: &Event) {
        self.take(place, &event.data);
    }

    /// What lies behind a message that has come, if this process sent it.
    pub(super) fn take(&self, place: &str, data: &[u8]) -> Option<Note> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Most triggers hear nothing of their own app.
        if sent.by_message.is_empty() {
            return None;
        }
        sent.take(&key(place, data), None)
    }

    fn sent_at(&self, now: Instant, key: Key, behind: Note) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sent.next;
        sent.next += 1;
        sent.by_message.entry(key).or_default().push_back((number, behind));
        sent.oldest.push_back((now, number, key));
        while let Some((at, number, key)) = sent.oldest.front().copied() {
            if sent.oldest.len() <= MOST && now.duration_since(at) <= LONGEST {
                return;
            }
            sent.oldest.pop_front();
            sent.take(&key, Some(number));
        }
    }
}

impl Sent {
    /// What lies behind the first of these messages, which is forgotten; if a number is told, only that one.
    fn take(&mut self, key: &Key, number: Option<u64>) -> Option<Note> {
        let all = self.by_message.get_mut(key)?;
        let is_it = all.front().is_some_and(|(first, _)| number.is_none_or(|it| it == *first));
        let taken = if is_it { all.pop_front() } else { None };
        if all.is_empty() {
            self.by_message.remove(key);
        }
        taken.map(|(_, behind)| behind)
    }
}

fn key(place: &str, data: &[u8]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(place.len() as u64).to_le_bytes()).update(place.as_bytes()).update(data);
    let mut key = Key::default();
    hasher.finalize_xof().fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &'static str, hops: u32) -> Event {
        Event { hops, ..Event::new("/a", "t", data.into()) }
    }

    /// How many steps lie behind a message that comes.
    fn steps(echoes: &Echoes, place: &str, data: &'static str) -> u32 {
        echoes.take(place, data.as_bytes()).map_or(0, |note| note.steps)
    }

    fn behind(steps: u32) -> Note {
        Note { steps, ..Note::default() }
    }

    #[test]
    fn what_comes_back_is_known_once() {
        let echoes = Echoes::default();
        assert_eq!(steps(&echoes, "a", "x"), 0);
        echoes.sent("a", &event("x", 3));
        echoes.sent("a", &event("x", 5));
        echoes.sent("b", &event("x", 7));
        assert_eq!(steps(&echoes, "a", "y"), 0);
        assert_eq!((steps(&echoes, "a", "x"), steps(&echoes, "a", "x")), (3, 5));
        assert_eq!((steps(&echoes, "a", "x"), steps(&echoes, "b", "x")), (0, 7));
        echoes.sent("a", &event("x", 9));
        echoes.not_sent("a", &event("x", 9));
        assert_eq!(steps(&echoes, "a", "x"), 0);
    }

    #[test]
    fn what_comes_back_is_in_its_trace() {
        let (echoes, mut sent) = (Echoes::default(), event("x", 1));
        let parent = ("traceparent".to_owned(), "00-1-2-01".to_owned());
        sent.extensions = vec![parent.clone(), ("key".to_owned(), "v".to_owned())];
        echoes.sent("a", &sent);
        let note = echoes.take("a", b"x").unwrap();
        let mut came = event("x", 3);
        came.recall(note);
        // Steps that it says itself are not taken from it.
        assert_eq!((came.extensions, came.hops), (vec![parent], 3));
    }

    #[test]
    fn what_never_comes_back_is_forgotten() {
        let (echoes, now) = (Echoes::default(), Instant::now());
        let of = |number: usize| key("a", &number.to_le_bytes());
        let known = || {
            let sent = echoes.0.lock().unwrap();
            (sent.by_message.values().map(VecDeque::len).sum::<usize>(), sent.oldest.len())
        };
        for number in 0..MOST + 10 {
            echoes.sent_at(now, of(number), behind(1));
        }
        assert_eq!(known(), (MOST, MOST));
        assert_eq!(echoes.take("a", &9usize.to_le_bytes()), None);
        assert_eq!(echoes.take("a", &10usize.to_le_bytes()), Some(behind(1)));
        echoes.sent_at(now + LONGEST * 2, of(0), behind(2));
        assert_eq!(known(), (1, 1));
        assert_eq!(echoes.take("a", &0usize.to_le_bytes()), Some(behind(2)));
        assert_eq!(known().0, 0);
    }

    #[test]
    fn one_that_came_back_is_not_taken_for_its_like() {
        let (echoes, now) = (Echoes::default(), Instant::now());
        echoes.sent_at(now, key("a", b"x"), behind(1));
        assert_eq!(echoes.take("a", b"x"), Some(behind(1)));
        echoes.sent_at(now + LONGEST, key("a", b"x"), behind(2));
        // The first is too old by now, the second is not.
        echoes.sent_at(now + LONGEST + Duration::from_secs(1), key("a", b"y"), behind(3));
        assert_eq!(echoes.take("a", b"x"), Some(behind(2)));
    }
}
