//! What the capabilities of relational databases share: the types of Spin's first interfaces, pools
//! of sessions, whom TLS trusts, bounds of results.

pub(crate) mod bounds;
pub(crate) mod pool;
pub(crate) mod refused;
pub(crate) mod trust;
pub(crate) mod types;

/// Whether a text has a word of small letters in it, however it is written.
pub(crate) fn mentions(text: &str, word: &[u8]) -> bool {
    text.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}
