//! Signatures, made by OpenSSL and laid out as `cosign` lays them out.

use std::path::PathBuf;

use dayfly_testing::{App, Registry, program};
use serde_json::json;

use super::{User, reference};

/// Runs OpenSSL in a user's folder; what it prints.
async fn openssl(user: &User, words: &str) -> String {
    let words = words.split(' ');
    let output = program("openssl").args(words).current_dir(user.path("")).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A pair of keys; where the public one is.
async fn key(user: &User, name: &str) -> PathBuf {
    openssl(user, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key")).await;
    openssl(user, &format!("pkey -in {name}.key -pubout -out {name}.pub")).await;
    user.path(&format!("{name}.pub"))
}

/// Signs what is said of a manifest, and puts it beside that of `at`, behind one that is too large to be read.
async fn sign(user: &User, registry: &Registry, key: &str, digest: &str, at: &str) {
    let critical = json!({
        "identity": { "docker-reference": "" },
        "image": { "docker-manifest-digest": digest },
        "type": "cosign container image signature",
    });
    let payload = json!({ "critical": critical, "optional": null }).to_string();
    std::fs::write(user.path("payload"), &payload).unwrap();
    openssl(user, &format!("dgst -sha256 -sign {key}.key -out signature payload")).await;
    let signature = openssl(user, "base64 -A -in signature").await;
    let large = " ".repeat(5 << 20);
    registry.sign("hello", at, &[(&large, "AA=="), (&payload, &signature)]).await;
}

#[tokio::test]
async fn a_package_is_served_if_it_is_signed() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "hello:1");
    let pushed = user.push(App::of("rust-hello").folder(), &name).await;
    let digest = pushed["digest"].as_str().unwrap();
    let (mine, other) = (key(&user, "mine").await, key(&user, "other").await);
    let refused = async |key: &PathBuf, error: &str| {
        let up = user.dayfly().args(["up", &name, "--verify-key"]).arg(key);
        let said = up.ends().await.with(1);
        assert!(said.contains(error), "{said}");
        assert!(!user.path("sources/apps").exists(), "{said}");
    };
    refused(&mine, "has no signature by that key").await;
    let another = format!("sha256:{}", "a".repeat(64));
    sign(&user, &registry, "mine", &another, digest).await;
    refused(&mine, "has no signature by that key").await;
    sign(&user, &registry, "mine", digest, digest).await;
    refused(&other, "has no signature by that key").await;
    refused(&user.path("mine.key"), "is no public key on P-256").await;
    let up = || user.dayfly().args(["up", &name, "--verify-key"]).arg(&mine);
    let server = up().serve().await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    // What is kept is no better than what was signed.
    let pinned = pushed["pinned"].as_str().unwrap();
    let said = user.dayfly().args(["up", pinned, "--verify-key"]).arg(&other).ends().await.with(1);
    assert!(said.contains("has no signature by that key"), "{said}");
    let pull = user.dayfly().args(["pull", &name, "--verify-key"]).arg(&mine);
    pull.ends().await.with(0);
    let folder = user.dayfly().arg("up").arg(user.path("hello")).arg("--verify-key").arg(&mine);
    assert!(folder.ends().await.with(1).contains("only packages of registries are signed"));
}
