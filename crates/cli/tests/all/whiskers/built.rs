//! What is checked in: browsers load the bytes that the server runs. That these are what their sources make is
//! `cargo xtask whiskers --check`.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dayfly_testing::sha256;

use super::{example, up};

#[tokio::test]
async fn browsers_load_the_bytes_that_the_server_runs() {
    let manifest = fs::read_to_string(example().join("dayfly.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let judge = &manifest["component"]["judge"];
    let path = judge["dependencies"]["whiskers:game"]["path"].as_str().unwrap();
    let run = fs::read(example().join(path)).unwrap();
    let server = up().await;
    let loaded = server.get("/rules.wasm").await;
    assert_eq!((loaded.status, loaded.header("content-type")), (200, "application/wasm"));
    assert_eq!(loaded.body, run);
    let page = server.text("/").await;
    // What the browser compares with, and what people see.
    let digest = sha256(&run);
    let hexadecimal = digest.strip_prefix("sha256:").unwrap_or(&digest);
    assert!(page.contains(&format!("sha256 <code>{}", &hexadecimal[..16])), "{page}");
    let bytes: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap())
        .collect();
    let integrity = format!("data-rules=\"sha256-{}\"", BASE64_STANDARD.encode(bytes));
    assert!(page.contains(&integrity), "{page}");
    server.stop().await;
}

#[test]
fn nobody_waits_long_for_it() {
    for (file, most) in [("judge.wasm", 128), ("page/rules.wasm", 4), ("page/rules.js", 48)] {
        let bytes = fs::metadata(example().join(file)).unwrap().len();
        assert!(bytes <= most << 10, "{file} has {bytes} bytes");
    }
}
