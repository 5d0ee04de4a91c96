//! What apps used is what was asked of them, whatever becomes of the platform's processes meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Guest, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Platform, numbered};

/// How long what was used may take to be written down.
const SOON: Duration = Duration::from_secs(20);

/// The total of the only group that there is, once it has so many requests.
async fn settled(platform: &Platform, words: &[&str], requests: u64) -> Value {
    let since = Instant::now();
    loop {
        let report = platform.json(&[&["usage"], words].concat()).await;
        let groups = report["groups"].as_array().unwrap();
        assert!(groups.len() <= 1, "{report}");
        let total = groups.first().map_or(Value::Null, |group| group["total"].clone());
        if total["requests"] == requests {
            return total;
        }
        assert!(total["requests"].as_u64().unwrap_or(0) < requests, "{total}");
        assert!(since.elapsed() < SOON, "{requests} are not there: {report}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The process of a platform with this role.
pub(super) fn child(server: &Running, role: &str) -> Pid {
    let parent = server.process().id();
    let is_it = |folder: &Path| {
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let is_child = fields.split_whitespace().nth(1) == Some(&parent.to_string());
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        is_child
            && words
                .any(|word| word == format!("--role={role}").as_bytes() || word == role.as_bytes())
    };
    let mut processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let found = processes.find(|folder| is_it(folder));
    let found = found.unwrap_or_else(|| panic!("no process for {role}"));
    let id = found.file_name().unwrap().to_string_lossy().parse().unwrap();
    Pid::from_raw(id).unwrap()
}

/// Kills a process of a platform at once, and waits until there is another one that answers.
async fn kill(platform: &Platform, role: &str) {
    let former = child(&platform.server, role);
    kill_process(former, Signal::KILL).unwrap();
    let since = Instant::now();
    loop {
        assert!(since.elapsed() < SOON, "{role} does not come again");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let health = dayfly_testing::Client::http1(&platform.admin);
        let health = health.try_send(
            health.request(http::Method::GET, "/v1/health").body(dayfly_testing::Body::empty()),
        );
        let apps = platform.apps.try_send(
            platform.apps.request(http::Method::GET, "/").body(dayfly_testing::Body::empty()),
        );
        if health.await.is_ok_and(|it| it.status == 204) && apps.await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn usage_is_what_was_sent() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let host = [("host", "test.localhost")];
    let mut bytes = 0;
    for (path, count, status) in [
        ("/hello", 7, 200),
        ("/status?code=404", 3, 404),
        ("/status?code=500", 2, 500),
        ("/status?code=302", 1, 302),
        ("/panic", 1, 500),
    ] {
        for _ in 0..count {
            let answer = platform.get("test.localhost", path).await;
            assert_eq!(answer.status, status, "{path}");
            bytes += answer.body.len();
        }
    }
    for size in [1_000, 300_000] {
        let answer = platform.apps.post_with("/echo", &host, vec![b'x'; size]).await;
        assert_eq!((answer.status, answer.body.len()), (200, size));
        bytes += size;
    }
    let total = settled(&platform, &["test", "--by", "total"], 16).await;
    let status = &total["status"];
    let classes = ["none", "2xx", "3xx", "4xx", "5xx"].map(|class| status[class].as_u64().unwrap());
    assert_eq!(classes, [0, 9, 1, 3, 3], "{total}");
    assert_eq!((&total["errors"], &total["events"]), (&1.into(), &0.into()));
    assert_eq!((&total["bytes_in"], &total["bytes_out"]), (&301_000.into(), &bytes.into()));
    let number = |value: &Value| value.as_u64().unwrap();
    assert!((1..=16).contains(&number(&total["cold_starts"])), "{total}");
    assert!(number(&total["cpu_us"]) > 0 && number(&total["memory_peak_bytes"]) >= 1 << 16);
    let duration =
        ["p50_us", "p90_us", "p99_us", "max_us"].map(|it| number(&total["duration"][it]));
    assert!(duration[0] > 0 && duration.is_sorted(), "{total}");

    // The next release is counted apart, and both go on the component's account.
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    platform.release().await;
    let all = settled(&platform, &["test"], 17).await;
    assert_eq!(all["status"]["2xx"], 10);
    let releases = platform.json(&["usage", "--by", "release"]).await;
    let releases = releases["groups"].as_array().unwrap().iter();
    let mut counts: Vec<_> = releases.map(|it| number(&it["total"]["requests"])).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 16]);
    let table = platform.done(&["usage", "test"]).await;
    let row = table.lines().nth(1).unwrap();
    assert!(table.starts_with("COMPONENT") && row.starts_with("test guest"), "{table}");
    assert!(row.contains(" 17 ") && row.contains("KiB"), "{table}");
    platform.stop().await;
}

#[tokio::test]
async fn what_no_component_gets_is_counted_too() {
    let platform = Platform::start().await;
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"static\"\n\
         [[trigger.http]]\nroute = \"/page\"\nstatic_response = { body = \"twelve bytes\" }\n",
    );
    platform.deploy(&app, &[]).await.with(0);
    let mut bytes = 0;
    for (path, status) in [("/page", 200), ("/page", 200), ("/none", 404)] {
        let answer = platform.get("static.localhost", path).await;
        assert_eq!(answer.status, status);
        bytes += answer.body.len();
    }
    let total = settled(&platform, &["static"], 3).await;
    assert_eq!((&total["status"]["2xx"], &total["status"]["4xx"]), (&2.into(), &1.into()));
    assert_eq!((&total["bytes_out"], &total["errors"]), (&bytes.into(), &0.into()));
    assert!(platform.done(&["usage", "static"]).await.contains("static (none)"));
    platform.stop().await;
}

#[tokio::test]
async fn events_are_counted_apart_from_requests() {
    let platform = Platform::start().await;
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"jobs\"\n\
         [[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n",
    )
    .file("guest.wasm", Guest::bytes("rust-http"));
    platform.deploy(&app, &[]).await.with(0);
    for _ in 0..3 {
        let answer = platform.apps.post_with("/jobs", &[("host", "jobs.localhost")], "x").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let since = Instant::now();
    let total = loop {
        let total = settled(&platform, &["jobs", "--by", "total"], 3).await;
        if total["events"] == 3 {
            break total;
        }
        assert!(since.elapsed() < SOON, "{total}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!((&total["status"]["2xx"], &total["events_failed"]), (&3.into(), &0.into()));
    assert!(total["duration"]["max_us"].as_u64().unwrap() > 0, "{total}");
    platform.stop().await;
}

#[tokio::test]
async fn usage_outlives_killed_processes_and_removed_apps() {
    let platform = Platform::start_anchored().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let ask = async |count| {
        for _ in 0..count {
            assert_eq!(platform.get("test.localhost", "/hello").await.status, 200);
        }
    };
    ask(20).await;
    settled(&platform, &[], 20).await;
    kill(&platform, "node").await;
    assert_eq!(settled(&platform, &[], 20).await["status"]["2xx"], 20);
    ask(5).await;
    kill(&platform, "control").await;
    ask(5).await;
    assert_eq!(settled(&platform, &[], 30).await["status"]["2xx"], 30);
    platform.done(&["apps", "remove", "test", "--yes"]).await;
    assert_eq!(settled(&platform, &["test", "--since", "1h"], 30).await["bytes_out"], 330);
    assert!(platform.done(&["usage"]).await.lines().any(|row| row.starts_with("test ")));
    platform.stop().await;
}

#[tokio::test]
async fn a_tenant_sees_its_own_usage_alone() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.get("test.localhost", "/hello").await.status, 200);
    settled(&platform, &[], 1).await;
    platform.done(&["tenants", "make", "acme"]).await;
    let made = ["tokens", "make", "ci", "--scope", "read", "--tenant", "acme"];
    let token = platform.done(&made).await;
    let acme = |words: &[&str]| {
        let dayfly = platform.stranger(words).env("DAYFLY_PLATFORM", &platform.admin);
        dayfly.env("DAYFLY_TOKEN", token.trim())
    };
    let own = acme(&["usage", "--json"]).ends().await.with_stdout(0);
    assert_eq!(serde_json::from_str::<Value>(&own).unwrap()["groups"], Value::Array(Vec::new()));
    for words in [&["usage", "--tenant", "default"][..], &["logs", "test", "--tenant", "default"]] {
        let said = acme(words).ends().await.with(1);
        assert!(said.contains("there is no such thing here"), "{said}");
    }
    platform.stop().await;
}
