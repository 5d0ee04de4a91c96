//! The structural checker: holds a tree against a form and reports every mismatch.

use std::ops::Range;

use super::error::{MAX_KEPT, ManifestError};
use super::form::{Dialect, Form, Format, Key, Table, Tagged};
use super::text::Source;
use super::value::{Entry, Node, Value, join};
use super::{formats, keys};

/// The longest key that an author may choose.
const MAX_KEY_BYTES: usize = 256;

/// How many known names are looked at for one that is near.
const MAX_CANDIDATES: usize = 200;

/// Checks a whole manifest.
pub(crate) fn check(
    source: &Source<'_>,
    dialect: Dialect,
    root: &Node,
    errors: &mut Vec<ManifestError>,
) {
    let table = match dialect {
        Dialect::Spin1 => &keys::SPIN_1,
        Dialect::Spin2 | Dialect::Dayfly => &keys::MANIFEST,
    };
    check_table(source, dialect, root, table, errors);
}

/// Checks a whole text that is one table.
pub(crate) fn check_table(
    source: &Source<'_>,
    dialect: Dialect,
    root: &Node,
    table: &Table,
    errors: &mut Vec<ManifestError>,
) {
    let mut checker = Checker { source, dialect, errors };
    checker.table(root, &(0..0), table, "");
}

/// Checks the HTTP triggers of a manifest of version 1 that was rewritten as version 2: there, each
/// stands in its component.
pub(crate) fn check_http_triggers(
    source: &Source<'_>,
    root: &Node,
    errors: &mut Vec<ManifestError>,
) {
    let mut checker = Checker { source, dialect: Dialect::Spin1, errors };
    let triggers = root.get("trigger").map_or(&[][..], |triggers| triggers.list("http"));
    for trigger in triggers {
        let component = trigger.text("component").unwrap_or_default();
        let path = format!("{}.trigger", join("component", component));
        // These two were made up from the component's own id.
        let stated =
            trigger.entries().iter().filter(|e| !["id", "component"].contains(&e.key.as_str()));
        let stated =
            Node { span: trigger.span.clone(), value: Value::Table(stated.cloned().collect()) };
        checker.table(&stated, &trigger.span, &keys::HTTP_TRIGGER, &path);
    }
}

struct Checker<'c, 't> {
    source: &'c Source<'t>,
    dialect: Dialect,
    errors: &'c mut Vec<ManifestError>,
}

impl Checker<'_, '_> {
    fn report(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        if self.errors.len() >= MAX_KEPT {
            return;
        }
        self.errors.push(self.source.error(span, message).maybe_hint(hint));
    }

    /// `header` is where the value is named, for what is missing in it.
    fn form(&mut self, node: &Node, header: &Range<usize>, form: &Form, path: &str) {
        match (form, &node.value) {
            (Form::Free, _) | (Form::Bool, Value::Bool(_)) => {}
            (Form::Text(format), Value::Text(text)) => self.text(&node.span, text, format, path),
            (Form::Secret(format), Value::Text(text)) => {
                if let Err(mistake) = (format.check)(text) {
                    let message =
                        format!("`{path}` is not {}: it {}", format.name, mistake.problem);
                    self.report(&node.span, message, mistake.hint);
                }
            }
            (Form::Integer { min, max }, Value::Integer(value)) => {
                if value < min || value > max {
                    let message = format!("`{path}` must be from {min} to {max}, not {value}");
                    self.report(&node.span, message, None);
                }
            }
            (Form::List(item), Value::List(items)) => {
                for (i, node) in items.iter().enumerate() {
                    self.form(node, &node.span, item, &format!("{path}[{i}]"));
                }
            }
            (Form::Map { key, value }, Value::Table(entries)) => {
                for entry in entries {
                    self.other(entry, key, value, path);
                }
            }
            (Form::Table(table), Value::Table(_)) => self.table(node, header, table, path),
            (Form::Tagged(tagged), Value::Table(_)) => self.tagged(node, header, tagged, path),
            (Form::OneOf(forms), _) => self.one_of(node, header, forms, path),
            _ => self.mismatch(node, std::slice::from_ref(form), path),
        }
    }

    fn text(&mut self, span: &Range<usize>, text: &str, format: &Format, path: &str) {
        if let Err(mistake) = (format.check)(text) {
            let shown: String = text.chars().take(80).collect();
            let message = format!("`{path}` is not {}: {shown:?} {}", format.name, mistake.problem);
            self.report(span, message, mistake.hint);
        }
    }

