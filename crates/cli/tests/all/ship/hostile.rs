//! Registries that lie, stall and send bombs: a clear error, and nothing half written.

use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use dayfly_testing::{App, Content, Site, sha256};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{User, guest};

const LOCKED: &str = "application/vnd.fermyon.spin.application.v1+config";
const WASM: &str = "application/vnd.wasm.content.layer.v1+wasm";
const WASM_GZIP: &str = "application/vnd.dayfly.wasm.v1+gzip";

/// A registry that serves what it is told to.
struct Hostile {
    site: Site,
}

impl Hostile {
    async fn start() -> Self {
        Self { site: Site::start().await }
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", sha256(bytes));
        let content = Content::Bytes(Bytes::copy_from_slice(bytes));
        self.site.put(&format!("/v2/app/blobs/{digest}"), content);
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    /// Replaces what is at a blob's address.
    fn replace(&self, blob: &Value, content: Content) {
        self.site.put(&format!("/v2/app/blobs/{}", blob["digest"].as_str().unwrap()), content);
    }

    /// Takes a blob away.
    fn remove(&self, blob: &Value) {
        self.site.remove(&format!("/v2/app/blobs/{}", blob["digest"].as_str().unwrap()));
    }

    fn manifest(&self, config: &Value, layers: &[Value]) {
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let content = Content::Bytes(manifest.to_string().into());
        self.site.put("/v2/app/manifests/1", content);
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.site.host())
    }

    /// A package of an app of one component, changed by `change`.
    fn app(&self, change: impl FnOnce(&mut Value)) {
        let wasm = self.blob(WASM, &guest("rust-hello"));
        let mut app = json!({
            "spin_lock_version": 0,
            "metadata": { "name": "app" },
            "triggers": [{ "id": "a", "trigger_type": "http",
                           "trigger_config": { "route": "/...", "component": "a" } }],
            "components": [{ "id": "a", "source": { "content_type": "application/wasm",
                                                    "digest": wasm["digest"] } }],
        });
        change(&mut app);
        let config = self.blob(LOCKED, app.to_string().as_bytes());
        self.manifest(&config, &[wasm]);
    }

    async fn said(&self) -> String {
        User::new().refused(&self.name()).await
    }
}

