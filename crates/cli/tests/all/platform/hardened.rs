//! All processes of a platform are bounded, and what they do goes on all the same.

use dayfly_testing::Process;

use super::handover::{child, followed};
use super::{Platform, numbered};
use crate::dayfly;

/// What a process's status says of some fields.
fn status(process: Process, fields: [&str; 3]) -> [String; 3] {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    fields.map(|field| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
    })
}

fn is_bounded(process: Process) -> bool {
    status(process, ["NoNewPrivs:", "Seccomp:", "CapEff:"]) == ["1", "2", "0000000000000000"]
}

#[tokio::test]
async fn every_process_of_a_platform_is_bounded() {
    let platform = Platform::start_serving(dayfly(), &["--harden", "on"]).await;
    let supervisor = platform.server.process();
    platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.deploy(&numbered(1, "", ""), &["--tenant", "acme"]).await.with(0);
    for role in ["node", "control", "own"] {
        assert!(is_bounded(child(supervisor, role).unwrap()), "{role}");
    }
    assert!(is_bounded(supervisor), "the supervisor");
    // Whoever dies is started by who is bounded, and serves.
    for role in ["node", "control", "own"] {
        let former = child(supervisor, role).unwrap();
        former.kill();
        let next = followed(supervisor, role, former).await;
        let since = std::time::Instant::now();
        while !is_bounded(next) {
            assert!(since.elapsed().as_secs() < 60, "{role} is not bounded");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    // A new program takes its place.
    let former = child(supervisor, "node").unwrap();
    supervisor.hang_up();
    followed(supervisor, "node", former).await;
    platform.server.stderr().containing("a process was replaced").await;
    platform.deploy(&numbered(2, "", ""), &["--tenant", "acme"]).await.with(0);
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    assert_eq!(platform.release().await, "2");
    platform.stop().await;
}

#[tokio::test]
async fn a_platform_whose_key_a_command_says_is_bounded_where_it_can_be() {
    let key = "07".repeat(32);
    let command = format!("printf {key}");
    let flags = ["--harden", "on", "--secrets-key-command", &command];
    let platform = Platform::start_serving(dayfly().env("DAYFLY_LOG", "info"), &flags).await;
    let supervisor = platform.server.process();
    let [_, filtered, _] = status(supervisor, ["NoNewPrivs:", "Seccomp:", "CapEff:"]);
    assert_eq!(filtered, "0");
    platform.server.stderr().containing("the supervisor is not hardened").await;
    let former = child(supervisor, "node").unwrap();
    assert!(is_bounded(former) && is_bounded(child(supervisor, "control").unwrap()));
    former.kill();
    followed(supervisor, "node", former).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.release().await, "1");
    platform.stop().await;
}
