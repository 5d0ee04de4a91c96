//! What the control plane lets a tenant have: each quota's answer names it. And whether every quota has a test
//! that goes beyond it, here or where it is held.

use super::{Platform, numbered};
use crate::dayfly;

#[tokio::test]
async fn what_a_tenant_would_have_too_much_of_is_refused_by_its_name() {
    let platform = Platform::with_acme(dayfly(), &["weight=100"], &numbered(1, "", "")).await;
    let acme = |words: &[&'static str]| [words, &["--tenant", "acme"]].concat();
    platform.done(&acme(&["domains", "test", "add", "one.example"])).await;
    platform.done(&acme(&["tokens", "make", "one"])).await;
    platform.done(&acme(&["env", "test", "A=1"])).await;
    // As much as there is.
    platform.change(&["apps=1", "domains=1", "tokens=1", "settings=1"]).await;
    let beyond: [(&str, &[&str]); 3] = [
        ("domains", &["domains", "test", "add", "two.example"]),
        ("tokens", &["tokens", "make", "two"]),
        ("settings", &["env", "test", "B=2"]),
    ];
    for (quota, words) in beyond {
        let said = platform.dayfly(&acme(words)).ends().await.with(1);
        names(&said, &format!("may have 1 of `{quota}`, and would have 2"));
    }
    let refused = async |release: u32, lines: &str, more: &[&str], expected: &str| {
        let app = numbered(release, lines, "");
        let said = platform.deploy(&app, &[&["--tenant", "acme"], more].concat()).await.with(1);
        names(&said, expected);
    };
    refused(2, "", &["--app", "more"], "may have 1 of `apps`, and would have 2").await;
    platform.change(&["package_bytes=1000"]).await;
    refused(2, "", &[], "may have 1000 of `package_bytes`, and would have ").await;
    platform.change(&["package_bytes=1GiB", "storage_bytes=1000"]).await;
    refused(2, "", &[], "may have 1000 of `storage_bytes`, and would have ").await;
    platform.change(&["storage_bytes=1GiB", "memory_bytes=1MiB"]).await;
    let memory = "limits = { memory = \"64MiB\" }";
    refused(2, memory, &[], "`memory` of 67108864 bytes, and quota `memory_bytes` is 1048576")
        .await;
    platform.change(&["memory_bytes=1GiB", "cpu_ms=10"]).await;
    let cpu = "limits = { cpu = \"1s\" }";
    refused(2, cpu, &[], "`cpu` of 1000 milliseconds, and quota `cpu_ms` is 10").await;
    assert!(platform.acme("/env").await.text().contains("RELEASE=1\n"), "what there was goes on");
    platform.stop().await;
}

/// What a command is refused by, and what whoever asked can do about it.
fn names(said: &str, quota: &str) {
    assert!(said.contains(quota), "{said}");
    assert!(said.contains("ask the operator for more"), "{said}");
}

#[tokio::test]
async fn releases_beyond_the_quota_leave_the_oldest_first() {
    let platform = Platform::with_acme(dayfly(), &["releases=2"], &numbered(1, "", "")).await;
    let releases = async || {
        let listed = platform.json(&["releases", "test", "--tenant", "acme"]).await;
        let ids = listed.as_array().unwrap().iter().map(|it| it["id"].to_string());
        ids.collect::<Vec<_>>()
    };
    let first = releases().await;
    for number in 2..5 {
        platform.deploy(&numbered(number, "", ""), &["--tenant", "acme"]).await.with(0);
    }
    // What is active, what a rollback goes to, and what came in between.
    let left = releases().await;
    assert!(left.len() <= 3 && !left.contains(&first[0]), "{left:?}");
    assert!(platform.acme("/env").await.text().contains("RELEASE=4\n"));
    platform.stop().await;
}

/// Each quota, and the test in which a tenant goes beyond it on a platform that runs and is told which it is.
/// Of `releases` the oldest leave, and of `weight` there is nothing to go beyond: it is a part of what all share.
const TESTED: [(&str, &str, &str); 16] = [
    ("apps", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("domains", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("tokens", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("settings", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("package_bytes", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("storage_bytes", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("memory_bytes", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("cpu_ms", REFUSED, "what_a_tenant_would_have_too_much_of_is_refused_by_its_name"),
    ("releases", REFUSED, "releases_beyond_the_quota_leave_the_oldest_first"),
    (
        "requests_per_second",
        QUOTAS,
        "requests_beyond_a_rate_are_told_so_and_a_change_holds_at_once",
    ),
    ("concurrency", QUOTAS, "instances_of_all_apps_of_a_tenant_share_its_concurrency"),
    ("cpu_month_seconds", QUOTAS, "cpu_time_of_a_month_is_used_up_once_whoever_is_killed"),
    (
        "outbound_per_second",
        QUOTAS,
        "outbound_requests_beyond_a_rate_fail_as_their_interface_has_it",
    ),
    ("log_day_bytes", QUOTAS, "a_day_s_log_ends_with_one_line_that_says_so"),
    ("state_bytes", QUOTAS, "what_apps_keep_is_bounded_however_they_keep_it"),
    ("weight", FAIR, "one_guest_of_a_tenant_has_as_much_of_a_core_as_ten_of_another"),
];

const REFUSED: &str = include_str!("refused.rs");
const QUOTAS: &str = include_str!("quotas.rs");
const FAIR: &str = include_str!("fair.rs");

#[test]
fn every_quota_has_a_test_that_goes_beyond_it() {
    let all = serde_json::to_value(dayfly_model::platform::Quotas::default()).unwrap();
    let mut all: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    let mut tested = TESTED.map(|(quota, ..)| quota);
    all.sort_unstable();
    tested.sort_unstable();
    assert_eq!(all, tested, "each quota has a test, and stands in `TESTED`");
    for (quota, file, test) in TESTED {
        let body = file.split_once(&format!("\nasync fn {test}()")).map(|(_, rest)| rest);
        let body = body.and_then(|rest| rest.split_once("\n}\n")).map(|(body, _)| body);
        let body = body.unwrap_or_else(|| panic!("`{quota}`: there is no test `{test}`"));
        assert!(body.contains(&format!("{quota}=")), "test `{test}` says nothing of `{quota}`");
    }
}
