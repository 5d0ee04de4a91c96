//! Lines that the host logs because of what a guest did. A guest can make as many of them as it
//! likes, so each component has one of a kind at once and then one a second, with how many there
//! were in between.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after a line the next one of its kind may come.
const PAUSE: Duration = Duration::from_secs(1);

/// How much of a guest's own words stands in a line, in bytes.
const WORDS: usize = 256;

/// What was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// An import that nobody granted.
    Import,
    /// A request or connection beyond `limits.outbound`.
    Outbound,
    /// A destination that `allowed_outbound_hosts` does not grant.
    Destination,
    /// A name that it does not grant.
    Name,
    /// A call to another component.
    Component,
    /// A connection beyond those that may be open.
    Connection,
}

impl Refusal {
    const KINDS: usize = Self::Connection as usize + 1;
}

/// The refusals of one component.
#[derive(Debug, Default)]
pub(crate) struct Refusals([Mutex<Kind>; Refusal::KINDS]);

#[derive(Debug, Default)]
struct Kind {
    said: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    /// Lets `say` log a refusal if it is time for a line; it is given how many of the kind nothing
    /// was said about, if any.
    pub(crate) fn note(&self, refusal: Refusal, say: impl FnOnce(Option<u64>)) {
        if let Some(unsaid) = self.turn(refusal, Instant::now()) {
            say((unsaid > 0).then_some(unsaid));
        }
    }

    fn turn(&self, refusal: Refusal, now: Instant) -> Option<u64> {
        let mut kind = self.0[refusal as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if kind.said.is_some_and(|said| now.saturating_duration_since(said) < PAUSE) {
            kind.unsaid += 1;
            return None;
        }
        kind.said = Some(now);
        Some(std::mem::take(&mut kind.unsaid))
    }
}

/// The beginning of a guest's own words.
pub(crate) fn shortened(words: &str) -> &str {
    &words[..words.floor_char_boundary(WORDS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_those_before_it() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let turn = |refusal, ms| refusals.turn(refusal, start + Duration::from_millis(ms));
        assert_eq!(turn(Refusal::Import, 0), Some(0));
        assert_eq!((1..=999).filter_map(|ms| turn(Refusal::Import, ms)).count(), 0);
        assert_eq!(turn(Refusal::Name, 500), Some(0), "another kind has its own line");
        assert_eq!(turn(Refusal::Import, 1000), Some(999));
        assert_eq!(turn(Refusal::Import, 5000), Some(0));
    }

    #[test]
    fn a_guests_words_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(1000)).len(), WORDS);
        assert_eq!(shortened(&format!("x{}", "é".repeat(1000))).len(), WORDS - 1);
    }
}