    /// A key that the author chose, with its value.
    fn other(&mut self, entry: &Entry, key: &Format, value: &Form, path: &str) {
        // Each path in it repeats the key.
        if entry.key.len() > MAX_KEY_BYTES {
            let message = format!("a key is longer than {MAX_KEY_BYTES} bytes");
            return self.report(&entry.key_span, message, None);
        }
        let inner = join(path, &entry.key);
        if let Err(mistake) = (key.check)(&entry.key) {
            let place = inside(path);
            let message =
                format!("key {:?}{place} is not {}: it {}", entry.key, key.name, mistake.problem);
            self.report(&entry.key_span, message, mistake.hint);
        }
        self.form(&entry.node, &entry.key_span, value, &inner);
    }

    fn table(&mut self, node: &Node, header: &Range<usize>, table: &Table, path: &str) {
        for entry in node.entries() {
            match (table.key(&entry.key), table.others) {
                (Some(key), _) if key.dayfly_only && self.dialect != Dialect::Dayfly => {
                    self.foreign(entry, path);
                }
                (Some(key), _) => {
                    let inner = join(path, key.name);
                    self.form(&entry.node, &entry.key_span, &key.form, &inner);
                }
                (None, Some((key, form))) => self.other(entry, key, form, path),
                (None, None) => self.unknown(entry, table, path),
            }
        }
        let missing = |key: &&Key| key.required && node.entry(key.name).is_none();
        for key in table.keys.iter().filter(missing) {
            let message = match path {
                "" => format!("`{}` is missing", key.name),
                _ => format!("`{path}` lacks `{}`", key.name),
            };
            let hint = format!("add `{}`: {}", key.name, clause(key.doc));
            self.report(header, message, Some(hint));
        }
    }

    fn foreign(&mut self, entry: &Entry, path: &str) {
        let message = format!(
            "`{}` is a key of `dayfly.toml`, not of Spin's manifest",
            join(path, &entry.key)
        );
        let hint = match self.dialect {
            Dialect::Spin2 => {
                "replace `spin_manifest_version = 2` by `dayfly = 1`; nothing else changes"
            }
            _ => "write the manifest in version 2 first, then replace its version by `dayfly = 1`",
        };
        self.report(&entry.key_span, message, Some(hint.to_owned()));
    }

    fn unknown(&mut self, entry: &Entry, table: &Table, path: &str) {
        let known: Vec<_> = table
            .keys
            .iter()
            .filter(|key| self.dialect == Dialect::Dayfly || !key.dayfly_only)
            .map(|key| key.name)
            .collect();
        let place = inside(path);
        let hint = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", list(&known)),
        };
        self.report(&entry.key_span, format!("unknown key `{}`{place}", entry.key), Some(hint));
    }

    fn tagged(&mut self, node: &Node, header: &Range<usize>, tagged: &Tagged, path: &str) {
        let tag = tagged.tag;
        let names: Vec<_> = tagged.tables.iter().map(|(name, _)| *name).collect();
        let Some(stated) = node.entry(tag) else {
            let message = format!("`{path}` lacks `{tag}`");
            return self.report(header, message, Some(format!("known here: {}", list(&names))));
        };
        let inner = join(path, tag);
        let span = &stated.node.span;
        let Some(value) = stated.node.as_text() else {
            return self.mismatch(&stated.node, &[Form::Text(&formats::TEXT)], &inner);
        };
        if let Some((_, table)) = tagged.tables.iter().find(|(name, _)| *name == value) {
            return self.table(node, header, table, path);
        }
        // What else stands in such a table says nothing about Dayfly.
        if let Some((name, hint)) = tagged.refused.iter().find(|(name, _)| *name == value) {
            let message = format!("`{inner}` is `{name}`, which Dayfly does not serve");
            return self.report(span, message, Some((*hint).to_owned()));
        }
        let shown: String = value.chars().take(80).collect();
        let hint = match nearest(value, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known here: {}", list(&names)),
        };
        self.report(span, format!("`{inner}` is not known: {shown:?}"), Some(hint));
    }

    fn one_of(&mut self, node: &Node, header: &Range<usize>, forms: &[Form], path: &str) {
        let fitting: Vec<_> = forms.iter().filter(|form| fits(form, node)).collect();
        match fitting.as_slice() {
            [] => self.mismatch(node, forms, path),
            [form] => self.form(node, header, form, path),
            several => match alternative(node, several) {
                Some(table) => self.table(node, header, table, path),
                None => {
                    let message = format!("`{path}` is none of the tables allowed here");
                    self.report(&node.span, message, Some(alternatives(node, several)));
                }
            },
        }
    }

    fn mismatch(&mut self, node: &Node, forms: &[Form], path: &str) {
        let wanted: Vec<_> = forms.iter().map(describe).collect();
        let message = format!("`{path}` must be {}, not {}", wanted.join(" or "), node.kind());
        let hint = forms.iter().find_map(|form| mend(form, node, path));
        self.report(&node.span, message, hint);
    }
}

