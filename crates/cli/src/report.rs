//! Errors at the edge of the process: printed once, with their causes, and a hint where one helps.

use std::fmt;

use anstyle::{AnsiColor, Style};
use dayfly_forge::ForgeError;
use dayfly_host::{ActivateError, printable};

/// An error with a hint: what a person can do about it.
#[derive(Debug)]
pub(crate) struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds a hint to an error, if there is one.
pub(crate) fn hint(
    error: impl Into<anyhow::Error>,
    hint: Option<impl Into<String>>,
) -> anyhow::Error {
    let error = error.into();
    match hint {
        Some(hint) => Hinted { error, hint: hint.into() }.into(),
        None => error,
    }
}

/// An error of starting an app, with what can be done about it.
pub(crate) fn hinted(error: ActivateError) -> anyhow::Error {
    let hint = match &error {
        ActivateError::Prepare(source) => {
            source.downcast_ref::<ForgeError>().and_then(ForgeError::hint)
        }
        _ => error.hint().map(str::to_owned),
    };
    self::hint(error, hint)
}

/// Several errors of one cause, printed one after the other.
#[derive(Debug)]
pub(crate) struct Several(pub(crate) String);

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Several {}

/// All values, or all errors as one.
pub(crate) fn all<T>(results: impl Iterator<Item = anyhow::Result<T>>) -> anyhow::Result<Vec<T>> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(values),
        1 => Err(errors.remove(0)),
        _ => {
            let texts: Vec<String> = errors.iter().map(|error| format!("{error:#}")).collect();
            Err(Several(texts.join("\n       ")).into())
        }
    }
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const NOTE: Style = AnsiColor::Green.on_default().bold();

/// A text that may hold what a guest or a manifest says: its lines stay, and nothing in it moves the
/// cursor or changes colours.
pub(crate) fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Prints an error to standard error.
pub(crate) fn print(error: &anyhow::Error) {
    anstream::eprintln!("{ERROR}error{ERROR:#}: {}", harmless(&error.to_string()));
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // A transparent error repeats its source.
        if text != shown {
            // Indented, so that no line of a guest's making looks like one of ours.
            let text = harmless(&text).replace('\n', "\n    ");
            anstream::eprintln!("  caused by: {text}");
        }
        shown = text;
    }
    if let Some(Hinted { hint, .. }) = error.chain().find_map(|cause| cause.downcast_ref()) {
        anstream::eprintln!("{HINT}hint{HINT:#}: {hint}");
    }
}

/// An error with its causes and hint, as [`print`] shows it, without colours.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut text = harmless(&error.to_string());
    let mut shown = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if cause != shown {
            let cause = harmless(&cause).replace('\n', "\n    ");
            text.push_str(&format!("\n  caused by: {cause}"));
        }
        shown = cause;
    }
    if let Some(Hinted { hint, .. }) = error.chain().find_map(|cause| cause.downcast_ref()) {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

/// Prints what is wrong but stops nothing to standard error.
pub(crate) fn warn(text: impl fmt::Display) {
    anstream::eprintln!("{WARNING}warning{WARNING:#}: {text}");
}

/// Prints a line of progress to standard error.
pub(crate) fn note(verb: &str, rest: impl fmt::Display) {
    anstream::eprintln!("{NOTE}{verb:>12}{NOTE:#} {rest}");
}
