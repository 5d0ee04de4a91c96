//! Packages as Spin lays them out, and ours as Spin reads them.

use dayfly_testing::{App, Registry, sha256};
use serde_json::{Value, json};

use super::{User, guest, reference};

const LOCKED: &str = "application/vnd.fermyon.spin.application.v1+config";
const WASM: &str = "application/vnd.wasm.content.layer.v1+wasm";
const DATA: &str = "application/vnd.wasm.content.layer.v1+data";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// An app as Spin locks it: a component that reads files, one of which stands in the description.
fn locked(wasm: &[u8], file: &[u8]) -> Value {
    json!({
        "spin_lock_version": 1,
        "must_understand": ["component_host_requirements"],
        "metadata": {
            "name": "by-spin", "version": "0.1.0", "description": "", "authors": ["someone"],
            "trigger": { "type": "http", "base": "/" },
            "triggers": { "http": { "base": "/" } },
        },
        "variables": { "name": { "default": "Spin" }, "password": { "secret": true } },
        "triggers": [{
            "id": "trigger-reader", "trigger_type": "http",
            "trigger_config": { "component": "reader", "executor": null, "route": "/..." },
        }],
        "components": [{
            "id": "reader",
            "metadata": {
                "description": "", "allowed_outbound_hosts": ["http://other.spin.internal"],
                "key_value_stores": ["default"], "databases": [], "ai_models": [],
                "build": { "command": "cargo build" },
            },
            "source": { "content_type": "application/wasm", "digest": digest(wasm) },
            "env": { "COLOUR": "blue" },
            "files": [
                { "digest": digest(file), "path": "assets/file.txt" },
                { "inline": "c21hbGw", "digest": digest(b"small"), "path": "small.txt" },
            ],
            "config": { "greeting": "hello {{ name }}" },
            "host_requirements": { "local_service_chaining": "required" },
        }],
    })
}

async fn is_served(registry: &Registry) {
    let user = User::new();
    let words = ["up", "--variable", "password=1", &reference(registry, "by/spin:0.1.0")];
    let server = user.dayfly().args(words).serve().await;
    assert_eq!(server.text("/read?path=/assets/file.txt").await, "a file ".repeat(50));
    assert_eq!(server.text("/read?path=/small.txt").await, "small");
    assert_eq!(server.text("/config/greeting").await, "hello Spin");
    assert!(server.text("/env").await.contains("COLOUR=blue"));
    server.stop().await;
}

#[tokio::test]
async fn packages_of_spin_are_served() {
    let registry = Registry::start().await;
    let (wasm, file) = (guest("rust-http"), "a file ".repeat(50).into_bytes());
    let app = locked(&wasm, &file).to_string();
    let config = json!({ "architecture": "wasm", "os": "Wasip1" }).to_string();
    let layers = [(WASM, &*wasm), (DATA, &*file), (LOCKED, app.as_bytes())];
    registry.push_with("by/spin", "0.1.0", (CONFIG, config.as_bytes()), &layers).await;
    is_served(&registry).await;
    // As older ones had it.
    registry.push_with("by/spin", "0.1.0", (LOCKED, app.as_bytes()), &layers[..2]).await;
    is_served(&registry).await;
}

/// What Spin's loader expects of a package: the description in a layer of its own or as the config,
/// and of all that it names by a digest a layer, of the kinds that Spin knows.
#[tokio::test]
async fn packages_for_spin_have_what_it_looks_for() {
    let (registry, user) = (Registry::start().await, User::new());
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"for-spin\"\nversion = \"1.0.0\"\n\
         [variables]\nname = { default = \"Spin\" }\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"reader\"\n\
         [component.reader]\nsource = \"guest:rust-http\"\nkey_value_stores = [\"default\"]\n\
         sqlite_databases = [\"default\"]\nallowed_outbound_hosts = [\"http://a.spin.internal\"]\n\
         files = [\"assets/*\"]\nvariables = { greeting = \"hello {{ name }}\" }\n",
    )
    .file("assets/file.txt", "a file ".repeat(50))
    .file("assets/small.txt", "small");
    user.push(app.folder(), &reference(&registry, "for/spin:1")).await;
    let blobs = registry.pulled("for/spin", "1").await;
    let of = |kind: &str| -> Vec<&[u8]> {
        blobs.iter().filter(|blob| blob.0 == kind).map(|blob| &*blob.1).collect()
    };
    assert_eq!((of(CONFIG).len(), of(WASM).len(), of(DATA).len()), (1, 1, 1));
    assert_eq!(of(WASM)[0], guest("rust-http"), "the component as its source has it");
    assert_eq!(of(DATA)[0], "a file ".repeat(50).as_bytes());
    let [description] = of(LOCKED)[..] else { panic!("one description") };
    let config: Value = serde_json::from_slice(of(CONFIG)[0]).unwrap();
    let labels = json!({ "com.fermyon.spin.lockedAppDigest": digest(description) });
    assert_eq!(config["config"]["Labels"], labels);
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"Wasip1".into()));
    let locked: Value = serde_json::from_slice(description).unwrap();
    assert_eq!(
        locked,
        json!({
            "spin_lock_version": 1,
            "must_understand": ["component_host_requirements"],
            "metadata": {
                "name": "for-spin", "version": "1.0.0",
                "trigger": { "type": "http" }, "triggers": {},
            },
            "variables": { "name": { "default": "Spin", "secret": false } },
            "triggers": [{
                "id": "reader-http-trigger", "trigger_type": "http",
                "trigger_config": { "component": "reader", "route": "/..." },
            }],
            "components": [{
                "id": "reader",
                "metadata": {
                    "allowed_outbound_hosts": ["http://a.spin.internal"],
                    "key_value_stores": ["default"], "databases": ["default"],
                },
                "source": { "content_type": "application/wasm", "digest": digest(of(WASM)[0]) },
                "files": [
                    { "digest": digest(of(DATA)[0]), "path": "assets/file.txt" },
                    { "inline": "c21hbGw", "digest": digest(b"small"), "path": "assets/small.txt" },
                ],
                "config": { "greeting": "hello {{ name }}" },
                "host_requirements": { "local_service_chaining": "required" },
            }],
        })
    );
}
