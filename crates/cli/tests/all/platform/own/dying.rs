//! Processes of tenants that die.

use std::time::{Duration, Instant};

use dayfly_testing::Body;
use http::Method;
use tokio::time::{sleep, timeout};

use super::{ACME, PATIENCE};
use crate::dayfly;
use crate::platform::handover::{Load, address, child};
use crate::platform::{Platform, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_hurts_its_tenant_alone() {
    let quiet = dayfly().env("DAYFLY_MAX_LAG", "60s");
    let platform = Platform::with_own(quiet, &numbered(1, "", "")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let load = Load::start_on(address(&platform), "test.localhost");
    for _ in 0..3 {
        let own = platform.own().await;
        assert_eq!(platform.acme("/hello").await.status, 200);
        let waiting = {
            let client = platform.apps.clone();
            tokio::spawn(async move { client.get_with("/sleep?ms=20000", &[("host", ACME)]).await })
        };
        let cut = {
            let client = platform.apps.clone();
            let request = client.request(Method::GET, "/slow?chunks=200&ms=50");
            let request = request.header("host", ACME).body(Body::empty());
            tokio::spawn(async move { client.try_send(request).await })
        };
        sleep(Duration::from_millis(400)).await;
        own.kill();
        let cut = timeout(PATIENCE, cut).await.expect("an end").unwrap();
        assert!(cut.is_err_and(|error| error.contains("broke off")), "half an answer is whole");
        // What it was at work for is told so, and others that they may come again.
        let lost = timeout(PATIENCE, waiting).await.expect("an answer").unwrap();
        assert_eq!(lost.status, 502, "{}", lost.text());
        let (since, mut refused) = (Instant::now(), 0);
        loop {
            let answer = platform.acme("/hello").await;
            match answer.status {
                200 => break,
                503 => {
                    assert_eq!(answer.header("retry-after"), "1");
                    answer.error_id();
                    refused += 1;
                }
                502 => {}
                other => panic!("{other}: {}", answer.text()),
            }
            assert!(since.elapsed() < PATIENCE, "it does not come again");
            sleep(Duration::from_millis(5)).await;
        }
        assert!(refused > 0, "nobody was refused");
        assert_ne!(platform.own().await.id(), own.id());
    }
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {:?}", failures.len(), failures.first());
    // The node may die as well: the tenant's process goes on, and is found again.
    let own = platform.own().await;
    child(platform.server.process(), "node").unwrap().kill();
    let since = Instant::now();
    loop {
        let request = platform.apps.request(Method::GET, "/hello").header("host", ACME);
        let answer = platform.apps.try_send(request.body(Body::empty())).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "it is not found again");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(platform.own().await.id(), own.id());
    platform.stop().await;
}

#[tokio::test]
async fn one_that_dies_again_and_again_comes_back_and_keeps_nobody_from_anything() {
    let platform = Platform::with_own(dayfly(), &numbered(1, "", "")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    for _ in 0..4 {
        platform.own().await.kill_if_running();
        assert_eq!(platform.get("test.localhost", "/hello").await.status, 200);
    }
    platform.server.stderr().containing("a tenant's process died").await;
    platform.until("/hello", 200).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_hangs_is_found_out_and_followed() {
    let quiet = dayfly().env("DAYFLY_MAX_LAG", "60s").env("DAYFLY_OWN_TIMEOUT", "6s");
    let platform = Platform::with_own(quiet, &numbered(1, "", "")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let load = Load::start_on(address(&platform), "test.localhost");
    assert_eq!(platform.acme("/hello").await.status, 200);
    let own = platform.own().await;
    // One that nobody but its keeper asks goes on.
    sleep(Duration::from_secs(8)).await;
    assert_eq!(platform.own().await.id(), own.id(), "an idle one was ended");
    own.halt();
    let asked = timeout(PATIENCE, platform.acme("/hello")).await.expect("an answer in time");
    assert!(matches!(asked.status, 502 | 503), "{}: {}", asked.status, asked.text());
    platform.server.stderr().containing("does not answer, and is ended").await;
    let since = Instant::now();
    while platform.acme("/hello").await.status != 200 {
        assert!(since.elapsed() < PATIENCE, "none follows it");
        sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(platform.own().await.id(), own.id());
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {:?}", failures.len(), failures.first());
    platform.stop().await;
}
