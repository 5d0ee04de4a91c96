//! Sources that are there, that are not, and that are something else.

use std::path::Path;

use dayfly_forge::{Job, prepare_bytes, prepare_unshaped};
use dayfly_model::{Executor, Source};

use crate::support::said;

fn refused(root: &Path, source: &Source, build_commands: &[String]) -> String {
    let executor = &Executor::Detected;
    let job = Job {
        component: "thumbnail",
        root,
        source,
        build_commands,
        executor,
        composition: None,
        fetched: None,
        freezer: None,
        optimiser: None,
        observer: None,
    };
    said(&prepare_unshaped(&job).expect_err("the source is refused"))
}

fn refused_bytes(bytes: &[u8]) -> String {
    said(&prepare_bytes("thumbnail", bytes.to_vec()).expect_err("the bytes are refused"))
}

#[test]
fn a_missing_file_names_component_path_and_build_command() {
    let source = Source::File("target/thumbnail.wasm".into());
    let build = ["cargo build --target wasm32-wasip2".to_owned()];
    assert_eq!(
        refused(Path::new("/no/app"), &source, &build),
        "failed to prepare component `thumbnail`\n\
         source `/no/app/target/thumbnail.wasm` does not exist\n\
         hint: build it first: `cargo build --target wasm32-wasip2`; `dayfly doctor` says what is missing for that"
    );
    assert!(refused(Path::new("/no/app"), &source, &[]).contains("no `build.command`"));
}

#[test]
fn a_folder_is_no_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = refused(folder.path(), &Source::File(".".into()), &[]);
    assert!(text.contains("is a folder"), "{text}");
}

#[test]
fn what_was_not_fetched_and_what_is_not_served_is_refused_by_name() {
    let url = Source::Url { url: "https://a:b@example.com/a.wasm?c".into(), digest: "0".into() };
    let text = refused(Path::new("/"), &url, &[]);
    assert!(text.contains("`https://example.com/a.wasm` was not fetched"), "{text}");
    let registry = Source::Registry {
        registry: None,
        package: "cats:whiskers".into(),
        version: "1.2.3".into(),
    };
    let text = refused(Path::new("/"), &registry, &[]);
    assert!(text.contains("package `cats:whiskers@1.2.3` was not fetched"), "{text}");
    let text = refused(Path::new("/"), &Source::File("app.php".into()), &[]);
    assert!(text.contains("in PHP (`/app.php`) is not served"), "{text}");
}

#[test]
fn text_errors_say_where() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.wat"), "(module\n  (func (export 1)))").expect("written");
    let text = refused(folder.path(), &Source::File("a.wat".into()), &[]);
    assert!(text.contains("a.wat:2:"), "{text}");
}

#[test]
fn other_files_are_told_apart() {
    for (bytes, says) in [
        (&b""[..], "source is empty"),
        (b"\x7fELF\x02\x01", "is native code (ELF)"),
        (b"MZ\x90\0", "is a Windows program"),
        (b"\x1f\x8b\x08", "unpack it first"),
        (b"PK\x03\x04", "unpack it first"),
        (b"#!/bin/sh\n", "is a script"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"\xff\xfe\x00", "neither `\\0asm` nor WebAssembly text"),
    ] {
        let text = refused_bytes(bytes);
        assert!(text.contains(says), "{says:?} not in {text}");
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = std::fs::File::create(folder.path().join("huge.wasm")).expect("created");
    file.set_len((512 << 20) + 1).expect("a sparse file");
    let text = refused(folder.path(), &Source::File("huge.wasm".into()), &[]);
    assert!(text.contains("larger than 512 MiB"), "{text}");
}
