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

fn wat(folder: &Path, text: &str) -> String {
    let file = folder.join("guest.wat");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A core module that initialises by these instructions.
fn module(folder: &Path, body: &str) -> String {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
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
    wat(folder, &text)
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

/// A component that initialises by a core function of these parameters and instructions, beside what
/// opens a socket.
fn component(parameters: (&str, &str), body: &str) -> String {
    let (outer, inner) = parameters;
    format!(
        r#"(component
            (import "wasi:sockets/network@0.2.0" (instance $network
                (type $codes (enum "unknown" "access-denied" "not-supported" "invalid-argument"
                    "out-of-memory" "timeout" "concurrency-conflict" "not-in-progress"
                    "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
                    "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
                    "connection-aborted" "datagram-too-large" "name-unresolvable"
                    "temporary-resolver-failure" "permanent-resolver-failure"))
                (export "error-code" (type (eq $codes)))
                (type $families (enum "ipv4" "ipv6"))
                (export "ip-address-family" (type (eq $families)))))
            (alias export $network "error-code" (type $code))
            (alias export $network "ip-address-family" (type $family))
            (import "wasi:sockets/tcp@0.2.0" (instance $tcp
                (export "tcp-socket" (type (sub resource)))))
            (alias export $tcp "tcp-socket" (type $socket))
            (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
                (alias outer 1 $code (type $its-code))
                (export "error-code" (type $error (eq $its-code)))
                (alias outer 1 $family (type $its-family))
                (export "ip-address-family" (type $of (eq $its-family)))
                (alias outer 1 $socket (type $its-socket))
                (export "tcp-socket" (type $made (eq $its-socket)))
                (type $result (result (own $made) (error $error)))
                (export "create-tcp-socket"
                    (func (param "address-family" $of) (result $result)))))
            (core module $memory (memory (export "memory") 1) (func))
            (core instance $memory (instantiate $memory))
            (core func $create (canon lower (func $create "create-tcp-socket")
                (memory $memory "memory")))
            (core module $code
                (import "host" "create" (func $create (param i32 i32)))
                (import "host" "memory" (memory 1))
                (func (export "initialise") {inner} {body}))
            (core instance $host
                (export "create" (func $create)) (export "memory" (memory $memory "memory")))
            (core instance $code (instantiate $code (with "host" (instance $host))))
            (func (export "wizer-initialize") {outer} (canon lift (core func $code "initialise"))))"#
    )
}

#[tokio::test]
async fn an_initialiser_has_no_sockets_and_no_parameters() {
    // What is given for the socket begins with 0 if there is one.
    let socket = "(call $create (i32.const 0) (i32.const 8)) (if (i32.load8_u (i32.const 8))
                      (then unreachable))";
    for (parameters, body, problem, hint) in [
        (("", ""), socket, "trapped", "sockets, requests,"),
        (("(param \"a\" u32)", "(param i32)"), "", "takes parameters", "takes nothing"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out").display().to_string();
        let file = wat(folder.path(), &component(parameters, body));
        let told = complained(&["freeze", &file, "-o", &out], 1).await;
        assert!(told.contains(problem) && told.contains(hint), "{body}: {told}");
        assert!(!Path::new(&out).exists(), "{told}");
    }
    // One without either is frozen.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let file = wat(folder.path(), &component(("", ""), ""));
    complained(&["freeze", &file, "-o", &out], 0).await;
}

#[tokio::test]
async fn an_initialiser_may_have_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let guest = wat(
        folder.path(),
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (global $status (mut i32) (i32.const 3))
            (func (export "load_model") (global.set $status (i32.const 7)))
            (func (export "_start") (call $exit (global.get $status))))"#,
    );
    let out = folder.path().join("out.wasm").display().to_string();
    for name in ["load_model", "load-model"] {
        let words = ["freeze", &guest, "-o", &out, "--init", name];
        let told = complained(&words, i32::from(name == "load-model")).await;
        assert_eq!(
            told.contains("exports no function `load-model`"),
            name == "load-model",
            "{told}"
        );
    }
    printed(&["run", &out], 7).await;
    printed(&["run", &guest], 3).await;
    // A manifest names it.
    let app = |freeze: &str| {
        App::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n[[trigger.command]]\ncomponent = \"guest\"\n\
             [component.guest]\nsource = \"guest.wat\"\n\
             build = {{ command = \"true\", freeze = {freeze} }}\n"
        ))
        .file("guest.wat", fs::read(&guest).unwrap())
    };
    dayfly().up_ends(app("\"load_model\"").folder()).await.with(7);
    let told = dayfly().up_ends(app("true").folder()).await.with(1);
    assert!(told.contains("`wizer-initialize`"), "{told}");
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
