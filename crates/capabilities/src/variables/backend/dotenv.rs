//! Dotenv files: `NAME=VALUE` lines, as Spin reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use thiserror::Error;

/// The longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What is wrong with a file. Nothing is told of what stands in it.
#[derive(Debug, Error)]
pub enum DotenvError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is too long.
    #[error("it is longer than {} KiB", MAX_BYTES >> 10)]
    TooLong,
    /// One of its lines, or what begins there, is malformed.
    #[error("line {0} is not of the form NAME=VALUE")]
    Malformed(usize),
}

/// The values of a file; none if it is not there.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, DotenvError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        file => file?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(DotenvError::TooLong);
    }
    parse(&text)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
    let mut values = BTreeMap::new();
    let mut rest = text;
    let line = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(values);
        }
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let at = line(rest);
        let (name, after) = pair(rest).ok_or(DotenvError::Malformed(at))?;
        let (value, after) = value(after).ok_or(DotenvError::Malformed(at))?;
        // The first of a name wins, as it does in Spin.
        values.entry(name.to_owned()).or_insert(value);
        rest = after;
    }
}

/// The name before `=`, and what stands behind it.
fn pair(text: &str) -> Option<(&str, &str)> {
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end_matches([' ', '\t']);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (!name.is_empty() && name.chars().all(is_name))
        .then(|| (name, rest.trim_start_matches([' ', '\t'])))
}

/// The value at the beginning of a text, and what stands behind its line.
fn value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    let mut quote = None;
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => value.push(letter),
            (Some(_), '\\') => value.push(match letters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            (Some(_), _) => value.push(letter),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '\n') => return Some((value, &text[at..])),
            (None, '\\') => value.push(letters.next()?.1),
            (None, ' ' | '\t' | '\r') => {
                // Nothing but a comment may follow a value.
                let (line, rest) = text[at..].split_once('\n').unwrap_or((&text[at..], ""));
                let after = line.trim();
                return (after.is_empty() || after.starts_with('#')).then_some((value, rest));
            }
            (None, _) => value.push(letter),
        }
    }
    quote.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_comments_and_quotes() {
        let text = "# a comment\nA=1\nexport B = two # why\n\nC='it''s #1'\r\nD=\"x\\n\\\"y\\\"\"\nE=\n\
                    F=\"two\nlines\" # and a comment\nG=a=b\nA=again\n#last";
        let values = parse(text).unwrap();
        let values: Vec<_> = values.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("A", "1"),
            ("B", "two"),
            ("C", "its #1"),
            ("D", "x\n\"y\""),
            ("E", ""),
            ("F", "two\nlines"),
            ("G", "a=b"),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn what_is_malformed_is_told_by_its_line_and_not_by_its_text() {
        for (text, line) in [
            ("A=1\nhunter2\n", 2),
            ("A=1\n\n# x\n=hunter2", 4),
            ("A=hunter2 and more\n", 1),
            ("A=1\nB=\"hunter2\n", 2),
            ("my name=hunter2", 1),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("line {line} is not of the form NAME=VALUE"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_no_values() {
        assert!(read(Path::new("/nowhere/.env")).unwrap().is_empty());
    }
}
