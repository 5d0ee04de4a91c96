//! Golden runtime configurations, as for manifests; and that no message tells a secret.

use std::path::Path;

use dayfly_model::{ManifestErrors, RuntimeConfig};

use crate::{compare, here, manifests};

/// Stands in every place of the golden files that holds a secret.
const SECRET: &str = "hunter2";

fn parse(file: &Path) -> Result<RuntimeConfig, ManifestErrors> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    RuntimeConfig::parse(&text, name, Path::new("/etc/shop"))
}

fn assert_all(problems: Vec<String>) {
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn invalid_files_say_what_is_wrong() {
    let problems = manifests("runtime-config/invalid");
    let problems = problems.iter().filter_map(|file| match parse(file) {
        Ok(_) => Some(format!("{} is valid", file.display())),
        Err(errors) => compare(&file.with_extension("expected"), &format!("{errors:#}\n")).err(),
    });
    assert_all(problems.collect());
}

#[test]
fn valid_files_make_configurations() {
    let files = manifests("runtime-config/valid");
    let problems = files.iter().filter_map(|file| match parse(file) {
        Err(errors) => Some(format!("{}\n{errors}", file.display())),
        Ok(config) => compare(&file.with_extension("expected"), &format!("{config:#?}\n")).err(),
    });
    assert_all(problems.collect());
}

#[test]
fn nothing_that_is_shown_tells_a_secret() {
    for folder in ["valid", "invalid"] {
        for file in manifests(&format!("runtime-config/{folder}")) {
            let shown = match parse(&file) {
                Ok(config) => format!("{config:#?}"),
                Err(errors) => format!("{errors} {errors:#} {errors:?}"),
            };
            assert!(!shown.contains(SECRET), "{}\n{shown}", file.display());
        }
    }
}

#[test]
fn every_message_has_a_place_and_no_full_stop() {
    for file in manifests("runtime-config/invalid") {
        let errors = parse(&file).unwrap_err();
        for error in errors.iter() {
            assert!(error.place.line > 0 && error.place.column > 0, "{error}");
            assert!(!error.message.ends_with('.'), "{error}");
        }
    }
}

#[test]
fn the_reference_is_current() {
    compare(&here().join("../../docs/runtime-config.md"), &RuntimeConfig::reference()).unwrap();
}

#[test]
fn what_the_pages_show_is_one() {
    for page in ["blobstore", "messaging"] {
        let file = here().join(format!("../../docs/capabilities/{page}.md"));
        let text = std::fs::read_to_string(file).unwrap();
        // The first example is a manifest.
        let examples = text.split("```toml\n").skip(2);
        let examples: Vec<_> =
            examples.map(|rest| rest.split("```").next().unwrap_or_default()).collect();
        assert!(!examples.is_empty(), "{page}");
        for example in examples {
            RuntimeConfig::parse(example, page, Path::new(".")).unwrap();
        }
    }
}

#[test]
fn a_file_is_read_and_its_paths_are_relative_to_its_folder() {
    let folder = std::env::temp_dir().join(format!("dayfly-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("runtime-config.toml");
    std::fs::write(&file, "state_dir = \"state\"\nlog_dir = \"/logs\"\n").unwrap();
    let config = RuntimeConfig::load(&file).unwrap();
    assert_eq!(config.state_dir, Some(folder.join("state")));
    assert_eq!(config.log_dir, Some("/logs".into()));
    std::fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    let message = RuntimeConfig::load(&file).unwrap_err().to_string();
    assert!(message.ends_with("the runtime configuration is longer than 1024 KiB"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
    let message = RuntimeConfig::load(&file).unwrap_err().to_string();
    assert!(message.contains("failed to read the runtime configuration"), "{message}");
}

#[test]
fn networks_are_blocked_by_the_address_that_is_really_reached() {
    let text = "[outbound_networking]\nblock_networks = [\"10.1.2.3/8\", \"2001:db9::/32\"]\n";
    let config = RuntimeConfig::parse(text, "c.toml", Path::new(".")).unwrap();
    let blocks = |address: &str| config.outbound_networking.blocks(address.parse().unwrap());
    for address in ["10.9.9.9", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db9::1"]
    {
        assert!(blocks(address), "{address}");
    }
    for address in ["11.0.0.1", "127.0.0.1", "192.168.0.1", "::1", "2606:4700::1"] {
        assert!(!blocks(address), "{address}");
    }
    let text = "[outbound_networking]\nblock_networks = [\"private\"]\n";
    let config = RuntimeConfig::parse(text, "c.toml", Path::new(".")).unwrap();
    let blocks = |address: &str| config.outbound_networking.blocks(address.parse().unwrap());
    for address in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0"] {
        assert!(blocks(address), "{address}");
    }
    assert!(!blocks("8.8.8.8") && !blocks("2606:4700::1"));
}
