//! Deploying: what is sent, what is served then, what is refused, and what goes on answering.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Upstream, program, run, workspace};

use super::{Platform, numbered};
use crate::dayfly;

#[tokio::test]
async fn an_app_is_served_when_its_url_is_printed() {
    let platform = Platform::start().await;
    let example = workspace().join("examples/hello");
    let deployed = platform.dayfly(&["deploy"]).arg(&example).ends().await;
    for word in ["Sending", "Sent", "Compiling", "Ready", "Deployed"] {
        assert!(deployed.stderr.contains(word), "{deployed:?}");
    }
    // Nobody asked for a picture: this is no terminal.
    assert!(!deployed.stderr.contains('\u{1b}'), "{deployed:?}");
    let url = deployed.with_stdout(0);
    let port = platform.apps.base().rsplit_once(':').unwrap().1;
    assert_eq!(url, format!("http://hello.localhost:{port}/\n"));
    assert_eq!(platform.get("hello.localhost", "/").await.text(), "hello, world\n");
    assert_eq!(platform.get("other.localhost", "/").await.status, 404);
    let again = platform.dayfly(&["deploy", "--json"]).arg(&example).ends().await;
    let again: serde_json::Value = serde_json::from_str(&again.with_stdout(0)).unwrap();
    assert_eq!((&again["sent"], &again["active"]["state"]), (&0.into(), &"serving".into()));
    assert!(again["took_ms"]["send"].is_number() && again["url"] == url.trim(), "{again}");
    // Under another name, what is there is not sent again.
    let other =
        platform.dayfly(&["deploy", "--quiet", "--app", "other"]).arg(&example).ends().await;
    assert_eq!(other.stderr, "");
    assert!(other.with_stdout(0).starts_with("http://other.localhost"));
    assert_eq!(platform.get("other.localhost", "/").await.text(), "hello, world\n");
    let apps = platform.done(&["apps"]).await;
    assert!(
        apps.contains("hello") && apps.contains("serving") && apps.contains(url.trim()),
        "{apps}"
    );
    let removed = platform.dayfly(&["apps", "remove", "other"]).ends().await.with(2);
    assert!(removed.contains("--yes"), "{removed}");
    platform.done(&["apps", "remove", "other", "--yes"]).await;
    let apps = platform.json(&["apps"]).await;
    assert_eq!(apps.as_array().unwrap().len(), 1, "{apps}");
    platform.stop().await;
}

