//! The committed schema and reference page are what the code generates.

use dayfly_model::manifest::{json_schema, reference};

use crate::{compare, here};

#[test]
fn schema_is_current() {
    compare(&here().join("../../docs/manifest.schema.json"), &json_schema()).unwrap();
}

#[test]
fn reference_is_current() {
    compare(&here().join("../../docs/manifest.md"), &reference()).unwrap();
}

#[test]
fn schema_refers_only_to_what_it_defines() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name} is not defined");
    }
}
