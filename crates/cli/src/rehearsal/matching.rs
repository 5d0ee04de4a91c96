//! Whether a text is like what a test says, and what is told if it is not.

use dayfly_model::test_file::Matcher;
use serde_json::Value;

use super::content::{bytes, shown};
use super::json::{Difference, difference};

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What was looked at: `status`, `header location`.
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl Mismatch {
    /// That something could not be done at all.
    pub(super) fn error(what: &str, error: &anyhow::Error) -> Self {
        let (expected, got) = ("to be done".to_owned(), format!("an error: {error:#}"));
        Self { what: what.to_owned(), expected, got }
    }
}

/// Whether something is as expected.
pub(super) fn fits(matcher: &Matcher, got: Option<&[u8]>) -> bool {
    mismatches("", matcher, got).is_empty()
}

/// All that is otherwise than expected; `got` is nothing where there is nothing.
pub(super) fn mismatches(what: &str, matcher: &Matcher, got: Option<&[u8]>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut tell = |expected: String, got: String| {
        found.push(Mismatch { what: what.to_owned(), expected, got });
    };
    let got = match (matcher.absent, got) {
        (true, None) => return found,
        (true, Some(got)) => {
            tell("nothing".to_owned(), shown(got));
            return found;
        }
        (false, None) => {
            tell(described(matcher), "nothing".to_owned());
            return found;
        }
        (false, Some(got)) => got,
    };
    match matcher.equals.as_ref().map(bytes) {
        Some(Ok(expected)) if expected != got => tell(shown(&expected), shown(got)),
        Some(Err(error)) => tell(format!("{error:#}"), shown(got)),
        _ => {}
    }
    let text = String::from_utf8_lossy(got);
    for part in matcher.contains.iter().filter(|part| !text.contains(&***part)) {
        tell(format!("to contain {part:?}"), shown(got));
    }
    for part in matcher.lacks.iter().filter(|part| text.contains(&***part)) {
        tell(format!("not to contain {part:?}"), shown(got));
    }
    if let Some(regex) = matcher.regex.as_ref().filter(|regex| !regex.is_match(&text)) {
        tell(format!("to match `{regex}`"), shown(got));
    }
    if matcher.json.is_some() || !matcher.at.is_empty() {
        match serde_json::from_slice::<Value>(got) {
            Ok(value) => found.extend(in_json(what, matcher, &value)),
            Err(error) => tell(described(matcher), format!("no JSON ({error}): {}", shown(got))),
        }
    }
    found
}

fn in_json(what: &str, matcher: &Matcher, value: &Value) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if let Some(expected) = &matcher.json
        && let Some(Difference { at, expected, got }) = difference(expected, value)
    {
        let what = if at.is_empty() { what.to_owned() } else { format!("{what} at {at}") };
        let got = got.map_or_else(|| "nothing".to_owned(), Value::to_string);
        found.push(Mismatch { what, expected: expected.to_string(), got: shown(got.as_bytes()) });
    }
    for (pointer, matcher) in &matcher.at {
        let what = format!("{what} at {pointer}");
        // A text is matched by what it says, all else by how it is written.
        let (json, text) = match value.pointer(pointer) {
            Some(Value::String(text)) => (Some(Value::String(text.clone())), Some(text.clone())),
            Some(other) => (Some(other.clone()), Some(other.to_string())),
            None => (None, None),
        };
        let is_plain = matcher.json.is_some() || !matcher.at.is_empty();
        let text = match (is_plain, json) {
            (true, Some(json)) => Some(json.to_string()),
            _ => text,
        };
        found.extend(mismatches(&what, matcher, text.as_deref().map(str::as_bytes)));
    }
    found
}

/// What a matcher wants, in few words.
fn described(matcher: &Matcher) -> String {
    if let Some(Ok(equals)) = matcher.equals.as_ref().map(bytes) {
        return shown(&equals);
    }
    if let Some(part) = matcher.contains.first() {
        return format!("to contain {part:?}");
    }
    if let Some(regex) = &matcher.regex {
        return format!("to match `{regex}`");
    }
    match (&matcher.json, matcher.at.first()) {
        (Some(json), _) => json.to_string(),
        (None, Some((pointer, _))) => format!("JSON with something at {pointer}"),
        (None, None) => "something".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dayfly_model::TestFile;
    use dayfly_model::test_file::Matcher;

    use super::*;

    fn matcher(text: &str) -> Matcher {
        let text = format!("[[test]]\nname = \"a\"\nrequest = \"/\"\nexpect.body = {text}\n");
        let mut file = TestFile::parse(&text, "a.toml", Path::new(".")).unwrap();
        file.tests.remove(0).steps.remove(0).expect.body.unwrap()
    }

    fn told(text: &str, got: &str) -> Vec<String> {
        let found = mismatches("body", &matcher(text), Some(got.as_bytes()));
        found.into_iter().map(|it| format!("{}: {} / {}", it.what, it.expected, it.got)).collect()
    }

    #[test]
    fn what_fits_is_not_told() {
        for (text, got) in [
            ("\"hello\"", "hello"),
            ("{ contains = \"ell\" }", "hello"),
            ("{ contains = [\"he\", \"lo\"], lacks = \"x\" }", "hello"),
            ("{ regex = '^h.*\\d$' }", "hello 1"),
            ("{ json = { a = [1, 2] } }", "{\"a\": [1, 2], \"b\": 3}"),
            ("{ json = 'null' }", "null"),
            ("{ at.\"/a/0\" = \"x\" }", "{\"a\": [\"x\"]}"),
            ("{ at.\"/a\" = { regex = '^\\d+$' } }", "{\"a\": 12}"),
            ("{ at.\"/a\" = { regex = '^x$' } }", "{\"a\": \"x\"}"),
            ("{ at.\"/b\" = { absent = true } }", "{}"),
            ("{ at.\"/a\" = { json = { c = 1 } } }", "{\"a\": {\"c\": 1, \"d\": 2}}"),
        ] {
            assert_eq!(told(text, got), [""; 0], "{text}");
        }
        assert!(fits(&matcher("{ absent = true }"), None));
    }

    #[test]
    fn what_does_not_is_told_with_its_place() {
        for (text, got, expected) in [
            ("\"hello\"", "hallo", "body: hello / hallo"),
            ("{ contains = \"x\" }", "hello", "body: to contain \"x\" / hello"),
            ("{ lacks = \"l\" }", "hello", "body: not to contain \"l\" / hello"),
            ("{ regex = '^l' }", "hello", "body: to match `^l` / hello"),
            ("{ json = { a = [1] } }", "{\"a\": [2]}", "body at /a/0: 1 / 2"),
            ("{ at.\"/a\" = \"1\" }", "{\"a\": 1}", "body at /a: \"1\" / 1"),
            ("{ absent = true }", "x", "body: nothing / x"),
        ] {
            assert_eq!(told(text, got), [expected], "{text}");
        }
        assert!(told("{ json = {} }", "hello")[0].starts_with("body: {} / no JSON"));
        assert_eq!(mismatches("a", &matcher("\"x\""), None)[0].got, "nothing");
    }
}
