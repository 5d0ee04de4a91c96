//! `dayfly compile`: a file in, an artifact out, that Dayfly itself does not take.

use super::{complained, guest, printed};

#[tokio::test]
async fn an_artifact_is_written_and_its_facts_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("hello.cwasm");
    let out = out.to_str().unwrap();
    let complaint = complained(&["compile", &guest("rust-hello"), "-o", out], 0).await;
    assert!(complaint.contains("Compiled"), "{complaint}");
    let native = std::fs::read(out).unwrap();
    assert!(native.starts_with(b"\x7fELF"));
    let words = ["compile", "--json", "--engine", "interpreter", &guest("rust-command"), "-o", out];
    let facts: serde_json::Value = serde_json::from_str(&printed(&words, 0).await).unwrap();
    let portable = std::fs::read(out).unwrap();
    assert!(portable.starts_with(b"\x7fELF") && portable != native);
    assert_eq!(facts["artifact_bytes"], portable.len());
    assert_eq!(facts["engine"], "interpreter");
    assert_eq!(facts["source_bytes"], std::fs::metadata(guest("rust-command")).unwrap().len());
}

#[tokio::test]
async fn an_artifact_is_no_source() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("hello.cwasm");
    let out = out.to_str().unwrap();
    complained(&["compile", &guest("rust-hello"), "-o", out], 0).await;
    for command in ["run", "check", "call", "up"] {
        complained(&[command, out], 1).await;
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let out = "/no/such/folder/hello.cwasm";
    let complaint = complained(&["compile", &guest("rust-hello"), "-o", out], 1).await;
    assert!(complaint.contains("failed to write `/no/such/folder/hello.cwasm`"), "{complaint}");
}
