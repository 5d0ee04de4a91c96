//! Tenants that take all they can get, and another one beside them.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Client};
use tokio::task::JoinHandle;

use super::Platform;
use crate::dayfly;

/// An app `test` that takes what it can: no limit of its own ends it soon.
fn greedy() -> App {
    App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n\
         limits = { cpu = \"60s\", time = \"5m\", concurrency = 1000 }\n",
    )
    .file("guest.wasm", dayfly_testing::Guest::bytes("rust-http"))
}

/// A platform with tenants `flood` and `quiet`, each with an app.
async fn both(dayfly: dayfly_testing::Dayfly) -> Platform {
    let platform = Platform::start_with(dayfly).await;
    for tenant in ["flood", "quiet"] {
        let quotas = ["--quota", "requests_per_second=1000000", "--quota", "concurrency=1000"];
        let words = ["tenants", "make", tenant].into_iter().chain(quotas);
        platform.done(&words.collect::<Vec<_>>()).await;
        platform.deploy(&greedy(), &["--tenant", tenant]).await.with(0);
        assert_eq!(quiet(&platform, "/hello", tenant).await.0, 200);
    }
    platform
}

/// The status of an answer, and how long it took.
async fn quiet(platform: &Platform, path: &str, tenant: &str) -> (u16, Duration) {
    let began = Instant::now();
    let answer = platform.get(&format!("test.{tenant}.localhost"), path).await;
    (answer.status, began.elapsed())
}

/// So many clients that ask tenant `flood` again and again, by connections of their own; how many answers
/// were 200, 429 and others.
fn flood(platform: &Platform, path: &'static str, clients: usize) -> Vec<JoinHandle<[u32; 3]>> {
    let base = platform.apps.base().to_owned();
    let client = |_| {
        let client = Client::http1(&base);
        tokio::spawn(async move {
            let mut seen = [0; 3];
            let end = Instant::now() + Duration::from_secs(8);
            while Instant::now() < end {
                let answer = client.get_with(path, &[("host", "test.flood.localhost")]).await;
                seen[match answer.status {
                    200 => 0,
                    429 => 1,
                    _ => 2,
                }] += 1;
            }
            seen
        })
    };
    (0..clients).map(client).collect()
}

async fn counted(clients: Vec<JoinHandle<[u32; 3]>>) -> [u32; 3] {
    let mut all = [0; 3];
    for client in clients {
        let seen = client.await.unwrap();
        all.iter_mut().zip(seen).for_each(|(all, seen)| *all += seen);
    }
    all
}

/// What tenant `quiet` sees while another one takes what it can: all of it served.
async fn latencies(platform: &Platform, times: usize) -> Vec<Duration> {
    let mut all = Vec::new();
    for _ in 0..times {
        let (status, took) = quiet(platform, "/hello", "quiet").await;
        assert_eq!(status, 200);
        all.push(took);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    all.sort();
    all
}

#[tokio::test]
async fn loops_on_every_core_and_a_flood_hold_no_other_tenant_up() {
    let platform = both(dayfly().env("DAYFLY_MAX_INSTANCES", "64")).await;
    let base = platform.apps.base().to_owned();
    let looping = |_| {
        let client = Client::http1(&base);
        tokio::spawn(async move {
            client
                .try_send(
                    client
                        .request(http::Method::GET, "/spin")
                        .header("host", "test.flood.localhost")
                        .body(dayfly_testing::Body::empty()),
                )
                .await
        })
    };
    // More than are its share: some wait, and are refused in the end.
    let loops: Vec<_> = (0..200).map(looping).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let clients = flood(&platform, "/work?rounds=300000", 100);
    let took = latencies(&platform, 200).await;
    let p99 = took[took.len() * 99 / 100];
    println!(
        "beside loops and a flood: median {:?}, 99th percentile {p99:?}",
        took[took.len() / 2]
    );
    assert!(p99 < Duration::from_secs(1), "{took:?}");
    let [served, refused, others] = counted(clients).await;
    println!("the flood: {served} served, {refused} refused by its own bounds, {others} else");
    assert!(refused > 0 && others == 0);
    loops.iter().for_each(JoinHandle::abort);
    platform.stop().await;
}

#[tokio::test]
async fn short_requests_by_the_thousand_hold_no_other_tenant_up() {
    let platform = both(dayfly()).await;
    let clients = flood(&platform, "/work?rounds=600000", 300);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let took = latencies(&platform, 200).await;
    let p99 = took[took.len() * 99 / 100];
    println!("beside short requests: median {:?}, 99th percentile {p99:?}", took[took.len() / 2]);
    assert!(p99 < Duration::from_secs(1), "{took:?}");
    let [served, refused, others] = counted(clients).await;
    println!("the flood: {served} served, {refused} refused by its own bounds, {others} else");
    assert!(served > 1000, "it had what nobody else needed: {served}");
    assert_eq!(others, 0, "what is refused is told why");
    platform.stop().await;
}

#[tokio::test]
async fn one_guest_of_a_tenant_has_as_much_of_a_core_as_ten_of_another() {
    let platform = both(dayfly().env("DAYFLY_THREADS", "1")).await;
    let work = "/work?rounds=1500000000";
    let (status, alone) = quiet(&platform, work, "quiet").await;
    assert_eq!(status, 200);
    let base = platform.apps.base().to_owned();
    let loops: Vec<_> = (0..10)
        .map(|_| {
            let client = Client::http1(&base);
            tokio::spawn(async move {
                client.get_with("/spin", &[("host", "test.flood.localhost")]).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, beside) = quiet(&platform, work, "quiet").await;
    assert_eq!(status, 200);
    println!("alone {alone:?}, beside ten loops {beside:?}");
    // Of eleven equals it would have had a part of eleven.
    assert!(beside < alone * 4, "alone {alone:?}, beside ten loops {beside:?}");
    // Three times the weight, three quarters of the core.
    platform.done(&["tenants", "change", "quiet", "--quota", "weight=300"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, heavier) = quiet(&platform, work, "quiet").await;
    println!("with three times the weight {heavier:?}");
    assert!(heavier < beside.mul_f64(0.9), "{heavier:?}, before {beside:?}");
    loops.iter().for_each(JoinHandle::abort);
    platform.stop().await;
}

#[tokio::test]
async fn tenants_that_take_all_they_can_leave_a_place_for_who_comes_next() {
    let platform = Platform::start_with(dayfly().env("DAYFLY_MAX_INSTANCES", "64")).await;
    let floods = ["flood-a", "flood-b", "flood-c", "flood-d"];
    for tenant in floods.into_iter().chain(["quiet"]) {
        platform.done(&["tenants", "make", tenant, "--quota", "concurrency=1000"]).await;
        platform.deploy(&greedy(), &["--tenant", tenant]).await.with(0);
    }
    let base = platform.apps.base().to_owned();
    let mut sleeping = Vec::new();
    for tenant in floods {
        let host = format!("test.{tenant}.localhost");
        for _ in 0..40 {
            let (client, host) = (Client::http1(&base), host.clone());
            sleeping.push(tokio::spawn(async move {
                let path = "/sleep?ms=60000";
                let request = client.request(http::Method::GET, path).header("host", host);
                client.try_send(request.body(dayfly_testing::Body::empty())).await
            }));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for _ in 0..20 {
        let (status, took) = quiet(&platform, "/hello", "quiet").await;
        assert!(status == 200 && took < Duration::from_secs(2), "{status} after {took:?}");
    }
    sleeping.iter().for_each(JoinHandle::abort);
    platform.stop().await;
}
