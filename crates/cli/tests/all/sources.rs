//! What `up` takes beside a manifest: one bare file, whose shape is detected.

use dayfly_testing::{Guest, workspace};

use crate::dayfly;

#[tokio::test]
async fn a_bare_component_answers_on_every_path() {
    let server = dayfly().up(Guest::path("rust-http")).await;
    assert_eq!(server.text("/hello").await, "hello world");
    assert_eq!(server.text("/count").await, "1");
    let printed = server.stop().await.stdout;
    assert!(printed.contains("/...  rust-http"), "{printed}");
}

#[tokio::test]
async fn a_bare_core_command_answers_by_cgi() {
    let server = dayfly().up(Guest::path("rust-command")).await;
    let text = server.text("/a?b").await;
    assert!(text.starts_with("arg 0 /a\narg 1 b\n"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_bare_text_file_is_assembled() {
    let server = dayfly().up(workspace().join("examples/hello/hello.wat")).await;
    assert_eq!(server.text("/any/where").await, "hello, world\n");
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let stderr = dayfly().up_ends("nowhere.wasm").await.with(1);
    assert!(stderr.contains("`nowhere.wasm` does not exist"), "{stderr}");
}

#[tokio::test]
async fn a_folder_without_a_manifest_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = dayfly().up_ends(folder.path()).await.with(1);
    assert!(stderr.contains("dayfly.toml") && stderr.contains("spin.toml"), "{stderr}");
}

#[tokio::test]
async fn what_is_no_webassembly_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in
        [("text.wasm", &b"hello"[..]), ("empty.wasm", b""), ("bad.wat", b"(module (func")]
    {
        let file = folder.path().join(name);
        std::fs::write(&file, contents).unwrap();
        let stderr = dayfly().up_ends(&file).await.with(1);
        let stem = name.split('.').next().unwrap();
        assert!(stderr.contains(&format!("`{stem}`")), "{name}: {stderr}");
    }
}

#[tokio::test]
async fn a_component_that_handles_nothing_is_refused() {
    let stderr = dayfly().up_ends(Guest::path("rust-typed")).await.with(1);
    assert!(stderr.contains("rust-typed"), "{stderr}");
}

#[tokio::test]
async fn a_source_that_is_not_there_is_named() {
    let app = dayfly_testing::App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"missing.wasm\"\n",
    );
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("missing.wasm"), "{stderr}");
}
