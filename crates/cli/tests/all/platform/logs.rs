//! Logs of a platform's apps: what is shown, as it comes, and to whom.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Platform, numbered};

/// The lines of a command's standard output, as JSON.
fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_guests_say_is_shown_and_found_by_its_request() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.done(&["logs", "test"]).await, "");
    platform.get("test.localhost", "/log?text=seen&lines=2").await;
    let failed = platform.get("test.localhost", "/panic").await;
    let lines = parsed(&platform.done(&["logs", "test", "--json"]).await);
    let said: Vec<_> = lines.iter().filter(|line| line["stream"] == "stdout").collect();
    assert_eq!(
        said.iter().map(|line| &line["text"]).collect::<Vec<_>>(),
        ["stdout seen 1", "stdout seen 2"]
    );
    let releases = platform.json(&["releases", "test"]).await;
    let release = releases[0]["id"].as_str().unwrap();
    assert_eq!((&said[0]["component"], &said[0]["level"]), (&"guest".into(), &Value::Null));
    assert_eq!(said[0]["release"], release["sha256:".len()..][..12]);
    assert_eq!(said[0]["request"], said[1]["request"]);
    let now = chrono::Utc::now();
    let at = chrono::DateTime::parse_from_rfc3339(said[0]["at"].as_str().unwrap()).unwrap();
    assert!(now.signed_duration_since(at).num_seconds().abs() < 60, "{at}");

    // By the id that the client was told, all of its request is found.
    let id = failed.error_id();
    let of_request = parsed(&platform.done(&["logs", "test", "--json", "--search", &id]).await);
    assert!(of_request.iter().all(|line| line["request"] == id), "{of_request:?}");
    let host: Vec<_> = of_request.iter().filter(|line| line["stream"] == "host").collect();
    assert_eq!((host.len(), &host[0]["level"]), (1, &"error".into()), "{of_request:?}");
    let text = host[0]["text"].as_str().unwrap();
    assert!(text.starts_with("the handler failed: the guest trapped"), "{text}");
    assert!(of_request.iter().any(|line| line["stream"] == "stderr"), "the panic's own words");

    let errors = platform.done(&["logs", "test", "--level", "error"]).await;
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&id) && errors.contains(" guest host ") && !errors.contains('\u{1b}'));
    let some = platform.done(&["logs", "test", "--stream", "stdout", "-n", "1"]).await;
    assert!(some.ends_with("guest stdout stdout seen 2\n") && some.lines().count() == 1, "{some}");
    assert_eq!(platform.done(&["logs", "test", "--component", "other"]).await, "");
    let said = platform.dayfly(&["logs", "test", "--since", "soon"]).ends().await.with(2);
    assert!(said.contains("soon"), "{said}");
    platform.stop().await;
}

#[tokio::test]
async fn lines_are_shown_within_a_second_and_over_a_new_control_plane() {
    let platform = Platform::start_anchored().await;
    let app = numbered(1, "", "");
    platform.deploy(&app, &[]).await.with(0);
    // In the app's folder it need not be named.
    let words = ["logs", "-f", "--search", "SEEN", "--stream", "stdout"];
    let following = platform.dayfly(&words).within(app.folder()).spawn();
    let mut best = Duration::MAX;
    for number in 0..5 {
        platform.get("test.localhost", &format!("/log?text=other{number}")).await;
        let since = Instant::now();
        platform.get("test.localhost", &format!("/log?text=seen{number}")).await;
        following.stdout().containing(&format!("stdout seen{number} 1")).await;
        best = best.min(since.elapsed());
    }
    assert!(best < Duration::from_secs(1), "{best:?}");
    let shown = following.stdout().text();
    assert!(!shown.contains("other") && !shown.contains("stderr"), "{shown}");

    let control = super::usage::child(&platform.server, "control");
    rustix::process::kill_process(control, rustix::process::Signal::KILL).unwrap();
    following.stderr().containing("trying again").await;
    platform.get("test.localhost", "/log?text=seen5").await;
    following.stdout().containing("stdout seen5 1").await;
    // None twice.
    assert_eq!(following.stdout().all().len(), 6, "{}", following.stdout().text());
    following.process().interrupt();
    following.ended().await;
    platform.stop().await;
}

#[tokio::test]
async fn who_follows_by_a_token_that_is_revoked_follows_no_more() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.get("test.localhost", "/log?text=seen").await;
    let made = platform.json(&["tokens", "make", "tail", "--scope", "read"]).await;
    let follow = platform.stranger(&["logs", "test", "-f"]);
    let follow = follow.env("DAYFLY_PLATFORM", &platform.admin);
    let following = follow.env("DAYFLY_TOKEN", made["text"].as_str().unwrap()).spawn();
    following.stdout().containing("stdout seen 1").await;
    platform.done(&["tokens", "revoke", made["id"].as_str().unwrap()]).await;
    let ended = following.ended().await;
    assert!(ended.stderr.contains("the token is valid no more"), "{ended:?}");
    ended.with(1);
    platform.stop().await;
}
