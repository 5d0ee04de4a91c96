//! Golden manifests: the messages of invalid ones, the apps of valid ones. `UPDATE_GOLDEN=1`
//! rewrites what is expected; read it as a user would before it is committed.

use std::path::Path;

use dayfly_model::{App, Manifest, ManifestErrors};

use crate::{compare, manifests};

/// Parses a golden manifest. A first line `# profile: NAME` picks a profile.
fn parse(file: &Path) -> Result<App, ManifestErrors> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let profile = text.lines().next().and_then(|line| line.strip_prefix("# profile: "));
    Manifest::parse(&text, name, Path::new("/app"), profile)
}

fn assert_all(problems: Vec<String>) {
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn invalid_manifests_say_what_is_wrong() {
    let files = manifests("invalid");
    assert!(files.len() >= 40, "only {} invalid manifests", files.len());
    let problems = files.iter().filter_map(|file| match parse(file) {
        Ok(_) => Some(format!("{} is valid", file.display())),
        Err(errors) => compare(&file.with_extension("expected"), &format!("{errors:#}\n")).err(),
    });
    assert_all(problems.collect());
}

#[test]
fn valid_manifests_make_apps() {
    let files = manifests("valid");
    assert!(files.len() >= 20, "only {} valid manifests", files.len());
    let problems = files.iter().filter_map(|file| match parse(file) {
        Err(errors) => Some(format!("{}\n{errors}", file.display())),
        Ok(app) => compare(&file.with_extension("expected"), &format!("{app:#?}\n")).err(),
    });
    assert_all(problems.collect());
}

#[test]
fn every_message_has_a_place_and_no_full_stop() {
    for file in manifests("invalid") {
        let errors = parse(&file).unwrap_err();
        for error in errors.iter() {
            assert!(error.place.line > 0 && error.place.column > 0, "{error}");
            assert!(!error.message.ends_with('.'), "{error}");
        }
    }
}
