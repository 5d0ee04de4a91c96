//! The reference page of manifests, in Markdown: one section a table, in the order they are met.

use std::fmt::Write as _;

use super::form::{Form, Format, Table};
use super::keys;

const HEAD: &str = "\
<!-- Generated from crates/model/src/manifest/keys by `UPDATE_GOLDEN=1 cargo test -p dayfly-model`. -->
# Manifest reference

Every table and key of `dayfly.toml`, and of `spin.toml` in versions 1 and 2. A key marked
*Dayfly* is only in `dayfly.toml`, which is otherwise Spin's version 2 with `dayfly = 1` in place
of `spin_manifest_version = 2`. Unknown keys are errors. [`manifest.schema.json`](manifest.schema.json)
says the same to editors.
";

/// The page.
#[must_use]
pub fn reference() -> String {
    page(HEAD, &[&keys::MANIFEST, &keys::SPIN_1])
}

/// A page that begins with `head` and says all of some tables and of what they hold.
pub(crate) fn page(head: &str, tables: &[&'static Table]) -> String {
    let mut page = Page::default();
    for table in tables {
        page.tables_from(table);
    }
    let mut text = head.to_owned();
    for table in &page.tables {
        section(&mut text, table);
    }
    text.push_str("\n## Formats\n\n| a string that is | looks like |\n| --- | --- |\n");
    page.formats.sort_by_key(|format| format.name);
    for format in &page.formats {
        let _ = writeln!(text, "| {} | {} |", format.name, cell(format.doc));
    }
    text
}

/// Writing to a string cannot fail.
fn section(text: &mut String, table: &Table) {
    let _ = write!(text, "\n## {}\n\n{}\n", title(table.name), table.doc);
    if !table.keys.is_empty() {
        text.push_str("\n| key | value | |\n| --- | --- | --- |\n");
    }
    for key in table.keys {
        let mut notes = key.doc.to_owned();
        if key.required {
            notes.push_str(" **Required.**");
        }
        if !key.default.is_empty() {
            let _ = write!(notes, " Default: {}.", key.default);
        }
        if !key.deprecated.is_empty() {
            let _ = write!(notes, " Use `{}` instead.", key.deprecated);
        }
        if key.dayfly_only {
            notes.push_str(" *Dayfly.*");
        }
        let _ = writeln!(text, "| `{}` | {} | {} |", key.name, describe(&key.form), cell(&notes));
    }
    if let Some((_, form)) = table.others {
        let _ = writeln!(text, "\nAny other key holds {}.", describe(form));
    }
}

#[derive(Default)]
struct Page {
    tables: Vec<&'static Table>,
    formats: Vec<&'static Format>,
}

impl Page {
    fn tables_from(&mut self, table: &'static Table) {
        if self.tables.iter().any(|known| std::ptr::eq(*known, table)) {
            return;
        }
        self.tables.push(table);
        for key in table.keys {
            self.forms(&key.form);
        }
        if let Some((_, form)) = table.others {
            self.forms(form);
        }
    }

    fn forms(&mut self, form: &'static Form) {
        match form {
            Form::Text(format) | Form::Secret(format) => self.format(format),
            Form::Bool | Form::Integer { .. } | Form::Free => {}
            Form::List(item) => self.forms(item),
            Form::Map { key, value } => {
                self.format(key);
                self.forms(value);
            }
            Form::Table(table) => self.tables_from(table),
            Form::Tagged(tagged) => {
                tagged.tables.iter().for_each(|(_, table)| self.tables_from(table));
            }
            Form::OneOf(forms) => forms.iter().for_each(|form| self.forms(form)),
        }
    }

    fn format(&mut self, format: &'static Format) {
        if !self.formats.iter().any(|known| known.name == format.name) {
            self.formats.push(format);
        }
    }
}

fn describe(form: &Form) -> String {
    match form {
        Form::Text(format) | Form::Secret(format) => format.name.to_owned(),
        Form::Bool => "`true` or `false`".to_owned(),
        Form::Integer { min, max } if min == max => format!("{min}"),
        Form::Integer { min, max } => format!("an integer from {min} to {max}"),
        Form::List(item) => format!("a list of: {}", describe(item)),
        Form::Map { key, value } => format!("a table, by {}: {}", key.name, describe(value)),
        Form::Table(table) => format!("[{}](#{})", table.name, anchor(table.name)),
        Form::Tagged(tagged) => {
            let tables = tagged.tables.iter().map(|(value, table)| {
                format!("`{value}`: [{}](#{})", table.name, anchor(table.name))
            });
            let refused = tagged.refused.iter().map(|(value, _)| format!("`{value}`: not served"));
            let all: Vec<_> = tables.chain(refused).collect();
            format!("a table, by its `{}`: {}", tagged.tag, all.join(", "))
        }
        Form::OneOf(forms) => forms.iter().map(describe).collect::<Vec<_>>().join(" or "),
        Form::Free => "anything".to_owned(),
    }
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        None => String::new(),
        Some(first) => first.to_uppercase().chain(letters).collect(),
    }
}

/// The anchor that Markdown gives a heading.
fn anchor(name: &str) -> String {
    let kept = name.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

/// A table's cells end at a bar.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
