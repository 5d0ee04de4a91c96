//! Names of objects, and their keys in a bucket, which are the same as far as every server and
//! every client can have them.

use super::super::Error;

/// The longest key behind a container's prefix, in bytes, as files have it.
const KEY_BYTES: usize = 255;

/// The key of an object: `%XX` stands for `%` itself and for what servers and clients take for
/// something else: a `.` at the beginning of a segment, a `/` that ends no segment, a space at the
/// end, `\`, and what is no text in XML.
pub(in super::super) fn encode(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.len() > KEY_BYTES {
        return Err(Error::Name);
    }
    let mut key = String::with_capacity(name.len());
    let mut characters = name.chars().peekable();
    let mut begins = true;
    while let Some(character) = characters.next() {
        let ends = characters.peek().is_none();
        let foreign = match character {
            '%' | '\\' | '\u{fffe}' | '\u{ffff}' => true,
            '.' => begins,
            '/' => begins || ends,
            ' ' => ends,
            other => other.is_control(),
        };
        begins = character == '/';
        if foreign {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                key.push_str(&format!("%{byte:02X}"));
            }
        } else {
            key.push(character);
        }
    }
    if key.len() > KEY_BYTES { Err(Error::Name) } else { Ok(key) }
}

/// A text as one segment of a prefix; `None` for what is too long or empty.
pub(super) fn encode_segment(text: &str) -> Option<String> {
    super::super::names::encode(text).ok()
}

/// The name of the object that has a key; `None` for what is not ours.
pub(super) fn decode(key: &str) -> Option<String> {
    let name = percent_encoding::percent_decode_str(key).decode_utf8().ok()?;
    (encode(&name).ok()? == key).then(|| name.into_owned())
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
