//! What a guest is told when a store cannot do as it asks, and the bounds of what it may ask.

use super::{MAX_BATCH, MAX_CALL_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Why a call failed.
#[derive(Debug, Clone)]
pub(crate) enum Error {
    /// The instance holds as many resources as it may.
    TableFull,
    /// The component was not granted a store of that label.
    AccessDenied,
    /// What the guest gave is no handle of a store.
    InvalidStore,
    /// Anything else, in words that say nothing about the host.
    Other(String),
}

impl Error {
    /// A failure of the backend: logged whole, told in few words.
    pub(super) fn backend(store: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(store, error, "a key-value store failed");
        Self::Other("the store failed".to_owned())
    }

    fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

/// Whether a key may be used.
pub(super) fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::other("a key may not be empty")),
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err(Error::other(format!("a key may have {MAX_KEY_BYTES} bytes at most"))),
    }
}

/// Whether a value may be stored.
pub(super) fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(Error::other(format!("a value may have {MAX_VALUE_BYTES} bytes at most")))
}

/// Whether a batch may name so many keys.
pub(super) fn check_batch<'k>(
    mut keys: impl ExactSizeIterator<Item = &'k str>,
) -> Result<(), Error> {
    if keys.len() > MAX_BATCH {
        return Err(Error::other(format!("a batch may name {MAX_BATCH} keys at most")));
    }
    keys.try_for_each(check_key)
}

/// The answer would be, or the request is, larger than one call may be.
pub(super) fn too_large() -> Error {
    Error::other(format!("one call may move {MAX_CALL_BYTES} bytes at most"))
}
