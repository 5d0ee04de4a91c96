//! Requests of components to one another (`http://NAME.spin.internal`) and to the app's own routes
//! (`http://self`): in process, as granted, bounded like any other request.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Pattern, Running};
use http::Method;
use tokio::time::timeout;

use crate::{dayfly, handwritten, tiny};

/// Component `front` on every path, and `back`, which only other components reach; each a guest and
/// further lines of its table.
fn pair(front: (&str, &str), back: (&str, &str)) -> App {
    App::new(&format!(
        r#"
        dayfly = 1
        [application]
        name = "chained"
        [[trigger.http]]
        route = "/..."
        component = "front"
        [[trigger.http]]
        route = {{ private = true }}
        component = "back"
        [component.front]
        source = "guest:{}"
        {}
        [component.back]
        source = "guest:{}"
        {}
        "#,
        front.0, front.1, back.0, back.1
    ))
}

const GRANTED: &str = r#"allowed_outbound_hosts = ["http://back.spin.internal"]"#;

async fn started(front: (&str, &str), back: (&str, &str)) -> (App, Running) {
    let app = pair(front, back);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

async fn fetch(server: &Running, url: &str) -> (u16, String) {
    let answer = server.get(&format!("/fetch?url={url}")).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn a_component_calls_another_by_name() {
    let guests = ["rust-http", "rust-spin-5", "rust-spin-7"];
    for front in guests {
        for back in ["rust-http", "rust-spin-5", "rust-spin-7", "rust-p3-echo", "rust-wstd"] {
            let (_app, server) = started((front, GRANTED), (back, "")).await;
            let (status, text) = fetch(&server, "http://back.spin.internal/hello").await;
            assert_eq!(status, 200, "{front} to {back}: {text}");
            assert!(text.contains("hello world"), "{front} to {back}: {text}");
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn the_callee_is_told_who_called_as_in_spin() {
    for back in ["rust-http", "rust-spin-7"] {
        let (_app, server) = started(("rust-http", GRANTED), (back, "")).await;
        for forged in ["spin-client-addr:8.8.8.8:80", "spin-path-match-user:me", "x-own:1"] {
            let url = format!("http://back.spin.internal/headers&header={forged}");
            let (_, text) = fetch(&server, &url).await;
            for line in [
                "spin-client-addr: 0.0.0.0:0\n",
                "spin-full-url: http://back.spin.internal/headers\n",
                "spin-path-info: /headers\n",
                "spin-matched-route: /...\n",
                "spin-raw-component-route: /...\n",
                "spin-base-path: /\n",
            ] {
                assert!(text.contains(line), "{back}: no {line:?} in {text}");
            }
            assert!(!text.contains("8.8.8.8") && !text.contains("spin-path-match"), "{text}");
            assert_eq!(text.contains("x-own: 1"), forged.starts_with("x-own"), "{text}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_command_is_called_by_cgi() {
    let (_app, server) = started(("rust-http", GRANTED), ("rust-command", "")).await;
    let (_, text) = fetch(&server, "http://back.spin.internal/some/path").await;
    assert!(text.contains("SERVER_NAME=back.spin.internal\n"), "{text}");
    assert!(text.contains("PATH_INFO=/some/path\n"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn nobody_outside_reaches_a_private_component() {
    let app = App::new(
        r#"
        dayfly = 1
        [application]
        name = "private"
        [[trigger.http]]
        route = "/front/..."
        component = "front"
        [[trigger.http]]
        route = { private = true }
        component = "back"
        [component.front]
        source = "guest:rust-http"
        [component.back]
        source = "guest:rust-http"
        "#,
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/hello").await.status, 404);
    assert_eq!(server.get("/front/headers").await.status, 404, "the guest knows no such path");
    let request = server.request(Method::GET, "/hello").header("host", "back.spin.internal");
    let answer = server.send(request.body(Body::empty())).await;
    assert_eq!(answer.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    for front in ["rust-http", "rust-spin-7"] {
        for grant in [
            "",
            r#"allowed_outbound_hosts = ["http://self", "https://back.spin.internal"]"#,
            r#"allowed_outbound_hosts = ["http://other.spin.internal"]"#,
        ] {
            let (_app, server) = started((front, grant), ("rust-http", "")).await;
            let (status, text) = fetch(&server, "http://back.spin.internal/hello").await;
            assert_eq!(status, 502, "{text}");
            assert!(text.contains("HttpRequestDenied"), "{text}");
            server.stop().await;
        }
        let (_app, server) = started((front, GRANTED), ("rust-http", "")).await;
        let (_, text) = fetch(&server, "http://self/hello").await;
        assert!(text.contains("HttpRequestDenied"), "{text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_component_that_is_not_there_is_not_found() {
    let grant = r#"allowed_outbound_hosts = ["http://*.spin.internal"]"#;
    let (_app, server) = started(("rust-http", grant), ("rust-http", "")).await;
    let (_, text) = fetch(&server, "http://missing.spin.internal/").await;
    assert!(text.contains("DestinationNotFound"), "{text}");
    let (_, text) = fetch(&server, "http://back.spin.internal/hello").await;
    assert_eq!(text, "status 200\nhello world");
    let ended = server.stop().await;
    assert!(ended.stderr.contains("no component of that name"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_app_calls_its_own_routes() {
    let grant = r#"allowed_outbound_hosts = ["http://self"]"#;
    for (guest, relative) in [("rust-http", false), ("rust-spin-5", true), ("rust-spin-7", true)] {
        let app = App::granted(guest, grant);
        let server = dayfly().up(app.folder()).await;
        let mut urls = vec!["http://self/headers", "http://self.alt/headers"];
        urls.extend(relative.then_some("/headers"));
        for url in urls {
            let (status, text) = fetch(&server, url).await;
            assert_eq!(status, 200, "{guest} {url}: {text}");
            let full = format!("spin-full-url: http://{}/headers\n", server.authority());
            assert!(text.contains(&full), "{guest} {url}: no {full:?} in {text}");
            assert!(text.contains("spin-path-info: /headers\n"), "{guest} {url}: {text}");
        }
        let (_, text) = fetch(&server, "http://self/.well-known/spin/health").await;
        assert!(text.contains("OK"), "{text}");
        server.stop().await;
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        let (status, text) = fetch(&server, if relative { "/hello" } else { "http://self/" }).await;
        assert_eq!(status, 502, "{guest}: {text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn calls_are_bounded_in_depth() {
    let grant = |limits: &str| {
        let lines = "allowed_outbound_hosts = [\"http://self\"]";
        App::granted("rust-http", &format!("{lines}\n{limits}"))
    };
    for (limits, depth) in [("", 8), ("limits = { depth = 2 }", 2)] {
        let app = grant(limits);
        let server = dayfly().up(app.folder()).await;
        let nested = |calls: usize| "/fetch?url=http://self".repeat(calls) + "/hello";
        let text = server.get(&nested(depth)).await.text();
        assert_eq!(text, "status 200\n".repeat(depth) + "hello world");
        let text = server.get(&nested(depth + 1)).await.text();
        assert!(text.contains("LoopDetected"), "{text}");
        let ended = server.stop().await;
        assert!(ended.stderr.contains("`limits.depth`"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_component_at_its_bound_that_calls_itself_is_told_in_time() {
    for guest in ["rust-http", "rust-spin-7"] {
        let lines = "allowed_outbound_hosts = [\"http://self\"]\nlimits = { concurrency = 1 }";
        let app = App::granted(guest, lines);
        let server = dayfly().up(app.folder()).await;
        let began = Instant::now();
        let (_, text) = fetch(&server, "http://self/hello").await;
        assert!(text.contains("too many requests at once"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
}

#[tokio::test]
async fn callers_that_take_all_places_still_get_their_callees() {
    let (_app, server) = {
        let app = pair(("rust-http", GRANTED), ("rust-http", ""));
        let server = dayfly().env("DAYFLY_MAX_INSTANCES", "8").up(app.folder()).await;
        (app, server)
    };
    // Four callers hold all that requests from outside may have, each for as long as its callee.
    let calls = (0..12).map(|_| fetch(&server, "http://back.spin.internal/sleep?ms=50"));
    for (status, text) in futures_util::future::join_all(calls).await {
        assert_eq!((status, text.lines().next()), (200, Some("status 200")), "{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_stream_in_little_memory() {
    const BYTES: u64 = 64 << 20;
    let limits = "limits = { memory = \"24MiB\" }";
    for back in ["rust-http", "rust-p3-echo"] {
        let front = format!("{GRANTED}\n{limits}");
        let (_app, server) = started(("rust-http", &front), (back, limits)).await;
        let path = "/fetch?method=POST&url=http://back.spin.internal/sink";
        let request = server.request(Method::POST, path);
        let answer = server.send(request.body(Body::stream(Pattern::stream(BYTES)))).await;
        assert!(answer.text().contains(&BYTES.to_string()), "{back}: {}", answer.text());
        let url = format!("/fetch?url=http://back.spin.internal/large?bytes={BYTES}");
        let answer = server.get(&url).await;
        let status = b"status 200\n";
        assert_eq!(answer.body.len() as u64, BYTES + status.len() as u64, "{back}");
        assert!(answer.body.starts_with(status), "{back}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_is_dropped_ends_its_callee() {
    for path in ["sleep?ms=20000", "slow?chunks=1000&ms=20"] {
        let (_app, server) =
            started(("rust-http", GRANTED), ("rust-http", "limits = { concurrency = 1 }")).await;
        let url = format!("/fetch?url=http://back.spin.internal/{}", path.replace('&', "%26"));
        let left = timeout(Duration::from_millis(500), server.another_client().get(&url)).await;
        assert!(left.is_err(), "the callee takes its time");
        let (_, text) = fetch(&server, "http://back.spin.internal/hello").await;
        assert_eq!(text, "status 200\nhello world", "{path}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_callee_has_limits_of_its_own() {
    let back = "limits = { cpu = \"500ms\", time = \"1s\", memory = \"16MiB\" }";
    for guest in ["rust-http", "rust-spin-7"] {
        let (_app, server) = started((guest, GRANTED), ("rust-http", back)).await;
        for (path, line) in [
            ("spin", "the handler ran out of time"),
            ("sleep?ms=10000", "the handler ran out of time"),
            ("alloc?mb=64", "the handler ran out of memory"),
            ("panic", "the handler failed"),
        ] {
            let (status, text) = fetch(&server, &format!("http://back.spin.internal/{path}")).await;
            assert!(text.contains(line), "{guest} {path}: {status} {text}");
        }
        // A body that breaks off does not look whole; if it does before anybody saw its beginning,
        // it is a failure like any other.
        let request = server.request(Method::GET, "/fetch?url=http://back.spin.internal/break");
        let answer = server.another_client().try_send(request.body(Body::empty())).await;
        if let Ok(answer) = answer {
            assert!(answer.text().contains("the handler failed"), "{guest}: {}", answer.text());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn callees_that_compute_share_the_core() {
    let (_app, server) =
        started(("rust-http", GRANTED), ("rust-http", "limits = { cpu = \"2s\" }")).await;
    let spinning = (0..3).map(|_| fetch(&server, "http://back.spin.internal/spin"));
    let spinning = futures_util::future::join_all(spinning);
    let quick = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        for _ in 0..10 {
            let (_, text) = fetch(&server, "http://back.spin.internal/hello").await;
            assert_eq!(text, "status 200\nhello world");
        }
        began.elapsed()
    };
    let (_, took) = tokio::join!(spinning, quick);
    assert!(took < Duration::from_secs(2), "{took:?}");
    server.stop().await;
}

/// A handler in WebAssembly's text, and one that it calls as `neighbour`.
fn handwritten_pair((front, limits): (&str, &str), (neighbour, its): (&str, &str)) -> App {
    let component = |name: &str, limits: &str| {
        format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{name}.wat\"\nlimits = {{ {limits} }}\n\
             allowed_outbound_hosts = [\"https://neighbour.spin.internal\"]\n"
        )
    };
    let app = "dayfly = 1\n[application]\nname = \"tree\"\n".to_owned();
    App::new(&(app + &component("front", limits) + &component("neighbour", its)))
        .file("front.wat", handwritten::component(handwritten::HTTP_02, front))
        .file("neighbour.wat", handwritten::component(handwritten::HTTP_02, neighbour))
}

/// Sends a request to the neighbour.
const CALL: &str = "
    (local.set $a (call $request (call $fields)))
    (drop (call $set_authority (local.get $a) (i32.const 1) (i32.const 96) (i32.const 23)))
    (drop (call $set_path (local.get $a) (i32.const 1) (i32.const 0) (i32.const 1)))
    (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 1024))";

#[tokio::test]
async fn all_that_a_request_leads_to_spends_its_cpu_time() {
    // A hundred callees, each of which may compute for longer than the one that calls them.
    let front = format!(
        "(loop $again {CALL} (call $sleep (i64.const 100000000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
         unreachable"
    );
    let app = handwritten_pair(
        (&front, "cpu = \"1s\", time = \"1m\""),
        (tiny::SPIN, "cpu = \"400ms\", time = \"1m\""),
    );
    let server = dayfly().args(["up", "--max-lag", "1m"]).arg(app.folder()).serve().await;
    let before = server.process().cpu_time();
    assert_eq!(server.get("/front").await.status, 504);
    server.stderr().containing("more than its CPU time of 1s").await;
    let line = server.stderr().containing("used up the CPU time of 1s that the component").await;
    assert!(line.contains("neighbour"), "{line}");
    let spent = server.process().cpu_time() - before;
    assert!(spent < Duration::from_secs(4), "{spent:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_callee_that_is_over_its_own_cpu_time_leaves_its_caller_the_rest() {
    let front = format!("{CALL} (call $sleep (i64.const 2000000000)) unreachable");
    let app = handwritten_pair((&front, "cpu = \"5s\""), (tiny::SPIN, "cpu = \"200ms\""));
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/front").await.status, 500, "it came to its end");
    server.stderr().containing("more than its CPU time of 200ms").await;
    server.stop().await;
}

#[tokio::test]
async fn components_that_call_themselves_spend_what_the_first_may() {
    // Each calls the next one, lets it begin, and computes for ever.
    let nested = format!("{CALL} (call $sleep (i64.const 20000000)) {}", tiny::SPIN);
    let app = handwritten_pair(("unreachable", ""), (&nested, "cpu = \"1s\", depth = 8"));
    let server = dayfly().args(["up", "--max-lag", "1m"]).arg(app.folder()).serve().await;
    let before = server.process().cpu_time();
    assert_eq!(server.get("/neighbour").await.status, 504);
    let spent = server.process().cpu_time() - before;
    assert!(spent < Duration::from_secs(3), "nine of them: {spent:?}");
    server.stop().await;
}
