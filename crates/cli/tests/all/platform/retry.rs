//! What cannot be served is tried again until it can, and keeps nobody else from being served.

use std::time::{Duration, Instant};

use super::{Platform, numbered};

/// How long the node may take to try again.
const PATIENCE: Duration = Duration::from_secs(40);

impl Platform {
    /// Waits until an app is served as it is to be, or fails to be.
    async fn becomes(&self, app: &str, state: &str) -> serde_json::Value {
        let since = Instant::now();
        loop {
            let apps = self.json(&["apps"]).await;
            let apps = apps.as_array().unwrap().iter();
            let found = apps.clone().find(|it| it["name"] == app).expect("the app is there");
            if found["active"]["state"] == state {
                return found["active"].clone();
            }
            assert!(since.elapsed() < PATIENCE, "`{app}` is not {state}: {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_release_is_served_once_its_state_can_be_kept() {
    let platform = Platform::start().await;
    // A file where the app's folder is to be.
    let state = platform.server.state("apps/t1/1");
    std::fs::create_dir(state.parent().unwrap()).unwrap();
    std::fs::write(&state, "").unwrap();
    let said = platform.deploy(&numbered(1, "", ""), &[]).await.with(1);
    assert!(said.contains("failed to create `state`"), "{said}");
    assert!(!said.contains(&*platform.server.state("").to_string_lossy()), "{said}");
    assert_eq!(platform.get("test.localhost", "/env").await.status, 404);
    // Others come and change meanwhile.
    for number in 2..4 {
        platform.deploy(&numbered(number, "", ""), &["--app", "other"]).await.with(0);
        let answer = platform.get("other.localhost", "/env").await.text();
        assert!(answer.contains(&format!("RELEASE={number}\n")), "{answer}");
    }
    let active = platform.becomes("test", "failed").await;
    assert!(active["error"].to_string().contains("failed to create"), "{active}");
    std::fs::remove_file(&state).unwrap();
    let active = platform.becomes("test", "serving").await;
    assert!(active["error"].is_null(), "{active}");
    assert_eq!(platform.release().await, "1");
    platform.stop().await;
}

#[tokio::test]
async fn a_node_that_lacks_a_release_serves_the_others_and_takes_it_when_it_comes() {
    let platform = Platform::start_anchored().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.deploy(&numbered(2, "", ""), &["--app", "other"]).await.with(0);
    let id = platform.json(&["releases", "test"]).await[0]["id"].as_str().unwrap().to_owned();
    let digest = id.strip_prefix("sha256:").unwrap();
    let folders = std::fs::read_dir(platform.server.state("releases")).unwrap();
    let folder = folders.map(|entry| entry.unwrap().path());
    let folder = folder.filter(|it| it.to_string_lossy().contains(digest)).last().unwrap();
    let away = platform.server.state("away");
    std::fs::rename(&folder, &away).unwrap();
    let is_node = |words: &str| words.contains("--role node");
    let node = platform.server.process().children().into_iter().find(|(_, it)| is_node(it));
    node.expect("it runs").0.kill();
    let active = platform.becomes("test", "failed").await;
    assert!(active["error"].to_string().contains("is not laid out"), "{active}");
    let answer = platform.get("other.localhost", "/env").await.text();
    assert!(answer.contains("RELEASE=2\n"), "{answer}");
    assert_eq!(platform.get("test.localhost", "/env").await.status, 404);
    std::fs::rename(&away, &folder).unwrap();
    platform.becomes("test", "serving").await;
    assert_eq!(platform.release().await, "1");
    platform.stop().await;
}