#[tokio::test]
async fn a_good_package_is_served() {
    let hostile = Hostile::start().await;
    hostile.app(|_| ());
    let server = User::new().up(&hostile.name()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn blobs_that_are_others_are_refused() {
    let hostile = Hostile::start().await;
    hostile.app(|_| ());
    let (wasm, other) = (guest("rust-hello"), guest("rust-http"));
    let blob = json!({ "digest": format!("sha256:{}", sha256(&wasm)) });
    let mut changed = wasm.clone();
    changed[100] ^= 1;
    let part = Bytes::copy_from_slice(&wasm[..1000]);
    for (content, error) in [
        (Content::Bytes(changed.into()), "its digest is `sha256:"),
        (Content::Bytes(other.into()), "it is longer than the"),
        (Content::Endless, "it is longer than the"),
        (Content::Bytes(part.clone()), "its digest is `sha256:"),
        (Content::Claims(1 << 40), "it is longer than the"),
    ] {
        hostile.replace(&blob, content);
        let said = hostile.said().await;
        assert!(said.contains(error), "{error}: {said}");
    }
    hostile.replace(&blob, Content::Stalls(part));
    let began = Instant::now();
    let said = hostile.said().await;
    assert!(said.contains("the server sent nothing for 20 seconds"), "{said}");
    assert!(began.elapsed().as_secs() < 50);
    // A layer that the manifest names and nobody has.
    hostile.remove(&blob);
    let said = hostile.said().await;
    let digest = blob["digest"].as_str().unwrap();
    assert!(said.contains(&format!("does not have `{digest}`, which its manifest")), "{said}");
}

#[tokio::test]
async fn a_registry_that_takes_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (app, user) = (App::of("rust-hello"), User::new());
    let push = async |host: String| {
        let push = user.dayfly().arg("push").arg(app.folder()).arg(format!("{host}/app:1"));
        push.ends().await.with(1)
    };
    let began = Instant::now();
    let said = push(silent.local_addr().unwrap().to_string()).await;
    assert!(said.contains("the server sent nothing for 20 seconds"), "{said}");
    assert!(began.elapsed().as_secs() < 50);
    // One that has no place for uploads, nor for anything else.
    let said = push(Site::start().await.host()).await;
    assert!(said.contains("takes no upload (status 404)"), "{said}");
}

#[tokio::test]
async fn manifests_are_held_against_the_bounds_first() {
    let hostile = Hostile::start().await;
    let config = hostile.blob(LOCKED, b"{}");
    let layer = |size: u64| json!({ "mediaType": WASM, "digest": format!("sha256:{}", "a".repeat(64)), "size": size });
    for (layers, error) in [
        (vec![layer(600 << 20)], "more than 512 MiB in one layer"),
        (vec![layer(500 << 20); 9], "more than 4 GiB in all"),
        (vec![layer(1); 1001], "more than 1000 layers"),
    ] {
        hostile.manifest(&config, &layers);
        let asked = hostile.site.asked();
        let said = hostile.said().await;
        assert!(said.contains(error), "{said}");
        assert_eq!(hostile.site.asked(), asked + 1, "only the manifest was fetched");
    }
    hostile.site.put("/v2/app/manifests/1", Content::Bytes("{".into()));
    assert!(hostile.said().await.contains("answers with a manifest that is none"));
    hostile.site.put("/v2/app/manifests/1", Content::Endless);
    assert!(hostile.said().await.contains("it is larger than 4 MiB"));
    // Whoever names a digest gets that one.
    hostile.app(|_| ());
    let other = format!("/v2/app/manifests/sha256:{}", "b".repeat(64));
    hostile.site.put(&other, Content::Bytes("{}".into()));
    let name = format!("{}/app@sha256:{}", hostile.site.host(), "b".repeat(64));
    let said = User::new().refused(&name).await;
    assert!(said.contains("its digest is `sha256:"), "{said}");
}

#[tokio::test]
async fn descriptions_reach_for_nothing_else() {
    let hostile = Hostile::start().await;
    let file = |path: &str| json!([{ "path": path, "inline": "eA" }]);
    let a =
        |key: &'static str, value: Value| move |app: &mut Value| app["components"][0][key] = value;
    type Change = Box<dyn FnOnce(&mut Value)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(a("id", "../a".into())), "`../a` is no component id"),
        (Box::new(a("files", file("../a"))), "would lie elsewhere"),
        (Box::new(a("files", file("/etc/a"))), "would lie elsewhere"),
        (Box::new(a("files", file("a/../../b"))), "would lie elsewhere"),
        (Box::new(a("files", file(""))), "would lie elsewhere"),
        (
            Box::new(a(
                "files",
                json!([{ "path": "a", "digest": format!("sha256:{}", "c".repeat(64)) }]),
            )),
            "which none of its layers has",
        ),
        (
            Box::new(a(
                "files",
                json!([{ "path": "a", "inline": "eA", "digest": format!("sha256:{}", "c".repeat(64)) }]),
            )),
            "is not what stands in the description",
        ),
        (
            Box::new(a("source", json!({ "content_type": "x", "source": "file:///etc/passwd" }))),
            "code in it has no digest",
        ),
        (
            Box::new(a(
                "source",
                json!({ "content_type": "x", "inline": "eA", "digest": "sha256:../../../a" }),
            )),
            "code in it has no digest",
        ),
        (Box::new(|app| app["must_understand"] = json!(["magic"])), "`magic`"),
        (
            Box::new(|app| {
                app["triggers"][0]["trigger_config"]["component"] =
                    json!({ "source": "/etc/passwd" })
            }),
            "it names `/etc/passwd`, which it does not bring",
        ),
        (
            Box::new(|app| {
                app["triggers"][0]["trigger_config"]["component"] =
                    json!({ "source": "components/a.wasm", "files": ["*"] })
            }),
            "it names `*`, which it does not bring",
        ),
        (
            Box::new(|app| {
                app["triggers"][0]["trigger_config"]["dependencies"] =
                    json!({ "middleware": [{ "path": "/etc/passwd" }] })
            }),
            "it names `/etc/passwd`, which it does not bring",
        ),
        (
            Box::new(|app| app["triggers"][0]["trigger_config"]["route"] = "no slash?".into()),
            "the app that it describes is none",
        ),
    ];
    for (change, error) in cases {
        hostile.app(change);
        let said = hostile.said().await;
        assert!(said.contains(error), "{error}: {said}");
    }
    let config = hostile.blob("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = hostile.blob("application/vnd.oci.image.layer.v1.tar+gzip", b"a container's");
    hostile.manifest(&config, &[layer]);
    assert!(hostile.said().await.contains("it holds no app"));
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let hostile = Hostile::start().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..600 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = hostile.blob(WASM_GZIP, &encoder.finish().unwrap());
    let wasm = hostile.blob(WASM, &guest("rust-hello"));
    let app = json!({
        "spin_lock_version": 0, "triggers": [],
        "components": [{ "id": "a", "source": { "content_type": "x", "digest": wasm["digest"] } }],
    });
    let config = hostile.blob(LOCKED, app.to_string().as_bytes());
    hostile.manifest(&config, &[wasm, bomb]);
    let user = User::new();
    let said = user.refused(&hostile.name()).await;
    assert!(said.contains("the package has more than 512 MiB in one piece"), "{said}");
    let left = user.path("sources/apps").read_dir().map_or(0, Iterator::count);
    assert_eq!(left, 0, "what was unpacked is gone");
}
