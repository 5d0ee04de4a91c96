//! `dayfly resolve`: what a manifest names, as a file.

use dayfly_testing::{App, Guest};

use crate::dayfly;

#[tokio::test]
async fn a_source_becomes_a_file_of_binary_webassembly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.wasm");
    let app = App::of("rust-hello");
    let done = dayfly().arg("resolve").arg(app.folder()).arg("-o").arg(&file).ends().await;
    assert!(done.with(0).contains("Resolved"));
    assert!(std::fs::read(&file).unwrap() == std::fs::read(Guest::path("rust-hello")).unwrap());
    let text = folder.path().join("text.wat");
    std::fs::write(&text, "(module (func (export \"_start\")))").unwrap();
    let done = dayfly().args(["resolve", "--json"]).arg(&text).arg("-o").arg(&file).ends().await;
    let facts: serde_json::Value = serde_json::from_str(&done.with_stdout(0)).unwrap();
    let wasm = std::fs::read(&file).unwrap();
    assert!(wasm.starts_with(b"\0asm"));
    assert_eq!((&facts["bytes"], &facts["component"]), (&wasm.len().into(), &"text".into()));
}

#[tokio::test]
async fn one_of_several_components_is_named() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"two\"\n\
         [[trigger.http]]\nroute = \"/a\"\ncomponent = \"a\"\n\
         [[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n\
         [component.a]\nsource = \"guest:rust-hello\"\n\
         [component.b]\nsource = \"missing.wasm\"\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.wasm");
    let resolve = || dayfly().arg("resolve").arg(app.folder()).arg("-o").arg(&file);
    let said = resolve().ends().await.with(1);
    assert!(
        said.contains("several components: `a`, `b`") && said.contains("--component"),
        "{said}"
    );
    let said = resolve().args(["--component", "c"]).ends().await.with(1);
    assert!(said.contains("no component `c`"), "{said}");
    let said = resolve().args(["--component", "b"]).ends().await.with(1);
    assert!(said.contains("missing.wasm` does not exist"), "{said}");
    assert!(!file.exists());
    resolve().args(["--component", "a"]).ends().await.with(0);
    assert!(file.exists());
}
