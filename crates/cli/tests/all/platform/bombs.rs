//! Uploads that are made to hurt: whoever sends one is told what is wrong with it, and nobody else
//! notices.

use std::io::Write as _;
use std::time::{Duration, Instant};

use dayfly_testing::{Answer, Body, Client, Guest, sha256};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Platform, numbered};
use crate::dayfly;

const LOCKED: &str = "application/vnd.fermyon.spin.application.v1+config";
const WASM: &str = "application/vnd.wasm.content.layer.v1+wasm";
const WASM_GZIP: &str = "application/vnd.dayfly.wasm.v1+gzip";
const ARCHIVE: &str = "application/vnd.wasm.content.bundle.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Who sends them: a tenant with a token that may deploy.
struct Attacker {
    api: Client,
    token: String,
}

impl Attacker {
    async fn of(platform: &Platform) -> Self {
        platform.done(&["tenants", "make", "mallory"]).await;
        let words = ["tokens", "make", "bombs", "--tenant", "mallory", "--scope", "deploy"];
        let token = platform.done(&words).await.trim().to_owned();
        let attacker = Self { api: Client::http1(&platform.admin), token };
        let made = attacker.send("PUT", "/apps/bomb", "application/json", Vec::new()).await;
        assert!(made.status < 300, "{}", made.text());
        attacker
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let path = format!("/v1/tenants/mallory{path}");
        let request = self.api.request(method.parse().unwrap(), &path);
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.api.send(request.header("content-type", kind).body(Body::full(body))).await
    }

    async fn blob(&self, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (format!("sha256:{}", sha256(&bytes)), bytes.len());
        let path = format!("/blobs/{digest}");
        let sent = self.send("PUT", &path, "application/octet-stream", bytes).await;
        assert!(sent.status < 300, "{}", sent.text());
        json!({ "mediaType": kind, "digest": digest, "size": size })
    }

    /// What is said of a release of an app, with further layers.
    async fn release(&self, app: &Value, mut layers: Vec<Value>) -> (u16, String) {
        let config = self.blob(LOCKED, app.to_string().into_bytes()).await;
        let wasm = self.blob(WASM, Guest::bytes("rust-hello")).await;
        layers.push(wasm);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let answer = self.send("POST", "/apps/bomb/releases", MANIFEST, body(&manifest)).await;
        (answer.status, answer.text())
    }
}

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// An app of components that are made of these blobs.
fn app_of(digests: &[&str]) -> Value {
    let triggers = (0..digests.len()).map(|number| {
        let id = format!("a{number}");
        json!({ "id": id, "trigger_type": "http",
                "trigger_config": { "route": format!("/{number}"), "component": id } })
    });
    let components = digests.iter().enumerate().map(|(number, digest)| {
        json!({ "id": format!("a{number}"),
                "source": { "content_type": "application/wasm", "digest": digest } })
    });
    json!({
        "spin_lock_version": 0,
        "metadata": { "name": "bomb" },
        "triggers": triggers.collect::<Value>(),
        "components": components.collect::<Value>(),
    })
}

fn hello() -> Value {
    app_of(&[&format!("sha256:{}", sha256(&Guest::bytes("rust-hello")))])
}

