//! From a tree that was checked to what texts must be like.

use std::path::Path;

use super::formats::regex;
use super::{Content, Matcher};
use crate::manifest::error::ManifestError;
use crate::manifest::text::Source;
use crate::manifest::value::{Node, Value};

/// What lowering needs wherever it is.
pub(super) struct Lowering<'l, 't> {
    pub(super) source: &'l Source<'t>,
    pub(super) folder: &'l Path,
    pub(super) errors: &'l mut Vec<ManifestError>,
}

/// The keys by which a table may state the bytes of something.
const CONTENTS: [&str; 3] = ["body", "json", "file"];

impl Lowering<'_, '_> {
    pub(super) fn report(&mut self, node: &Node, message: impl Into<String>, hint: &str) {
        self.errors.push(self.source.error(&node.span, message).hint(hint));
    }

    /// A value as JSON; a text is JSON itself.
    fn json(&mut self, node: &Node) -> serde_json::Value {
        let Some(text) = node.as_text() else { return node.to_json() };
        match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let hint = "a text here is JSON itself: a string is written '\"text\"'";
                self.report(node, format!("`json` is not JSON: {error}"), hint);
                serde_json::Value::Null
            }
        }
    }

    fn file(&self, text: &str) -> Content {
        Content::File(self.folder.join(text))
    }

    /// What a text or a table with `json` or `file` means.
    pub(super) fn content(&mut self, node: &Node) -> Content {
        match node.as_text() {
            Some(text) => Content::Text(text.to_owned()),
            None => self.contents(node).unwrap_or_else(|| {
                if matches!(node.value, Value::Table(_)) {
                    let hint = "write a text, `{ json = … }` or `{ file = \"…\" }`";
                    self.report(node, "this says nothing of what it holds", hint);
                }
                Content::Text(String::new())
            }),
        }
    }

    /// What one of the keys `body`, `json` and `file` of a table states.
    pub(super) fn contents(&mut self, node: &Node) -> Option<Content> {
        let mut stated = CONTENTS.iter().filter_map(|key| node.entry(key));
        let first = stated.next()?;
        if let Some(second) = stated.next() {
            let message = format!("both `{}` and `{}` say what it holds", first.key, second.key);
            let error = self.source.error(&second.key_span, message);
            self.errors.push(error.hint("keep one of them"));
        }
        match first.key.as_str() {
            "json" => Some(Content::Json(self.json(&first.node))),
            "file" => Some(self.file(first.node.as_text()?)),
            _ => Some(Content::Text(first.node.as_text()?.to_owned())),
        }
    }

    /// What a text must be like; a text alone is what it must be equal to.
    pub(super) fn matcher(&mut self, node: &Node) -> Matcher {
        if let Some(text) = node.as_text() {
            return Matcher { equals: Some(Content::Text(text.to_owned())), ..Matcher::default() };
        }
        let matcher = Matcher {
            equals: self.equals(node),
            contains: texts(node, "contains"),
            lacks: texts(node, "lacks"),
            regex: node.text("regex").and_then(|text| regex(text).ok()),
            json: node.get("json").map(|node| self.json(node)),
            at: self.places(node),
            absent: node.bool("absent").unwrap_or(false),
        };
        let states = node.entries().iter().filter(|entry| entry.key != "absent").count();
        match (matcher.absent, states) {
            (true, 1..) => {
                self.report(node, "what is absent is like nothing else", "keep `absent` alone");
            }
            (false, 0) if matches!(node.value, Value::Table(_)) => {
                self.report(node, "nothing is expected here", "state `equals`, `contains` …");
            }
            _ => {}
        }
        matcher
    }

    fn equals(&mut self, node: &Node) -> Option<Content> {
        if let (Some(_), Some(file)) = (node.get("equals"), node.entry("file")) {
            let error =
                self.source.error(&file.key_span, "both `equals` and `file` say what it is");
            self.errors.push(error.hint("keep one of them"));
        }
        let text = node.text("equals").map(|text| Content::Text(text.to_owned()));
        text.or_else(|| node.text("file").map(|file| self.file(file)))
    }

    fn places(&mut self, node: &Node) -> Vec<(String, Matcher)> {
        let places = node.get("at").map_or(&[][..], Node::entries).iter();
        let at = places.map(|place| {
            let matcher = match place.node.value {
                Value::Table(_) => self.matcher(&place.node),
                _ => Matcher { json: Some(place.node.to_json()), ..Matcher::default() },
            };
            (place.key.clone(), matcher)
        });
        at.collect()
    }
}

/// The texts at a key, which is one or a list.
fn texts(node: &Node, key: &str) -> Vec<String> {
    match node.text(key) {
        Some(text) => vec![text.to_owned()],
        None => node.texts(key),
    }
}
