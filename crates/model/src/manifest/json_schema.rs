//! The JSON schema of manifests (draft 2020-12), for editors. What spans several keys (references,
//! duplicate routes) is beyond a schema and only checked by Dayfly itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::form::{Form, Format, Key, Table};
use super::keys;

/// The schema, pretty-printed.
#[must_use]
pub fn json_schema() -> String {
    let mut schema = Schema::default();
    let manifest = schema.reference(&keys::MANIFEST);
    let spin_1 = schema.reference(&keys::SPIN_1);
    // Serialising a tree of strings cannot fail, and pretty-printing is what Display's `#` does.
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dayfly manifest",
        "description": "dayfly.toml, or spin.toml of version 1 or 2.",
        "type": "object",
        "oneOf": [
            { "allOf": [manifest], "required": ["dayfly"], "not": { "required": ["spin_manifest_version"] } },
            { "allOf": [manifest], "required": ["spin_manifest_version"], "properties": { "spin_manifest_version": { "const": 2 } }, "not": { "required": ["dayfly"] } },
            { "allOf": [spin_1], "anyOf": [{ "required": ["spin_manifest_version"] }, { "required": ["spin_version"] }] },
        ],
        "$defs": schema.definitions,
    });
    format!("{schema:#}\n")
}

/// The schema of a file that is one table, pretty-printed.
pub(crate) fn schema_of(title: &str, description: &str, table: &'static Table) -> String {
    let mut schema = Schema::default();
    let file = schema.reference(table);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "allOf": [file],
        "$defs": schema.definitions,
    });
    format!("{schema:#}\n")
}

#[derive(Default)]
struct Schema {
    definitions: BTreeMap<String, Value>,
}

impl Schema {
    /// A reference to a table's definition, which is added when it is first met.
    fn reference(&mut self, table: &'static Table) -> Value {
        let name = table.name.replace([' ', '\''], "-").replace(['(', ')'], "");
        if !self.definitions.contains_key(&name) {
            // Entered before it is made, so that a table may contain itself.
            self.definitions.insert(name.clone(), Value::Null);
            let definition = self.table(table);
            self.definitions.insert(name.clone(), definition);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn table(&mut self, table: &'static Table) -> Value {
        let properties: Map<_, _> =
            table.keys.iter().map(|key| (key.name.to_owned(), self.key(key))).collect();
        let required: Vec<_> =
            table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
        let mut schema = json!({
            "type": "object",
            "description": table.doc,
            "properties": properties,
            "additionalProperties": match table.others {
                None => Value::Bool(false),
                Some((_, form)) => self.form(form),
            },
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn key(&mut self, key: &'static Key) -> Value {
        let mut schema = self.form(&key.form);
        let mut doc = key.doc.to_owned();
        if !key.default.is_empty() {
            doc.push_str(&format!(" Default: {}.", key.default));
        }
        if key.dayfly_only {
            doc.push_str(" Only in dayfly.toml.");
        }
        if !key.deprecated.is_empty() {
            doc.push_str(&format!(" Use `{}` instead.", key.deprecated));
            schema["deprecated"] = Value::Bool(true);
        }
        schema["description"] = Value::String(doc);
        schema
    }

    fn form(&mut self, form: &'static Form) -> Value {
        match form {
            Form::Text(format) | Form::Secret(format) => text(format),
            Form::Bool => json!({ "type": "boolean" }),
            Form::Integer { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Form::List(item) => json!({ "type": "array", "items": self.form(item) }),
            Form::Map { key, value } => {
                let mut schema =
                    json!({ "type": "object", "additionalProperties": self.form(value) });
                if let Some(pattern) = key.pattern {
                    schema["propertyNames"] = json!({ "pattern": pattern });
                }
                schema
            }
            Form::Table(table) => self.reference(table),
            Form::Tagged(tagged) => {
                let tables: Vec<_> =
                    tagged.tables.iter().map(|(_, table)| self.reference(table)).collect();
                json!({ "anyOf": tables })
            }
            Form::OneOf(forms) => {
                let forms: Vec<_> = forms.iter().map(|form| self.form(form)).collect();
                json!({ "anyOf": forms })
            }
            Form::Free => json!({}),
        }
    }
}

fn text(format: &Format) -> Value {
    let mut schema = json!({ "type": "string", "description": format.doc });
    if let Some(pattern) = format.pattern {
        schema["pattern"] = json!(pattern);
    }
    schema
}
