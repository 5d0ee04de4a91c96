//! Names of new apps and components: they become folders, keys of manifests and names of packages, so
//! they are words of ASCII in lower case and nothing else.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The longest name, in bytes.
const MAX_BYTES: usize = 64;

/// Words of lower-case letters and digits joined by `-`; the first begins with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same with a number behind it.
    pub(crate) fn numbered(&self, number: u32) -> Self {
        Self(format!("{}-{number}", self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
        if text.is_empty() {
            return Err("a name is not empty".to_owned());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("a name has at most {MAX_BYTES} characters"));
        }
        if let Some(other) = text.chars().find(|c| !is_legal(c)) {
            return Err(format!(
                "a name has only lower-case letters, digits and `-`, not {other:?}"
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err("a name begins with a letter".to_owned());
        }
        if text.split('-').any(str::is_empty) {
            return Err("a `-` of a name joins two words".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
