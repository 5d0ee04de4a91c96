//! A release that is looked at before it has any traffic.

use std::time::{Duration, Instant};

use super::handover::{child, followed};
use super::{Platform, numbered};

#[tokio::test]
async fn only_a_healthy_release_gets_traffic() {
    let platform = Platform::start().await;
    let healthy = ["--health-path", "/status?code=204"];
    platform.deploy(&numbered(1, "", ""), &healthy).await.with(0);
    assert_eq!(platform.release().await, "1");
    // While one is looked at, the former one answers, and other apps come.
    let sick = ["--health-path", "/status?code=500"];
    let app = numbered(2, "", "");
    let refused = async { (platform.deploy(&app, &sick).await, Instant::now()) };
    let others = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let other = platform.deploy(&numbered(9, "", ""), &["--app", "other"]).await;
        other.with(0);
        let (there, began) = (Instant::now(), Instant::now());
        while began.elapsed() < Duration::from_secs(10) {
            assert_eq!(platform.release().await, "1");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        there
    };
    let ((refused, ended), there) = tokio::join!(refused, others);
    assert!(there < ended, "it waited for another app");
    let said = refused.with(1);
    for word in ["is not healthy", "`/status?code=500` answers 500", "was rolled back"] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(platform.release().await, "1");
    // What did not do is nothing to go back to.
    let said = platform.dayfly(&["rollback", "test"]).ends().await.with(1);
    assert!(said.contains("no release that was active before"), "{said}");
    // A manifest may say it, and a flag goes before that.
    let stated = |number, code: u32| {
        let health = format!("/status?code={code}");
        let settings = format!("[application.trigger.http]\nhealth = \"{health}\"");
        numbered(number, "", &settings)
    };
    let said = platform.deploy(&stated(4, 503), &[]).await.with(1);
    assert!(said.contains("`/status?code=503` answers 503"), "{said}");
    assert_eq!(platform.release().await, "1");
    platform.deploy(&stated(5, 503), &healthy).await.with(0);
    assert_eq!(platform.release().await, "5");
    platform.deploy(&stated(6, 204), &[]).await.with(0);
    assert_eq!(platform.release().await, "6");
    platform.deploy(&numbered(1, "", ""), &healthy).await.with(0);
    platform.deploy(&numbered(3, "", ""), &healthy).await.with(0);
    platform.done(&["rollback", "test"]).await;
    assert_eq!(platform.release().await, "1");
    let said = platform.deploy(&app, &["--health-path", "no path"]).await.with(1);
    assert!(said.contains("a path begins with `/`"), "{said}");
    platform.stop().await;
}

/// A node that comes in the middle has the new release only: it serves that, and says so once it has looked.
#[tokio::test]
async fn a_node_that_dies_meanwhile_makes_no_release_healthy() {
    let platform = Platform::start().await;
    let healthy = ["--health-path", "/status?code=204"];
    platform.deploy(&numbered(1, "", ""), &healthy).await.with(0);
    let (supervisor, app) = (platform.server.process(), numbered(2, "", ""));
    let dies = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        child(supervisor, "node").unwrap().kill();
    };
    let sick = platform.deploy(&app, &["--health-path", "/status?code=500"]);
    let (refused, ()) = tokio::join!(sick, dies);
    let said = refused.with(1);
    assert!(said.contains("is not healthy") && said.contains("was rolled back"), "{said}");
    // The former one is looked at, too, before it follows.
    let since = Instant::now();
    while platform.release().await != "1" {
        assert!(since.elapsed() < Duration::from_secs(20), "it was not rolled back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was looked at is served again as it was, and not looked at.
    let node = child(supervisor, "node").unwrap();
    node.kill();
    followed(supervisor, "node", node).await;
    assert_eq!(platform.release().await, "1");
    platform.deploy(&numbered(3, "", ""), &healthy).await.with(0);
    assert_eq!(platform.release().await, "3");
    platform.stop().await;
}
