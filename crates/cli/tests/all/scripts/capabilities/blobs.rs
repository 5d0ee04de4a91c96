//! Blobs from scripts.

use serde_json::json;

use super::{error, steps};

#[tokio::test]
async fn blobs_are_stored_read_and_listed() {
    let done = json!(["one", [0, 255], null, true, ["a", "b/c"], 3, 300_000, 300_000, "ne", false]);
    let told = [
        ("blobs", done.clone()),
        ("blobs?pictures", done),
        ("blobs?other", error("other", "the container is not granted")),
        ("no_blob", error("other", "there is no such object")),
    ];
    steps("blob_containers = [\"default\", \"pictures\"]", &told).await;
}
