//! Golden files of tests, as for manifests; and what the documentation shows of them.

use std::path::Path;

use dayfly_model::{ManifestErrors, TestFile};

use crate::{compare, here, manifests};

fn parse(file: &Path) -> Result<TestFile, ManifestErrors> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    TestFile::parse(&text, name, Path::new("shop/tests"))
}

#[test]
fn invalid_files_say_what_is_wrong() {
    for file in manifests("test-file/invalid") {
        let errors = parse(&file).unwrap_err();
        compare(&file.with_extension("expected"), &format!("{errors:#}\n")).unwrap();
        for error in errors.iter() {
            assert!(error.place.line > 0 && error.place.column > 0, "{error}");
            assert!(!error.message.ends_with('.'), "{error}");
        }
    }
}

#[test]
fn valid_files_make_tests() {
    for file in manifests("test-file/valid") {
        let tests = parse(&file).unwrap_or_else(|errors| panic!("{errors}"));
        compare(&file.with_extension("expected"), &format!("{tests:#?}\n")).unwrap();
    }
}

#[test]
fn the_reference_and_the_schema_are_current() {
    let docs = here().join("../../docs");
    compare(&docs.join("test-reference.md"), &TestFile::reference()).unwrap();
    compare(&docs.join("test.schema.json"), &TestFile::json_schema()).unwrap();
}

#[test]
fn the_schema_refers_only_to_what_it_defines() {
    let schema: serde_json::Value = serde_json::from_str(&TestFile::json_schema()).unwrap();
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name} is not defined");
    }
}

#[test]
fn what_the_page_shows_can_be_read() {
    let page = std::fs::read_to_string(here().join("../../docs/test.md")).unwrap();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        // What has no test gets one.
        let own = if example.contains("[[test]]") {
            ""
        } else {
            "[[test]]\nname = \"a\"\nrequest = \"/\"\n"
        };
        let read = TestFile::parse(&format!("{example}\n{own}"), "test.md", Path::new("."));
        read.unwrap_or_else(|errors| panic!("{example}\n{errors}"));
    }
}
