//! Tenants that get a process of their own, or give it up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{ACME, PATIENCE, working};
use crate::dayfly;
use crate::platform::handover::{Load, address, child};
use crate::platform::{Platform, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_moves_while_it_is_asked_and_its_events_are_not_lost() {
    let quiet = dayfly().env("DAYFLY_MAX_LAG", "60s");
    let platform = Platform::start_with(quiet).await;
    platform.done(&["tenants", "make", "acme"]).await;
    platform.deploy(&working(), &["--tenant", "acme"]).await.with(0);
    let load = Load::start_on(address(&platform), ACME);
    let jobs = {
        let client = platform.apps.clone();
        tokio::spawn(async move {
            let mut put = BTreeSet::new();
            for number in 0..400 {
                let word = format!("word {number}");
                let headers = [("host", ACME)];
                let answer = client.post_with("/jobs", &headers, word.clone()).await;
                let text = answer.text();
                assert!((200..300).contains(&answer.status), "{number}: {text}");
                put.insert(word.to_uppercase());
                sleep(Duration::from_millis(10)).await;
            }
            put
        })
    };
    while !jobs.is_finished() {
        platform.isolate("own-process").await;
        let own = platform.own().await;
        // Until it serves.
        let since = Instant::now();
        while own.cpu_time() < Duration::from_millis(10) {
            assert!(since.elapsed() < PATIENCE, "it does not serve");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(700)).await;
        platform.isolate("shared").await;
        let since = Instant::now();
        while child(platform.server.process(), "own").is_some() {
            assert!(since.elapsed() < PATIENCE, "it stays");
            sleep(Duration::from_millis(20)).await;
        }
    }
    let put = jobs.await.unwrap();
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {:?}", failures.len(), failures.first());
    let only = |folder: std::path::PathBuf| {
        std::fs::read_dir(folder).unwrap().last().unwrap().unwrap().path()
    };
    let state = only(only(platform.server.state("apps")));
    let heard = crate::events::heard(&state, put.len()).await;
    assert_eq!(heard.iter().cloned().collect::<BTreeSet<_>>(), put);
    assert_eq!(heard.len(), put.len(), "some came twice");
    platform.stop().await;
}

#[tokio::test]
async fn there_are_no_more_processes_than_there_is_room_for() {
    let platform = Platform::start_serving(dayfly(), &["--own-processes", "1"]).await;
    platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
    let words = ["tenants", "make", "other", "--isolation", "own-process"];
    let said = platform.dayfly(&words).ends().await.with(1);
    assert!(said.contains("--own-processes") && said.contains("of 1 that"), "{said}");
    platform.done(&["tenants", "make", "other"]).await;
    let words = ["tenants", "change", "other", "--isolation", "own-process"];
    let said = platform.dayfly(&words).ends().await.with(1);
    assert!(said.contains("--own-processes"), "{said}");
    let shown = platform.json(&["tenants", "show", "other"]).await;
    assert_eq!(shown["isolation"], "shared");
    platform.deploy(&numbered(1, "", ""), &["--tenant", "acme"]).await.with(0);
    platform.isolate("shared").await;
    platform.done(&words).await;
    platform.deploy(&numbered(2, "", ""), &["--tenant", "other"]).await.with(0);
    let text = platform.get("test.other.localhost", "/env").await.text();
    assert!(text.contains("RELEASE=2"), "{text}");
    assert!(platform.acme("/env").await.text().contains("RELEASE=1"));
    platform.stop().await;
}
