//! `dayfly freeze`, and components that `up` freezes.

use std::fs;
use std::path::Path;

use dayfly_testing::App;

use super::{complained, guest, printed};
use crate::dayfly;

/// A folder with a word in it, and the place where something frozen goes.
fn words() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("words")).unwrap();
    fs::write(folder.path().join("words/list.txt"), "one two\n").unwrap();
    let out = folder.path().join("frozen.wasm").display().to_string();
    let dir = format!("{}::/words", folder.path().join("words").display());
    (folder, out, dir)
}

#[tokio::test]
async fn an_instance_begins_where_the_initialiser_ended() {
    let (folder, out, dir) = words();
    let told = complained(&["freeze", &guest("c-frozen"), "-o", &out, "--dir", &dir], 0).await;
    assert!(told.contains("Froze"), "{told}");
    // The file is no longer there, nor granted.
    fs::remove_dir_all(folder.path().join("words")).unwrap();
    for query in ["a=1", "b=2"] {
        let answer = printed(&["run", "--env", &format!("QUERY_STRING={query}"), &out], 0).await;
        let (_, body) = answer.split_once("\n\n").unwrap();
        assert_eq!(
            body,
            format!("initialised 1, factor 2.5, words one two\nquery {query}\ntime goes on\n")
        );
    }
    // Without it there are none.
    let answer = printed(&["run", &guest("c-frozen")], 0).await;
    assert!(answer.contains("initialised 0, factor 1.0, words none"), "{answer}");
}

#[tokio::test]
async fn freezing_gives_the_same_bytes_each_time() {
    let (folder, out, dir) = words();
    let freeze = async || {
        complained(&["freeze", &guest("c-frozen"), "-o", &out, "--dir", &dir], 0).await;
        fs::read(&out).unwrap()
    };
    let one = freeze().await;
    assert!(one == freeze().await);
    fs::write(folder.path().join("words/list.txt"), "others\n").unwrap();
    assert!(one != freeze().await);
}

/// A core module that initialises by these instructions.
fn module(folder: &Path, body: &str) -> String {
    let file = folder.join("guest.wat");
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_shutdown"
                (func $socket (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "a line of what it says\n")
            (data (i32.const 16) "\40\00\00\00\17\00\00\00")
            (data (i32.const 128) "new")
            (func $recurse (call $recurse))
            (func (export "_start"))
            (func (export "wizer.initialize") {body}))"#
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn what_cannot_be_frozen_says_why_and_leaves_nothing() {
    let say = "(drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 0)))";
    let cases = [
        ("(loop (br 0))", "used more than 1 s of CPU time", "a loop that never ends"),
        ("(call $exit (i32.const 0))", "ended with status 0", "an initialiser returns"),
        ("(call $exit (i32.const 3))", "ended with status 3", "an initialiser returns"),
        ("(unreachable)", "trapped", "an initialiser may compute"),
        ("(call $recurse)", "trapped", "an initialiser may compute"),
        (
            "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1024)) (i32.const -1)))) unreachable",
            "wanted more than 64 MiB of memory",
            "limits.memory",
        ),
        (&format!("{say} unreachable"), "| a line of what it says", "an initialiser may compute"),
        // It says more than is kept, and only the last of that is told.
        (&format!("(loop {say} (br 0))"), "used more than 1 s", "a loop that never ends"),
        // A file that it makes, in the first folder that it has.
        (
            "(if (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const 3) (i32.const 1)
                 (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)) (then unreachable))",
            "trapped",
            "an initialiser may compute",
        ),
    ];
    for (body, problem, hint) in cases {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let module = module(folder.path(), body);
        let dir = format!("{}::/", folder.path().display());
        let words = [
            "freeze",
            &module,
            "-o",
            &out.display().to_string(),
            "--timeout",
            "1",
            "--memory",
            "64MiB",
            "--dir",
            &dir,
        ];
        let told = complained(&words, 1).await;
        assert!(told.contains(problem) && told.contains(hint), "{body}: {told}");
        assert!(told.len() < 4_000, "{told}");
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "{body} left something: {told}");
    }
}

#[tokio::test]
async fn what_has_no_initialiser_is_told_how_to_have_one() {
    let (_folder, out, _) = words();
    let told = complained(&["freeze", &guest("rust-hello"), "-o", &out], 1).await;
    assert!(told.contains("`wizer-initialize`") && told.contains("--init"), "{told}");
    let told =
        complained(&["freeze", &guest("c-frozen"), "-o", &out, "--init", "nothing"], 1).await;
    assert!(told.contains("exports no function `nothing`"), "{told}");
    assert!(!Path::new(&out).exists());
}

#[tokio::test]
async fn up_freezes_what_the_manifest_says() {
    let app = App::granted(
        "c-frozen",
        "files = [{ source = \"words\", destination = \"/words\" }]\n\
         build = { command = \"true\", freeze = true }",
    )
    .file("words/list.txt", "three four\n");
    let server = dayfly().up(app.folder()).await;
    for query in ["x", "y"] {
        let body = server.get(&format!("/?{query}")).await.text();
        assert_eq!(
            body,
            format!("initialised 1, factor 2.5, words three four\nquery {query}\ntime goes on\n")
        );
    }
}
