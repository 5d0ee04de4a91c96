//! Notes of what lies behind a message of a channel or a list, which carry their data alone: kept at the same
//! server, just before the message, for whoever takes it in and has not sent it. A note says how many steps
//! and which trace. A list's note is taken like its message, so equal messages have one each; a channel's is
//! for all that listen.
//!
//! Whoever writes to the server can write notes, so they are bounded, and hints: one can make a message end
//! sooner, and that is all.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use redis::{Cmd, Pipeline, Value};

/// How long a note waits for whoever takes the message, in seconds. Those who listen to a channel hear
/// at once.
const LIST_SECONDS: u64 = 600;
const CHANNEL_SECONDS: u64 = 60;

/// The longest note, in bytes.
const BYTES: usize = 4 << 10;

/// The attributes of an event that say where in a trace it is.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// Whether a server lets us keep notes: it does until it says that it does not.
#[derive(Debug, Default)]
pub struct Leave {
    is_refused: AtomicBool,
}

impl Leave {
    /// Whether there is leave to.
    pub fn is_there(&self) -> bool {
        !self.is_refused.load(Relaxed)
    }

    /// Looks at the code of an error that the server answered to a command for notes, and says once that there
    /// are none from then on.
    pub fn look_at(&self, code: Option<&str>) {
        if code == Some("NOPERM") && !self.is_refused.swap(true, Relaxed) {
            tracing::warn!(
                "a Redis server refuses the keys `dayfly:behind:*`: a cycle through several processes may not end"
            );
        }
    }
}

/// What lies behind a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// How many steps of a topology.
    pub steps: u32,
    /// The attributes that say where in a trace it is.
    pub trace: Vec<(String, String)>,
}

/// Where a message is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A channel.
    Channel(&'a str),
    /// A list.
    List(&'a str),
}

impl Note {
    /// The note of an event that has so many steps behind it, and these attributes among others.
    #[must_use]
    pub fn new(steps: u32, attributes: &[(String, String)]) -> Self {
        let trace = attributes.iter().filter(|(name, _)| TRACE.contains(&&**name));
        Self { steps, trace: trace.cloned().collect() }
    }

    /// Adds the commands that keep it for a message.
    pub fn keep(&self, place: Place<'_>, data: &[u8], commands: &mut Pipeline) {
        let (key, text) = (key(place, data), self.text());
        match place {
            Place::Channel(_) => {
                commands.cmd("SET").arg(key).arg(text).arg("EX").arg(CHANNEL_SECONDS);
            }
            Place::List(_) => {
                commands.cmd("RPUSH").arg(&key).arg(text);
                commands.cmd("EXPIRE").arg(key).arg(LIST_SECONDS);
            }
        }
    }

    /// The command that asks for the note of a message.
    #[must_use]
    pub fn ask(place: Place<'_>, data: &[u8]) -> Cmd {
        let mut ask = redis::cmd(match place {
            Place::Channel(_) => "GET",
            Place::List(_) => "LPOP",
        });
        ask.arg(key(place, data));
        ask
    }

    /// The note that a server answered with, if that is one.
    #[must_use]
    pub fn of_reply(reply: &Value) -> Option<Self> {
        let Value::BulkString(bytes) = reply else { return None };
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= BYTES)?;
        let mut lines = text.lines();
        let steps = lines.next()?.parse().ok()?;
        let trace = TRACE.iter().zip(lines).filter(|(_, value)| !value.is_empty());
        let trace = trace.map(|(name, value)| ((*name).to_owned(), value.to_owned()));
        Some(Self { steps, trace: trace.collect() })
    }

    fn text(&self) -> String {
        let value = |name: &str| {
            let held = self.trace.iter().find(|(held, _)| held == name);
            held.map_or("", |(_, value)| value.as_str()).replace(['\r', '\n'], " ")
        };
        let [parent, state] = TRACE.map(value);
        let text = format!("{}\n{parent}\n{state}", self.steps);
        if text.len() > BYTES { self.steps.to_string() } else { text }
    }
}

/// The key of a message's note.
fn key(place: Place<'_>, data: &[u8]) -> String {
    let (kind, name) = match place {
        Place::Channel(name) => (0, name),
        Place::List(name) => (1, name),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes()).update(data);
    format!("dayfly:behind:{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Option<Note> {
        Note::of_reply(&Value::BulkString(text.to_vec()))
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let parent = attribute("traceparent", "00-1-2-01");
        let state = attribute("tracestate", "a=1");
        for trace in
            [vec![], vec![parent.clone()], vec![parent.clone(), state.clone()], vec![state]]
        {
            let with_others = [&trace[..], &[attribute("key", "v")]].concat();
            let note = Note::new(3, &with_others);
            assert_eq!(note.trace, trace);
            assert_eq!(of(note.text().as_bytes()), Some(note));
        }
        let long = Note::new(7, &[attribute("tracestate", &"x".repeat(BYTES))]);
        assert_eq!(of(long.text().as_bytes()), Some(Note::new(7, &[])));
    }

    #[test]
    fn what_is_no_note_means_nothing() {
        let large = format!("1\n{}", "x".repeat(BYTES));
        for text in [&b""[..], b"x", b"-1", b"4294967296", b"\xff", large.as_bytes()] {
            assert_eq!(of(text), None);
        }
        assert_eq!(Note::of_reply(&Value::Nil), None);
        assert_eq!(
            of(b"2\na\nb\nc"),
            Some(Note::new(
                2,
                &[
                    ("traceparent".to_owned(), "a".to_owned()),
                    ("tracestate".to_owned(), "b".to_owned()),
                ]
            ))
        );
    }

    #[test]
    fn each_place_and_each_message_has_a_key_of_its_own() {
        let keys = [
            key(Place::Channel("a"), b"bc"),
            key(Place::Channel("ab"), b"c"),
            key(Place::List("a"), b"bc"),
            key(Place::List("a"), b"bd"),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
