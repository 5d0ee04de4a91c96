//! TOML as a tree that remembers where each key and value stands, in the text's order.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::ManifestError;
use super::text::Source;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// Parses the text; what is malformed is reported and left out. Nesting is bounded by the parser.
pub(crate) fn parse(source: &Source<'_>, errors: &mut Vec<ManifestError>) -> Node {
    let (table, problems) = DeTable::parse_recoverable(source.text());
    for problem in problems {
        let end = source.text().len();
        let span = problem.span().unwrap_or(end..end);
        errors.push(source.error(&span, format!("not TOML: {}", problem.message())));
    }
    let span = table.span();
    Node { span: span.clone(), value: table_of(source, table.into_inner(), errors) }
}

fn table_of(source: &Source<'_>, table: DeTable<'_>, errors: &mut Vec<ManifestError>) -> Value {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let span = value.span();
            Entry {
                key_span: key.span(),
                key: key.into_inner().into_owned(),
                node: Node { value: value_of(source, &span, value.into_inner(), errors), span },
            }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Value::Table(entries)
}

fn value_of(
    source: &Source<'_>,
    span: &Range<usize>,
    value: DeValue<'_>,
    errors: &mut Vec<ManifestError>,
) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            Value::Integer(parsed.unwrap_or_else(|_| {
                let shown = match source.is_secret() {
                    true => String::new(),
                    false => format!(" `{integer}`"),
                };
                errors.push(source.error(span, format!("integer{shown} is out of range")));
                0
            }))
        }
        // Every float that TOML allows parses in Rust; no key takes one anyway.
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(bool) => Value::Bool(bool),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => Value::List(
            list.into_iter()
                .map(|value| {
                    let span = value.span();
                    Node { value: value_of(source, &span, value.into_inner(), errors), span }
                })
                .collect(),
        ),
        DeValue::Table(table) => table_of(source, table, errors),
    }
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)?.value {
            Value::Bool(bool) => Some(bool),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key)?.value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list at `key`; none if there is no list.
    pub(crate) fn list(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    /// The texts of the list at `key`.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.list(key).iter().filter_map(Node::as_text);
        texts.map(str::to_owned).collect()
    }

    /// What the value is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Bool(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as JSON, for settings that the model does not know.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Text(text) | Value::Date(text) => Json::String(text.clone()),
            Value::Integer(integer) => (*integer).into(),
            Value::Float(float) => (*float).into(),
            Value::Bool(bool) => Json::Bool(*bool),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json()));
                Json::Object(pairs.collect())
            }
        }
    }
}

/// A key as part of a dotted path, quoted where TOML needs it.
pub(crate) fn quoted(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// `path.key`, or `key` at the top.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { quoted(key) } else { format!("{path}.{}", quoted(key)) }
}
