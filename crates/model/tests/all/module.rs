//! Apps for bare files, and manifests read from disk.

use std::path::{Path, PathBuf};

use dayfly_model::{App, Manifest, Source};

#[test]
fn a_bare_file_is_an_app() {
    for (file, id) in [
        ("hello.wasm", "hello"),
        ("dir/My_Great Module.v2.wasm", "my-great-module-v2"),
        ("/x/1.wat", "app-1"),
        ("§.wasm", "app"),
    ] {
        let app = App::for_module(Path::new(file));
        let (known, component) = app.components.first_key_value().unwrap();
        assert_eq!(known.0, id);
        let Source::File(source) = &component.source else { panic!("{file}") };
        assert_eq!(app.root.join(source).file_name(), Path::new(file).file_name());
        assert!(component.allowed_outbound_hosts.is_empty());
    }
    let script = App::for_module(Path::new("dir/hello.PY"));
    let uses: Vec<_> = script.uses.iter().map(ToString::to_string).collect();
    assert_eq!(uses, ["dir/hello.PY: `component.hello.source` uses script sources (`.py`)"]);
    assert_eq!(App::for_module(Path::new("a.wasm")).root, PathBuf::from("."));
    assert_eq!(App::for_module(Path::new("/x/a.wasm")).root, PathBuf::from("/x"));
}

#[test]
fn manifests_are_found_in_folders() {
    let folder = std::env::temp_dir().join(format!("dayfly-model-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let message = Manifest::load(&folder, None).unwrap_err().to_string();
    assert!(message.ends_with("the folder has no `dayfly.toml` or `spin.toml`"), "{message}");
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"a\"\n[trigger]\n";
    std::fs::write(folder.join("spin.toml"), manifest).unwrap();
    let app = Manifest::load(&folder, None).unwrap();
    assert_eq!((app.name.as_str(), app.root.as_path()), ("a", folder.as_path()));
    std::fs::write(folder.join("dayfly.toml"), "#".repeat((1 << 20) + 1)).unwrap();
    let message = Manifest::load(&folder, None).unwrap_err().to_string();
    assert!(message.ends_with("the manifest is longer than 1024 KiB"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
    let message = Manifest::load(&folder, None).unwrap_err().to_string();
    assert!(message.contains("failed to read the manifest"), "{message}");
}
