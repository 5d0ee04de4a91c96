//! Names that nobody guesses.

/// A word of 32 hexadecimal digits.
pub(super) fn word() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
