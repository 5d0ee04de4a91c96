//! Forms: the vocabulary in which [`super::keys`] describes every table and key.

use super::error::ManifestError;
use super::text::Source;
use super::value::{Node, Value};

/// What a value must look like.
pub(crate) enum Form {
    /// A string of a format.
    Text(&'static Format),
    /// A string of a format that no message shows.
    Secret(&'static Format),
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    List(&'static Form),
    /// A table whose keys the author chooses.
    Map {
        key: &'static Format,
        value: &'static Form,
    },
    Table(&'static Table),
    /// One of several tables, told apart by the text at one key.
    Tagged(&'static Tagged),
    /// One of several, told apart by the kind of value and, among tables, by their keys.
    OneOf(&'static [Form]),
    /// Anything: settings that other tools or triggers read.
    Free,
}

/// What a string must look like.
pub(crate) struct Format {
    /// With its article: `a component id`.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    /// What a JSON schema can say about it, a regular expression.
    pub(crate) pattern: Option<&'static str>,
    pub(crate) check: fn(&str) -> Result<(), Mistake>,
}

/// Why a string is not of a format.
pub(crate) struct Mistake {
    /// Continues `the value "…" `.
    pub(crate) problem: String,
    pub(crate) hint: Option<String>,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.hint {
            None => f.write_str(&self.problem),
            Some(hint) => write!(f, "{} ({hint})", self.problem),
        }
    }
}

/// Tables that a key tells apart.
pub(crate) struct Tagged {
    /// The key.
    pub(crate) tag: &'static str,
    /// Its values, each with the table that it stands for.
    pub(crate) tables: &'static [(&'static str, &'static Table)],
    /// Values that others know and Dayfly does not serve, each with what to do instead.
    pub(crate) refused: &'static [(&'static str, &'static str)],
}

/// A table whose keys are known.
pub(crate) struct Table {
    /// How the reference page and the schema name it.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
    /// What other keys hold, if others are allowed.
    pub(crate) others: Option<(&'static Format, &'static Form)>,
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) doc: &'static str,
    pub(crate) required: bool,
    /// The default as the reference page shows it; empty when there is none to show.
    pub(crate) default: &'static str,
    /// Only `dayfly.toml` has it.
    pub(crate) dayfly_only: bool,
    /// What replaced it, if it is there only for old manifests.
    pub(crate) deprecated: &'static str,
}

impl Key {
    pub(crate) const fn new(name: &'static str, form: Form, doc: &'static str) -> Self {
        Self { name, form, doc, required: false, default: "", dayfly_only: false, deprecated: "" }
    }

    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(crate) const fn dayfly(self) -> Self {
        Self { dayfly_only: true, ..self }
    }

    pub(crate) const fn deprecated(self, instead: &'static str) -> Self {
        Self { deprecated: instead, ..self }
    }
}

impl Table {
    pub(crate) const fn new(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self { name, doc, keys, others: None }
    }

    pub(crate) const fn others(self, key: &'static Format, form: &'static Form) -> Self {
        Self { others: Some((key, form)), ..self }
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The language that a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Spin1,
    Spin2,
    Dayfly,
}

const VERSION_HINT: &str =
    "begin the manifest with `dayfly = 1`, or `spin_manifest_version = 2` for Spin's";

impl Dialect {
    /// Reads the version at the top of a manifest.
    pub(crate) fn detect(
        source: &Source<'_>,
        root: &Node,
        errors: &mut Vec<ManifestError>,
    ) -> Option<Self> {
        let keys = ["dayfly", "spin_manifest_version", "spin_version"];
        let mut stated = keys.iter().filter_map(|key| root.entry(key));
        let Some(entry) = stated.next() else {
            errors.push(source.error(&(0..0), "no manifest version").hint(VERSION_HINT));
            return None;
        };
        if let Some(second) = stated.next() {
            let message =
                format!("both `{}` and `{}` state the manifest's version", entry.key, second.key);
            errors.push(source.error(&second.key_span, message).hint("keep one of them"));
            return None;
        }
        match (entry.key.as_str(), &entry.node.value) {
            ("dayfly", Value::Integer(1)) => Some(Self::Dayfly),
            ("spin_manifest_version", Value::Integer(2)) => Some(Self::Spin2),
            ("spin_manifest_version" | "spin_version", Value::Text(text)) if text == "1" => {
                Some(Self::Spin1)
            }
            (key, _) => {
                let hint = match key {
                    "dayfly" => "write `dayfly = 1`",
                    "spin_version" => "write `spin_version = \"1\"`",
                    _ => "write `spin_manifest_version = 2`, or \"1\" in quotes for version 1",
                };
                let message = format!("`{key}` states a version that this Dayfly does not know");
                errors.push(source.error(&entry.node.span, message).hint(hint));
                None
            }
        }
    }
}
