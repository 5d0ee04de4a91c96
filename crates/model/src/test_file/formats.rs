//! Formats of strings that only tests have.

use crate::manifest::form::{Format, Mistake};
use crate::manifest::formats::{HEADER, no, no_hint};

use super::Asked;

type Checked = Result<(), Mistake>;

pub(super) static TARGET: Format = Format {
    name: "a path of the app",
    doc: "A path that begins with `/`, and its query: `/orders?page=2`.",
    pattern: Some("^/"),
    check: target,
};

pub(super) static REQUEST_LINE: Format = Format {
    name: "a request",
    doc: "A method and a path, `POST /orders`, or a path alone, which is asked for by `GET`.",
    pattern: Some("^([!#$%&'*+.^_`|~0-9A-Za-z-]+ )?/"),
    check: |text| request_line(text).map(drop),
};

pub(super) static METHOD: Format = Format {
    name: "a method",
    doc: "A method of HTTP, such as `POST`.",
    pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    check: method,
};

pub(super) static ASKED: Format = Format {
    name: "a request that leaves the app",
    doc: "A URL, or a method and a URL; a `*` in the URL stands for any text: `GET https://api.example.com/prices/*`.",
    pattern: Some("^([!#$%&'*+.^_`|~0-9A-Za-z-]+ )?https?://."),
    check: |text| asked(text).map(drop),
};

pub(super) static FILE: Format = Format {
    name: "a file",
    doc: "A path, relative to the folder of the file with the tests.",
    pattern: Some("."),
    check: |text| match text {
        "" => Err(no("is empty")),
        _ if text.contains('\0') => Err(no("contains a zero character")),
        _ => Ok(()),
    },
};

pub(super) static REGEX: Format = Format {
    name: "a regular expression",
    doc: "What is to be found in the text, as the Rust crate `regex` has it; `(?s)`, `(?i)` and the like may stand before it.",
    pattern: None,
    check: |text| regex(text).map(drop),
};

pub(super) static POINTER: Format = Format {
    name: "a JSON pointer",
    doc: "A place in JSON by RFC 6901: `/items/0/name`, or nothing for all of it.",
    pattern: Some("^(/.*)?$"),
    check: |text| match text.is_empty() || text.starts_with('/') {
        true => Ok(()),
        false => Err(no_hint("does not begin with `/`", format!("write `/{text}`"))),
    },
};

pub(super) static ATTRIBUTE: Format = Format {
    name: "an attribute",
    doc: "The name of an attribute of CloudEvents: lower-case letters and digits.",
    pattern: Some("^[a-z0-9]{1,64}$"),
    check: |text| match text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        true if (1..=64).contains(&text.len()) => Ok(()),
        _ => Err(no("has other signs than up to 64 lower-case letters and digits")),
    },
};

fn target(text: &str) -> Checked {
    if !text.starts_with('/') {
        return Err(no_hint("does not begin with `/`", "the app's own address comes before it"));
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '#') {
        Some(c) => Err(no_hint(format!("contains {c:?}"), "write it as `%XX`")),
        None => Ok(()),
    }
}

fn method(text: &str) -> Checked {
    match (HEADER.check)(text) {
        Ok(()) if !text.is_empty() => Ok(()),
        _ => Err(no("is no method of HTTP")),
    }
}

/// The method and the path of a request line.
pub(super) fn request_line(text: &str) -> Result<(&str, &str), Mistake> {
    let (name, path) = match text.split_once(' ') {
        Some((name, path)) if !text.starts_with('/') => (name, path.trim_start()),
        _ => ("GET", text),
    };
    method(name)?;
    target(path)?;
    Ok((name, path))
}

/// The requests that a text means.
pub(super) fn asked(text: &str) -> Result<Asked, Mistake> {
    let (name, url) = match text.split_once(' ') {
        Some((name, url)) => (Some(name), url.trim_start()),
        None => (None, text),
    };
    if let Some(name) = name {
        method(name)?;
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let hint = "for example `GET https://api.example.com/prices/*`";
        return Err(no_hint("has no URL of HTTP", hint));
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(no("has a space in its URL"));
    }
    Ok(Asked { method: name.map(str::to_owned), url: url.to_owned() })
}

/// The longest program of a regular expression, in bytes.
const REGEX_BYTES: usize = 1 << 20;

/// Reads a regular expression.
pub(super) fn regex(text: &str) -> Result<regex::Regex, Mistake> {
    let built = regex::RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
    built.map_err(|error| {
        // The error draws the place on lines of its own; the last one says what it is.
        let said = error.to_string();
        let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
        no(format!("cannot be read: {last}"))
    })
}