/// So many MiB of zeros, compressed.
fn zeros(mebibytes: usize, head: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(head).unwrap();
    for _ in 0..mebibytes {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

/// An archive of so many empty files.
fn files(count: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for number in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        builder.append_data(&mut header, number.to_string(), &b""[..]).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// A module whose functions are each small enough and together take a compiler long.
fn long_to_compile() -> Vec<u8> {
    let changes: String = (0..100)
        .map(|n| format!("(local.set {n} (i32.mul (local.get {n}) (local.get 1)))"))
        .collect();
    let loops = "(loop ".repeat(32) + &changes.repeat(4) + &"(br_if 0 (local.get 0)))".repeat(32);
    let function = format!("(func (local {}) {loops})", "i32 ".repeat(100));
    let text = format!(
        "(module (memory (export \"memory\") 1) {} (func (export \"_start\")))",
        function.repeat(1100)
    );
    wat_bytes(&text)
}

/// A module of one function with loops in loops in loops.
fn heavy() -> Vec<u8> {
    let loops = "(loop ".repeat(3000) + &"(br_if 0 (local.get 0)))".repeat(3000);
    wat_bytes(&format!(
        "(module (memory (export \"memory\") 1) (func (local i32) {loops}) (func (export \"_start\")))"
    ))
}

fn wat_bytes(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.wat"), folder.path().join("a.wasm"));
    std::fs::write(&from, text).unwrap();
    let mut resolve = std::process::Command::new(env!("CARGO_BIN_EXE_dayfly"));
    let done = resolve.arg("resolve").arg(&from).arg("-o").arg(&to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(&to).unwrap()
}

#[tokio::test]
async fn an_upload_bomb_hurts_only_who_sends_it() {
    let bounds = ["--worker-cpu", "8s", "--worker-memory", "1GiB"];
    let platform = Platform::start_serving(dayfly(), &bounds).await;
    platform.deploy(&numbered(1, "", ""), &["--accept"]).await.with(0);
    let attacker = Attacker::of(&platform).await;
    let processes = processes(&platform);

    let (long_to_compile, heavy) = (long_to_compile(), heavy());
    let quiet = tokio::spawn(ask_on(platform.apps.clone()));
    let bomb = attacker.blob(WASM_GZIP, zeros(600, b"")).await;
    let said = attacker.release(&hello(), vec![bomb]).await;
    refused(&said, "512 MiB in one piece");
    let tar = {
        let mut header = tar::Header::new_gnu();
        header.set_path("big").unwrap();
        header.set_size(600 << 20);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let bomb = attacker.blob(ARCHIVE, zeros(600, &tar)).await;
    refused(&attacker.release(&hello(), vec![bomb]).await, "512 MiB in one piece");
    let bomb = attacker.blob(ARCHIVE, files(100_001)).await;
    refused(&attacker.release(&hello(), vec![bomb]).await, "100000 files");

    let mut many = hello();
    let routes = (0..100_000).map(|n| {
        json!({ "id": format!("t{n}"), "trigger_type": "http",
                "trigger_config": { "route": format!("/{n}/:a/:b/..."), "component": "a0" } })
    });
    many["triggers"] = routes.collect();
    refused(&attacker.release(&many, Vec::new()).await, "longer than 1024 KiB");

    let mut layers = Vec::new();
    for number in 0..8 {
        // Nothing that another has in common with it: a section of a name and a number.
        let another = [&*long_to_compile, &[0, 3, 1, b'n', number]].concat();
        layers.push(attacker.blob(WASM, another).await);
    }
    let long = app_of(&layers.iter().map(|it| it["digest"].as_str().unwrap()).collect::<Vec<_>>());
    refused(&attacker.release(&long, layers).await, "CPU time");
    let heavy = attacker.blob(WASM, heavy).await;
    let app = app_of(&[heavy["digest"].as_str().unwrap()]);
    refused(&attacker.release(&app, vec![heavy]).await, "too long: it weighs");

    // Others deploy meanwhile and afterwards, and are served all the time, by the same processes.
    platform.deploy(&numbered(2, "", ""), &["--accept"]).await.with(0);
    assert_eq!(platform.release().await, "2");
    quiet.abort();
    if let Err(error) = quiet.await {
        assert!(error.is_cancelled(), "an app that is another's was not served: {error}");
    }
    assert_eq!(self::processes(&platform), processes, "one died");
    platform.stop().await;
}

/// A module of two functions without a branch, which a compiler has in mind as a whole.
pub(super) fn long_winded() -> Vec<u8> {
    let steps =
        "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.load (local.get 0))))";
    let function = format!("(func (local i32) {})", steps.repeat(150_000));
    wat_bytes(&format!(
        "(module (memory (export \"memory\") 1) {} (func (export \"_start\")))",
        function.repeat(2)
    ))
}

#[tokio::test]
async fn a_worker_that_takes_too_much_is_ended_and_costs_one_deploy() {
    let (winded, long) = (long_winded(), long_to_compile());
    let cache = tempfile::tempdir().unwrap();
    for (bounds, bytes, words) in [
        (["--worker-memory", "350MiB"], &winded, "takes more than 350 MiB of memory"),
        (["--worker-time", "3s"], &long, "takes more than 3 seconds"),
    ] {
        // What others have compiled is not compiled again.
        let dayfly = dayfly().env("DAYFLY_CACHE_DIR", cache.path());
        let platform = Platform::start_serving(dayfly, &bounds).await;
        platform.deploy(&numbered(1, "", ""), &["--accept"]).await.with(0);
        let attacker = Attacker::of(&platform).await;
        let processes = processes(&platform);
        let bomb = attacker.blob(WASM, bytes.clone()).await;
        let app = app_of(&[bomb["digest"].as_str().unwrap()]);
        let (asked, began) = (tokio::spawn(ask_on(platform.apps.clone())), Instant::now());
        let others = async {
            platform.deploy(&numbered(2, "", ""), &["--accept"]).await.with(0);
        };
        let (said, ()) = tokio::join!(attacker.release(&app, vec![bomb]), others);
        refused(&said, words);
        // It was in the middle of it.
        let names = platform.state.join("releases").read_dir().unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        assert_eq!(platform.release().await, "2");
        asked.abort();
        if let Err(error) = asked.await {
            assert!(error.is_cancelled(), "an app that is another's was not served: {error}");
        }
        assert_eq!(self::processes(&platform), processes, "one died");
        // Whoever sent it deploys what is in order.
        let (status, said) = attacker.release(&hello(), Vec::new()).await;
        assert!(status < 300, "{status} {said}");
        platform.stop().await;
    }
}

/// What somebody has compiled elsewhere never runs here.
#[tokio::test]
async fn native_code_is_refused_whoever_compiled_it() {
    let platform = Platform::start().await;
    let attacker = Attacker::of(&platform).await;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.wasm"), folder.path().join("a.cwasm"));
    std::fs::write(&from, Guest::bytes("rust-hello")).unwrap();
    dayfly().arg("compile").arg(&from).arg("-o").arg(&to).ends().await.with(0);
    let native = attacker.blob(WASM, std::fs::read(&to).unwrap()).await;
    let app = app_of(&[native["digest"].as_str().unwrap()]);
    refused(&attacker.release(&app, vec![native]).await, "is native code (ELF)");
    platform.stop().await;
}

/// What is unpacked counts, in each place that it has, and what is refused leaves nothing.
#[tokio::test]
async fn a_tenant_lays_out_no_more_than_it_may_store() {
    let platform = Platform::start().await;
    let attacker = Attacker::of(&platform).await;
    let quota = ["tenants", "change", "mallory", "--quota", "storage_bytes=64MiB"];
    platform.done(&quota).await;
    let content = vec![0; 24 << 20];
    let packed = {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, "zeros", &*content).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    };
    let archive = attacker.blob(ARCHIVE, packed).await;
    let digest = format!("sha256:{}", sha256(&content));
    let app = |places: &[&str]| {
        let mut app = hello();
        app["components"][0]["files"] =
            places.iter().map(|path| json!({ "path": path, "digest": digest })).collect();
        app
    };
    let said = attacker.release(&app(&["a", "b", "c"]), vec![archive.clone()]).await;
    refused(&said, "may have 67108864 of `storage_bytes`, and would have");
    let laid_out = || platform.state.join("releases").read_dir().unwrap().count();
    assert_eq!(laid_out(), 0);
    let (status, said) = attacker.release(&app(&["a", "b"]), vec![archive.clone()]).await;
    assert!(status < 300, "{status} {said}");
    assert_eq!(laid_out(), 1);
    let said = platform.done(&["tenants", "show", "mallory", "--json"]).await;
    let tenant: Value = serde_json::from_str(&said).unwrap();
    assert!(tenant["storage_bytes"].as_u64().unwrap() > 48 << 20, "{said}");
    // The same once more takes nothing, and another one there is no room for.
    let (status, said) = attacker.release(&app(&["a", "b"]), vec![archive.clone()]).await;
    assert!(status < 300, "{status} {said}");
    refused(&attacker.release(&app(&["c"]), vec![archive]).await, "`storage_bytes`");
    assert_eq!(laid_out(), 1);
    platform.stop().await;
}

fn refused((status, said): &(u16, String), words: &str) {
    assert!((400..500).contains(status) && said.contains(words), "{words}: {status} {said}");
}

/// The ids of the processes that serve.
pub(super) fn processes(platform: &Platform) -> Vec<i32> {
    platform.server.process().children().into_iter().map(|(process, _)| process.id()).collect()
}

/// Asks another's app for ever, which must answer, and soon.
pub(super) async fn ask_on(apps: Client) {
    loop {
        let began = Instant::now();
        let answer = apps.get_with("/env", &[("host", "test.localhost")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
