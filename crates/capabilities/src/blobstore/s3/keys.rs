//! Names of objects, and their keys in a bucket, which are the same as far as every server and
//! every client can have them.

use super::super::{Error, names};

/// The key of an object: `%XX` stands for `%` itself and for what servers and clients take for
/// something else: a `.` at the beginning of a segment, a `/` that ends no segment, a space at the
/// end, `\`, and what is no text in XML.
pub(in super::super) fn encode(name: &str) -> Result<String, Error> {
    names::escape(name, |before, character, ends| {
        let begins = before.is_none_or(|before| before == '/');
        match character {
            '%' | '\\' | '\u{fffe}' | '\u{ffff}' => true,
            '.' => begins,
            '/' => begins || ends,
            ' ' => ends,
            other => other.is_control(),
        }
    })
}

/// A text as one segment of a prefix; `None` for what is too long or empty.
pub(super) fn encode_segment(text: &str) -> Option<String> {
    names::encode(text).ok()
}

/// The name of the object that has a key; `None` for what is not ours.
pub(super) fn decode(key: &str) -> Option<String> {
    names::unescape(key, encode)
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    #[test]
    fn names_are_safe_and_come_back() {
        for (name, key) in [
            ("cat.png", "cat.png"),
            ("summer/beach.txt", "summer/beach.txt"),
            ("a/b/../c", "a/b/%2E./c"),
            ("..", "%2E."),
            (".container", "%2Econtainer"),
            ("a/.container", "a/%2Econtainer"),
            ("/", "%2F"),
            ("//a//b/", "%2F%2Fa/%2Fb%2F"),
            ("a/./b", "a/%2E/b"),
            ("100%", "100%25"),
            ("größe 漢字", "größe 漢字"),
            ("a b ", "a b%20"),
            ("line\nbreak\0", "line%0Abreak%00"),
            ("back\\slash", "back%5Cslash"),
            ("\u{ffff}", "%EF%BF%BF"),
            ("?#&+<>\"'*~|", "?#&+<>\"'*~|"),
        ] {
            assert_eq!(encode(name).unwrap(), key);
            assert_eq!(decode(key).unwrap(), name);
            let whole = format!("shop/pictures/{key}");
            assert_eq!(Path::parse(&whole).unwrap().as_ref(), whole);
        }
        for foreign in [".container", "a//b", "a/", "%2", "%2e.", "%41", "%FF", "a%2fb", "a%2Fb"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn names_are_bounded() {
        assert!(encode("").is_err());
        assert!(encode(&"a".repeat(255)).is_ok());
        assert!(encode(&"a".repeat(256)).is_err());
        assert!(encode(&"/".repeat(85)).is_ok());
        assert!(encode(&"/".repeat(86)).is_err());
    }
}
