//! Values that stand on no command line, where others could see them: by standard input, or asked for
//! on the terminal without being shown.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, Result, bail};
use console::Term;
use dayfly_api::Secret;

/// The longest value, in bytes: what a setting may have.
const MAX_BYTES: u64 = 64 << 10;

/// Reads a value from standard input, without the end of its last line.
///
/// # Errors
/// If there is none, or it is too long.
pub(crate) fn from_stdin(what: &str) -> Result<Secret> {
    let mut text = String::new();
    let mut stdin = std::io::stdin().lock().take(MAX_BYTES + 2);
    stdin.read_to_string(&mut text).with_context(|| format!("failed to read the {what}"))?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    checked(text, what, "on standard input")
}

/// Asks for a value on the terminal, or reads it from standard input if that is none.
///
/// # Errors
/// As [`from_stdin`].
pub(crate) fn from_stdin_or_prompt(what: &str) -> Result<Secret> {
    let terminal = Term::stderr();
    if !std::io::stdin().is_terminal() || !terminal.is_term() {
        return from_stdin(what);
    }
    terminal.write_str(&format!("{what} (not shown): "))?;
    let text = terminal.read_secure_line().with_context(|| format!("failed to read the {what}"))?;
    checked(text, what, "in what was entered")
}

fn checked(text: String, what: &str, place: &str) -> Result<Secret> {
    if text.is_empty() {
        bail!("there is no {what} {place}");
    }
    if text.len() as u64 > MAX_BYTES {
        bail!("the {what} is longer than {} KiB", MAX_BYTES >> 10);
    }
    Ok(Secret(text))
}
