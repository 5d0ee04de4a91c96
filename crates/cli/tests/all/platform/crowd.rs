//! Many tenants deploy at once while their apps are asked, and the app of one that does not: no request fails, and
//! nothing goes back to an older release. All of them stay in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use dayfly_testing::{Body, Client};

use super::{Addresses, Platform, numbered};
use crate::dayfly;

const TENANTS: usize = 10;

/// A tenant that deploys once, before the others.
const STILL: &str = "still";

/// How often each deploys; `DAYFLY_TEST_DEPLOYS` asks for more than every run can wait for.
const DEPLOYS: u32 = 10;

fn deploys() -> u32 {
    let asked = std::env::var("DAYFLY_TEST_DEPLOYS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(DEPLOYS)
}

/// What all clients know: which releases were activated, and whether they may go home.
struct Crowd {
    /// For each tenant the number of its newest release that somebody was told to be served.
    newest: Vec<AtomicU32>,
    asked: AtomicU32,
    is_over: AtomicBool,
}

/// Asks the apps of all tenants, one after the other.
async fn ask(apps: Client, crowd: Arc<Crowd>) {
    while !crowd.is_over.load(Relaxed) {
        for (tenant, newest) in crowd.newest.iter().enumerate() {
            let least = newest.load(Relaxed);
            let release = served(&apps, &format!("t{tenant}")).await;
            assert!(release >= least, "tenant {tenant} went back from {least} to {release}");
            crowd.asked.fetch_add(1, Relaxed);
        }
        assert_eq!(served(&apps, STILL).await, 0);
    }
}

/// Which release of a tenant's app answers.
async fn served(apps: &Client, tenant: &str) -> u32 {
    let host = format!("test.{tenant}.localhost");
    let request = apps.request(http::Method::GET, "/env").header("host", host);
    let answer = apps.try_send(request.body(Body::empty())).await;
    let answer = answer.unwrap_or_else(|error| panic!("tenant {tenant}: {error}"));
    let text = answer.text();
    assert_eq!(answer.status, 200, "tenant {tenant}: {text}");
    let release = text.lines().find_map(|line| line.strip_prefix("RELEASE="));
    release.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_crowd_deploys_and_no_request_fails() {
    let metrics = Addresses::free().apps;
    let platform = Platform::start_with(dayfly().env("DAYFLY_METRICS_LISTEN", &metrics)).await;
    let apps = (0..=deploys()).map(|number| numbered(number, "", "")).collect::<Vec<_>>();
    let names = (0..TENANTS).map(|tenant| format!("t{tenant}")).chain([STILL.to_owned()]);
    for name in names {
        platform.done(&["tenants", "make", &name]).await;
        platform.deploy(&apps[0], &["--accept", "--tenant", &name]).await.with(0);
    }
    let newest = (0..TENANTS).map(|_| AtomicU32::new(0)).collect();
    let (asked, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let crowd = Arc::new(Crowd { newest, asked, is_over });
    let clients = [(); 4].map(|()| tokio::spawn(ask(platform.apps.clone(), crowd.clone())));
    let deploy_all = async |tenant: usize| {
        let name = format!("t{tenant}");
        for (number, app) in (0..).zip(&apps).skip(1) {
            platform.deploy(app, &["--accept", "--tenant", &name]).await.with(0);
            crowd.newest[tenant].store(number, Relaxed);
        }
    };
    futures_util::future::join_all((0..TENANTS).map(deploy_all)).await;
    crowd.is_over.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let asked = crowd.asked.load(Relaxed);
    assert!(asked > 1000, "only {asked} requests were sent meanwhile");
    eprintln!("{asked} requests during {} deploys", TENANTS as u32 * deploys());
    // There is room for all.
    let page = Client::http1(&format!("http://{metrics}")).text("/metrics").await;
    let resident = format!("\ndayfly_resident_components {}\n", TENANTS + 1);
    assert!(page.contains(&resident) && page.contains("\ndayfly_evictions_total 0\n"), "{page}");
    platform.stop().await;
}
