//! What an instance's headers and requests cost of the host's memory. `limits.resources` bounds
//! how many there are and `limits.memory` the guest's own; neither says anything of their contents,
//! which the host keeps.

use dayfly_model::Limits;
use wasmtime_wasi_http::{FieldMap, FieldMapError};

/// The longest method and scheme, in bytes: every one that is registered is shorter.
const WORD_BYTES: usize = 64;

/// The longest authority and path, in bytes.
const TARGET_BYTES: usize = 32 << 10;

/// What a header costs beyond its text, in bytes: its entry in a map, and a share of the map's
/// spare room.
const HEADER_BYTES: usize = 128;

/// What all instances with enough memory of their own may have, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// What every instance may have, in bytes.
const LEAST_BYTES: u64 = 1 << 20;

/// What an instance may still put into headers and requests. What it drops is not given back: an
/// instance lives for one event, and few need a thousandth of this.
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        // Two sets of headers of the size that the manifest permits always fit.
        let least = LEAST_BYTES.max(limits.header_bytes.saturating_mul(2));
        Self { left: limits.memory_bytes.min(MOST_BYTES).max(least) }
    }

    /// Takes so many bytes; false if they are not there.
    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }

    /// Pays for values of one header.
    pub(crate) fn header<'a>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = &'a Vec<u8>>,
    ) -> Result<(), FieldMapError> {
        let cost = values.into_iter().map(|value| value.len() + HEADER_BYTES).sum::<usize>();
        self.fields(name.len() + cost)
    }

    /// Pays for headers that are all there at once.
    pub(crate) fn headers(&mut self, headers: &[(String, Vec<u8>)]) -> Result<(), FieldMapError> {
        let cost = |(name, value): &(String, Vec<u8>)| name.len() + value.len() + HEADER_BYTES;
        self.fields(headers.iter().map(cost).sum())
    }

    /// Pays for a copy, which is one once it is changed.
    pub(crate) fn copy(&mut self, fields: &FieldMap) -> Result<(), FieldMapError> {
        let cost = fields
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES)
            .sum();
        self.fields(cost)
    }

    fn fields(&mut self, bytes: usize) -> Result<(), FieldMapError> {
        if self.take(bytes) { Ok(()) } else { Err(FieldMapError::TotalSizeTooBig) }
    }

    /// Pays for a method or a scheme of the guest's own; false if it is too long.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        word.len() <= WORD_BYTES && self.take(word.len())
    }

    /// Pays for an authority or a path; false if it is too long.
    pub(crate) fn target(&mut self, target: Option<&String>) -> bool {
        target.is_none_or(|target| target.len() <= TARGET_BYTES && self.take(target.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(memory_bytes: u64, header_bytes: u64) -> Budget {
        Budget::new(&Limits { memory_bytes, header_bytes, ..Limits::default() })
    }

    #[test]
    fn a_budget_follows_from_the_limits() {
        assert_eq!(budget(4 << 20, 128 << 10).left, 4 << 20);
        assert_eq!(budget(1 << 40, 128 << 10).left, MOST_BYTES);
        assert_eq!(budget(1, 128 << 10).left, LEAST_BYTES);
        assert_eq!(budget(1, 4 << 20).left, 8 << 20);
        assert_eq!(budget(1, u64::MAX).left, u64::MAX);
    }

    #[test]
    fn what_is_spent_is_spent() {
        let mut budget = budget(1, 0);
        let value = vec![b'a'; 100 << 10];
        for _ in 0..10 {
            assert!(budget.header("name", [&value]).is_ok());
        }
        assert_eq!(budget.header("name", [&value]), Err(FieldMapError::TotalSizeTooBig));
        assert!(budget.header("name", [&vec![b'a'; 1000]]).is_ok());
        assert!(budget.headers(&[("name".to_owned(), value)]).is_err());
    }

    #[test]
    fn words_and_targets_have_a_longest() {
        let mut budget = budget(1, 0);
        assert!(budget.word(&"M".repeat(WORD_BYTES)) && !budget.word(&"M".repeat(WORD_BYTES + 1)));
        assert!(budget.target(None) && budget.target(Some(&"/".repeat(TARGET_BYTES))));
        assert!(!budget.target(Some(&"/".repeat(TARGET_BYTES + 1))));
        assert!((0..100).any(|_| !budget.target(Some(&"/".repeat(TARGET_BYTES)))));
    }
}