#[tokio::test]
async fn whoever_has_a_terminal_sees_how_far_it_is() {
    let platform = Platform::start().await;
    let example = workspace().join("examples/hello");
    let deploy = format!("{} deploy {}", env!("CARGO_BIN_EXE_dayfly"), example.display());
    // It gives what it runs a terminal.
    let mut script = program("script");
    script.args(["-qec", &deploy, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let shown = run(script.env("HOME", platform.user.path()).env_remove("XDG_CONFIG_HOME")).await;
    assert!(shown.contains("B of ") && shown.contains('█'), "{shown:?}");
    assert!(shown.contains("Deployed") && shown.contains("http://hello.localhost:"), "{shown:?}");
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_leaves_the_former_release() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.release().await, "1");
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    assert_eq!(platform.release().await, "2");
    // It is compiled, but lacks a variable.
    let broken = numbered(3, "", "[variables]\nkey = { required = true }");
    let said = platform.deploy(&broken, &[]).await;
    assert_eq!(said.stdout, "");
    let said = said.with(1);
    assert!(said.contains("was rolled back") && said.contains("key"), "{said}");
    assert_eq!(platform.release().await, "2");
    let since = Instant::now();
    // The node notes it when it has looked.
    while platform.json(&["apps"]).await[0]["active"]["state"] != "serving" {
        assert!(since.elapsed() < Duration::from_secs(30), "it is not served again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // To what cannot be served nobody goes back, either.
    let releases = platform.json(&["releases", "test"]).await;
    let broken = releases[0]["id"].as_str().unwrap();
    let said = platform.dayfly(&["rollback", "test", "--to", broken]).ends().await.with(1);
    assert!(said.contains("what was active before is active again"), "{said}");
    assert_eq!(platform.release().await, "2");
    // No WebAssembly at all.
    let odd = numbered(4, "", "").file("guest.wasm", "\0asm nothing");
    let said = platform.deploy(&odd, &[]).await.with(1);
    assert!(said.contains("error"), "{said}");
    assert_eq!(platform.release().await, "2");
    let releases = platform.json(&["releases", "test"]).await;
    assert_eq!(releases.as_array().unwrap().len(), 3, "{releases}");
    assert_eq!(releases[1]["percent"], 100, "{releases}");
    // By the first digits of its digest.
    let first = releases[2]["id"].as_str().unwrap();
    platform.done(&["rollback", "test", "--to", &first[7..17]]).await;
    assert_eq!(platform.release().await, "1");
    platform.done(&["rollback", "test"]).await;
    assert_eq!(platform.release().await, "2");
    let said = platform.dayfly(&["rollback", "test", "--to", "000000"]).ends().await.with(1);
    assert!(said.contains("no release `000000`") && said.contains("dayfly releases"), "{said}");
    let said = platform.dayfly(&["rollback", "nothing"]).ends().await.with(1);
    assert!(said.contains("hint"), "{said}");
    platform.stop().await;
}

#[tokio::test]
async fn a_first_release_that_lacks_something_is_served_once_it_has_it() {
    let platform = Platform::start().await;
    let app = numbered(1, "", "[variables]\nkey = { required = true }");
    let said = platform.deploy(&app, &[]).await.with(1);
    assert!(said.contains("no release of `test` was active before"), "{said}");
    platform.done(&["env", "test", "key=value"]).await;
    assert_eq!(platform.release().await, "1");
    platform.stop().await;
}

#[tokio::test]
async fn what_asks_for_more_has_to_be_accepted() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let more = "allowed_outbound_hosts = [\"https://b.example\"]\nlimits = { memory = \"300MiB\" }";
    let app = numbered(2, more, "");
    let said = platform.deploy(&app, &[]).await.with(1);
    for word in ["to reach `https://b.example`", "limit `memory` 300 MiB", "`--accept`"] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(platform.release().await, "1");
    let said = platform.deploy(&app, &["--accept"]).await.with(0);
    assert!(said.contains("Accepted") && said.contains("b.example"), "{said}");
    assert_eq!(platform.release().await, "2");
    platform.stop().await;
}

#[tokio::test]
async fn private_networks_are_reached_where_the_operator_allows_it() {
    let upstream = Upstream::start().await;
    let granted = format!("allowed_outbound_hosts = [\"{}\"]", upstream.url());
    let path = format!("/fetch?url={}", upstream.url());
    for (value, is_reached) in [("0", false), ("1", true)] {
        let serving = dayfly().env("DAYFLY_ALLOW_PRIVATE_NETWORKS", value);
        let platform = Platform::start_with(serving).await;
        platform.deploy(&numbered(1, &granted, ""), &["--accept"]).await.with(0);
        let answer = platform.get("test.localhost", &path).await;
        let text = answer.text();
        assert_eq!(answer.status == 200, is_reached, "{text}");
        assert!(is_reached || text.contains("Prohibited"), "{text}");
        platform.stop().await;
    }
}

#[tokio::test]
async fn traffic_is_split_and_a_release_need_not_be_active() {
    let platform = Platform::start().await;
    let app = numbered(1, "", "");
    let said = platform.deploy(&app, &["--percent", "10"]).await.with(1);
    assert!(said.contains("nothing else is active"), "{said}");
    platform.deploy(&app, &["--percent", "0"]).await.with(2);
    platform.deploy(&app, &[]).await.with(0);
    let made = platform.deploy(&numbered(2, "", ""), &["--no-activate"]).await;
    assert!(made.with_stdout(0).starts_with("sha256:"));
    for _ in 0..20 {
        assert_eq!(platform.release().await, "1");
    }
    platform.deploy(&numbered(2, "", ""), &["--percent", "50"]).await.with(0);
    let mut seen = [0, 0];
    for _ in 0..60 {
        seen[platform.release().await.parse::<usize>().unwrap() - 1] += 1;
    }
    assert!(seen.iter().all(|&count| count > 5), "{seen:?}");
    let releases = platform.done(&["releases", "test"]).await;
    assert_eq!(releases.matches("50%").count(), 2, "{releases}");
    // A share that cannot be served goes, and the others are what they were.
    let broken = numbered(3, "", "[variables]\nkey = { required = true }");
    let said = platform.deploy(&broken, &["--percent", "20"]).await.with(1);
    assert!(said.contains("was rolled back"), "{said}");
    let releases = platform.done(&["releases", "test"]).await;
    assert_eq!(releases.matches("50%").count(), 2, "{releases}");
    platform.stop().await;
}

#[tokio::test]
async fn builds_run_first_and_do_not_see_the_token() {
    let platform = Platform::start().await;
    let build = |command: &str| {
        let lines = format!("build = {{ command = \"{command}\" }}");
        let app = numbered(1, &lines, "");
        std::fs::rename(app.path("guest.wasm"), app.path("made.wasm")).unwrap();
        app
    };
    let app = build("env > seen; mv made.wasm guest.wasm");
    let said = platform.deploy(&app, &["--no-build"]).await.with(1);
    assert!(said.contains("guest.wasm") && !app.path("seen").exists(), "{said}");
    let token = platform.token();
    let deploy = platform.stranger(&["deploy"]).arg(app.folder());
    let deploy = deploy.env("DAYFLY_PLATFORM", &platform.admin).env("DAYFLY_TOKEN", token.trim());
    let said = deploy.ends().await.with(0);
    assert!(said.contains("Building") && said.contains("Built"), "{said}");
    assert!(app.text("seen").contains("PATH=") && !app.text("seen").contains("DAYFLY_TOKEN"));
    assert_eq!(platform.release().await, "1");
    let said = platform.deploy(&build("echo what is wrong; exit 3"), &[]).await.with(1);
    assert!(said.contains("what is wrong") && said.contains("status: 3"), "{said}");
    assert_eq!(platform.release().await, "1");
    platform.stop().await;
}

#[tokio::test]
async fn names_that_are_none_are_refused_before_anything_is_sent() {
    let platform = Platform::start().await;
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"My App\"\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response = { body = \"static\" }\n",
    );
    let said = platform.deploy(&app, &[]).await.with(1);
    assert!(said.contains("My App") && said.contains("--app NAME"), "{said}");
    platform.deploy(&app, &["--app", "My App"]).await.with(2);
    platform.deploy(&app, &["--app", "mine"]).await.with(0);
    assert_eq!(platform.get("mine.localhost", "/").await.text(), "static");
    platform.stop().await;
}
