//! Packages in files: the same as those of registries, for whoever has none at hand.

use std::path::Path;
use std::process::Command;

use dayfly_testing::{App, Registry};
use serde_json::Value;

use super::{User, reference};

async fn package(user: &User, app: &Path, file: &Path) -> Value {
    let packed = user.dayfly().args(["package", "--json"]).arg(app).arg("-o").arg(file);
    serde_json::from_str(&packed.ends().await.with_stdout(0)).unwrap()
}

#[tokio::test]
async fn a_file_is_served_and_is_the_same_each_time() {
    let user = User::new();
    let (app, file) = (App::of("rust-hello"), user.path("hello.tar"));
    let packed = package(&user, app.folder(), &file).await;
    assert_eq!(packed["blobs"], 3, "the component, the description and the config");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(package(&user, app.folder(), &file).await, packed);
    assert!(std::fs::read(&file).unwrap() == bytes, "the same app makes the same file");

    let stranger = User::new();
    let copy = stranger.path("copy.tar");
    std::fs::copy(&file, &copy).unwrap();
    // The second time it is laid out already.
    for _ in 0..2 {
        let server = stranger.dayfly().up(&copy).await;
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
    let checked = stranger.dayfly().arg("check").arg(&copy).ends().await;
    assert!(checked.with(0).contains("everything can run"));
}

#[tokio::test]
async fn what_an_app_keeps_lies_beside_its_file() {
    let user = User::new();
    let file = user.path("keeps.tar");
    let app = App::granted("rust-http", "key_value_stores = [\"default\"]");
    package(&user, app.folder(), &file).await;
    let words = ["up", "--key-value", "colour=green"];
    let up = user.dayfly().env_remove("DAYFLY_STATE_DIR").args(words).arg(&file);
    up.serve().await.stop().await;
    assert!(user.path(".dayfly").is_dir());
    let laid_out = user.path("sources/apps").read_dir().unwrap().next().unwrap().unwrap().path();
    assert!(!laid_out.join(".dayfly").exists(), "the next version would not find it");
}

/// Another tool takes it to a registry, and brings one from there.
#[tokio::test]
async fn other_tools_copy_it() {
    let (registry, user) = (Registry::start().await, User::new());
    let (file, back) = (user.path("hello.tar"), user.path("back.tar"));
    let packed = package(&user, App::of("rust-hello").folder(), &file).await;
    let name = reference(&registry, "me/hello:1");
    let (here, there) = (format!("oci-archive:{}", file.display()), format!("docker://{name}"));
    skopeo(&["copy", "--dest-tls-verify=false", &here, &there]);
    let server = user.up(&name).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    skopeo(&["copy", "--src-tls-verify=false", &there, &format!("oci-archive:{}", back.display())]);
    let server = User::new().dayfly().up(&back).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    let pinned = reference(&registry, &format!("me/hello@{}", packed["digest"].as_str().unwrap()));
    user.up(&pinned).await.stop().await;
}

fn skopeo(words: &[&str]) {
    let mut skopeo = Command::new("skopeo");
    let done = skopeo.args(["--insecure-policy", "--command-timeout", "60s"]).args(words).output();
    let done = done.expect("Debian's skopeo");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn a_broken_file_says_what_is_wrong_and_leaves_nothing() {
    let user = User::new();
    let file = user.path("hello.tar");
    package(&user, App::of("rust-hello").folder(), &file).await;
    let whole = std::fs::read(&file).unwrap();
    let at = whole.windows(4).position(|it| it == b"\0asm").unwrap();
    let mut changed = whole.clone();
    changed[at + 100] ^= 1;
    let cut = whole[..whole.len() / 2].to_vec();
    for (bytes, words) in [
        (changed, "its layer `sha256:"),
        (cut, "its layer `sha256:"),
        (whole[..700].to_vec(), "it is no archive that can be read"),
        (b"\0asm\x01\0\0\0".to_vec(), "it holds no app"),
        (Vec::new(), "it has no `index.json`"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let said = user.dayfly().up_ends(&file).await.with(1);
        assert!(said.contains(words), "{said}");
        assert!(said.contains("hello.tar"), "{said}");
        let left = user.path("sources/apps").read_dir().unwrap().count();
        assert_eq!(left, 0, "something was laid out: {said}");
    }
    let other = user.dayfly().args(["package", "-o", "hello.zip"]).ends().await.with(2);
    assert!(other.contains("ends with `.tar`"), "{other}");
}
