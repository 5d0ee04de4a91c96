//! What was used, by the API.

use std::collections::BTreeMap;

use bytes::Bytes;
use dayfly_api::{Code, Scope, UsageBy, UsageQuery, UsageStep};
use dayfly_model::platform::{Durations, ReleaseStore as _, Usage};
use dayfly_store::{UsageBook, UsageKey};
use http::Method;

use crate::{Platform, app, package, send, tenant};

/// Ten requests of each duration: 1 to 100 milliseconds.
fn used() -> Usage {
    let mut durations = Durations::default();
    for ms in 1..=100_u64 {
        durations.count(Durations::bucket(ms * 1000), 10);
        durations.raise_longest(ms * 1000);
    }
    Usage {
        requests: [1, 900, 20, 50, 29],
        errors: 7,
        cpu_ns: 1_234_567,
        memory_peak_bytes: 1 << 20,
        bytes_in: 5,
        bytes_out: 6,
        cold_starts: 2,
        durations,
        ..Usage::default()
    }
}

/// Writes down what app `shop` used, as the node does.
fn write(platform: &Platform, release: &str, component: &str) {
    let store = platform.store();
    let tenant = store.activation(&app("shop")).unwrap().unwrap().tenant_number;
    let key = UsageKey {
        tenant,
        app: "shop".to_owned(),
        release: release.to_owned(),
        component: component.to_owned(),
    };
    let mut book = UsageBook::open(store.folder()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    book.add(&BTreeMap::from([(key, used())]), now).unwrap();
}

/// Makes app `shop` and activates a release of it, whose digest is given.
fn deploy(platform: &Platform) -> String {
    let client = platform.operator();
    client.make_app(&app("shop")).unwrap();
    let (layer, manifest) = package(&[]);
    send(&client, &layer).unwrap();
    let made = client.make_release(&app("shop"), manifest).unwrap();
    let activate = dayfly_api::Activate {
        release: made.id.clone(),
        percent: 100,
        accept: false,
        health_path: None,
    };
    client.activate(&app("shop"), &activate, None).unwrap();
    made.id.to_string()
}

#[test]
fn usage_is_told_to_its_tenant_and_stays_when_the_app_goes() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Read));
    let ask = |by, step| {
        let query = UsageQuery { by, step, ..UsageQuery::default() };
        client.usage(&tenant("acme"), None, &query).unwrap()
    };
    assert!(ask(None, None).groups.is_empty(), "no node has written anything yet");
    let release = deploy(&platform);
    write(&platform, &release, "api");
    write(&platform, &release, "");
    let report = ask(None, None);
    let [group] = &*report.groups else { panic!("{report:?}") };
    assert_eq!((group.app.as_ref().unwrap().as_str(), group.others), ("shop", false));
    let total = &group.total;
    assert_eq!((total.requests, total.errors, total.cpu_us), (2000, 14, 2469));
    let status = &total.status;
    assert_eq!(
        (status.none, status.success, status.redirection, status.client_error, status.server_error),
        (2, 1800, 40, 100, 58)
    );
    for (told, exact) in [
        (total.duration.p50_us, 50_000.0),
        (total.duration.p90_us, 90_000.0),
        (total.duration.p99_us, 99_000.0),
    ] {
        let error = (told as f64 - exact).abs() / exact;
        assert!(error <= report.duration_error, "{told} {exact}");
    }
    assert_eq!(total.duration.max_us, 100_000);
    let components = ask(Some(UsageBy::Component), None).groups;
    let names: Vec<_> = components.iter().map(|group| group.component.as_deref()).collect();
    assert_eq!(names, [None, Some("api")]);
    let releases = ask(Some(UsageBy::Release), Some(UsageStep::Hour)).groups;
    assert_eq!(releases[0].release.as_ref().unwrap().as_str(), release);
    assert_eq!(releases[0].points.iter().map(|it| it.usage.requests).sum::<u64>(), 2000);

    let of = |name: &str| {
        client.usage(&tenant("acme"), Some(&name.parse().unwrap()), &UsageQuery::default())
    };
    assert_eq!(of("shop").unwrap().groups[0].total, *total);
    assert_eq!(of("blog").unwrap_err().code(), Some(Code::NotFound));
    platform.operator().remove_app(&app("shop")).unwrap();
    assert_eq!(of("shop").unwrap().groups[0].total, *total, "it is on the bill still");
    assert_eq!(ask(Some(UsageBy::Total), None).groups[0].total, *total);
    let other = platform.client(&platform.token("other", Scope::Admin));
    let own = other.usage(&tenant("other"), None, &UsageQuery::default()).unwrap();
    assert!(own.groups.is_empty());
    let refused = other.usage(&tenant("acme"), None, &UsageQuery::default()).unwrap_err();
    assert_eq!(refused.code(), Some(Code::NotFound));
}

#[test]
fn times_and_words_that_are_none_are_refused() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    let ask = |query: &str| {
        let path = format!("/v1/tenants/acme/usage?{query}");
        platform.ask(Method::GET, &path, &[("authorization", &bearer)], Bytes::new()).status
    };
    assert_eq!(ask(""), 200);
    assert_eq!(ask("from=2026-11-29T00:00:00Z&to=2026-11-30T00:00:00%2B01:00&step=minute"), 200);
    for odd in [
        "from=yesterday",
        "from=2026-11-30T00:00:00Z&to=2026-11-29T00:00:00Z",
        "from=0000-01-01T00:00:00Z",
        "by=host",
        "step=second",
        "odd=1",
    ] {
        assert_eq!(ask(odd), 400, "{odd}");
    }
}