/// Whether the kind of value is right.
fn fits(form: &Form, node: &Node) -> bool {
    match form {
        Form::Text(_) | Form::Secret(_) => matches!(node.value, Value::Text(_)),
        Form::Bool => matches!(node.value, Value::Bool(_)),
        Form::Integer { .. } => matches!(node.value, Value::Integer(_)),
        Form::List(_) => matches!(node.value, Value::List(_)),
        Form::Map { .. } | Form::Table(_) | Form::Tagged(_) => {
            matches!(node.value, Value::Table(_))
        }
        Form::OneOf(forms) => forms.iter().any(|form| fits(form, node)),
        Form::Free => true,
    }
}

/// How to mend a table that has no key of any table allowed in its place.
fn alternatives(node: &Node, forms: &[&Form]) -> String {
    let keys = forms.iter().flat_map(|form| match form {
        Form::Table(table) => table.keys,
        _ => &[],
    });
    let names: Vec<_> = keys.map(|key| key.name).collect();
    let mut stated = node.entries().iter();
    match stated.find_map(|entry| Some((entry, nearest(&entry.key, names.iter().copied())?))) {
        Some((entry, near)) => format!("did you mean `{near}` by `{}`?", entry.key),
        None => {
            let shapes: Vec<_> = forms.iter().map(|form| describe(form)).collect();
            format!("write {}", shapes.join(", or "))
        }
    }
}

/// The table that shares most keys with the value, the earliest of equals.
fn alternative(node: &Node, forms: &[&Form]) -> Option<&'static Table> {
    let tables = forms.iter().filter_map(|form| match form {
        Form::Table(table) => Some(*table),
        _ => None,
    });
    let shared = |table: &Table| {
        let known = node.entries().iter().filter_map(|entry| table.key(&entry.key));
        // A required key says more about what was meant than an optional one.
        known.map(|key| 1 + usize::from(key.required)).sum::<usize>()
    };
    let best = tables
        .map(|table| (shared(table), table))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (best.0 > 0).then_some(best.1)
}

/// Whether a path can stand in a table's header.
fn is_header(path: &str) -> bool {
    !path.contains('[')
}

fn tables(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Table(_)))
}

/// What a form is, with its article.
fn describe(form: &Form) -> String {
    match form {
        Form::Text(_) | Form::Secret(_) => "a string".to_owned(),
        Form::Bool => "a boolean".to_owned(),
        Form::Integer { .. } => "an integer".to_owned(),
        Form::List(_) => "a list".to_owned(),
        Form::Map { .. } => "a table".to_owned(),
        Form::Table(table) => {
            let required: Vec<_> =
                table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
            match required.is_empty() {
                true => "a table".to_owned(),
                false => format!("a table with {}", list(&required)),
            }
        }
        Form::Tagged(tagged) => format!("a table with `{}`", tagged.tag),
        Form::OneOf(forms) => forms.iter().map(describe).collect::<Vec<_>>().join(" or "),
        Form::Free => "anything".to_owned(),
    }
}

/// How to mend a value of the wrong kind, where it can be guessed.
fn mend(form: &Form, node: &Node, path: &str) -> Option<String> {
    match (form, &node.value) {
        (
            Form::Text(_) | Form::Secret(_),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_),
        ) => Some("put the value in quotes".to_owned()),
        (Form::Bool, Value::Text(text)) if text == "true" || text == "false" => {
            Some(format!("write {text} without quotes"))
        }
        (Form::Integer { .. }, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Form::List(Form::Table(_) | Form::Tagged(_)), Value::Table(_)) if is_header(path) => {
            Some(format!("write `[[{path}]]` with two brackets: there may be several"))
        }
        (Form::List(_), Value::Text(text)) => Some(format!("write [{text:?}]")),
        (Form::Table(_) | Form::Tagged(_), Value::List(items))
            if is_header(path) && tables(items) =>
        {
            Some(format!("write `[{path}]` with one bracket: there is only one"))
        }
        (Form::Map { .. }, Value::List(_)) => Some("write a table: `{ NAME = … }`".to_owned()),
        _ => None,
    }
}

/// ` in PATH`, nothing at the top.
fn inside(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in `{path}`") }
}

/// A sentence as the end of another one: in lower case unless it begins with an abbreviation, and
/// without its full stop.
fn clause(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The known name that `name` is probably a slip for.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Long strings are no slips, and the distance costs their lengths' product.
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_lowercase().replace('-', "_");
    let known: Vec<_> = known.take(MAX_CANDIDATES).collect();
    let close = known
        .iter()
        .map(|candidate| {
            let other = candidate.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&lower, &other), *candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    // `status` for `status_code`.
    let begins = |candidate: &&&str| {
        lower.len() >= 4 && candidate.strip_prefix(&lower).is_some_and(|rest| rest.starts_with('_'))
    };
    close.or_else(|| known.iter().find(begins).copied())
}
