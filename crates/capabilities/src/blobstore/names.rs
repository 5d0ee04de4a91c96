//! Names of objects, and the names of the files that hold them. A file's name is the object's, as
//! far as a file can have it, so that people find what they look for.

use super::Error;

/// The longest name of a file, and the longest key of a bucket behind its prefix, in bytes.
const MOST_BYTES: usize = 255;

/// The name of the file that holds an object: `%XX` stands for what a file's name cannot have, what
/// hides a file, and `%` itself.
pub(super) fn encode(name: &str) -> Result<String, Error> {
    escape(name, |before, character, _| match character {
        '/' | '%' | '\\' => true,
        '.' => before.is_none(),
        other => other.is_control(),
    })
}

/// The name of the object that a file holds; `None` for files of others.
pub(super) fn decode(file: &str) -> Option<String> {
    unescape(file, encode)
}

/// A name with `%XX` for each character that is foreign, told by the one before it, itself, and
/// whether it is the last.
pub(super) fn escape(
    name: &str,
    is_foreign: impl Fn(Option<char>, char, bool) -> bool,
) -> Result<String, Error> {
    if name.is_empty() || name.len() > MOST_BYTES {
        return Err(Error::Name);
    }
    let mut escaped = String::with_capacity(name.len());
    let mut characters = name.chars().peekable();
    let mut before = None;
    while let Some(character) = characters.next() {
        if is_foreign(before, character, characters.peek().is_none()) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        } else {
            escaped.push(character);
        }
        before = Some(character);
    }
    if escaped.len() > MOST_BYTES { Err(Error::Name) } else { Ok(escaped) }
}

/// The name that `encode` makes `text` of; `None` where it makes no name that.
pub(super) fn unescape(text: &str, encode: fn(&str) -> Result<String, Error>) -> Option<String> {
    let name = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    (encode(&name).ok()? == text).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_come_back() {
        for (name, file) in [
            ("cat.png", "cat.png"),
            ("a/b/../c", "a%2Fb%2F..%2Fc"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("100%", "100%25"),
            ("größe 漢字", "größe 漢字"),
            ("line\nbreak\0", "line%0Abreak%00"),
            ("back\\slash", "back%5Cslash"),
        ] {
            assert_eq!(encode(name).unwrap(), file);
            assert_eq!(decode(file).unwrap(), name);
        }
        for foreign in [".tmp123", "%2", "%2e.", "%41", "%FF", "a%2fb"] {
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
