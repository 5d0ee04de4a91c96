//! Metrics: what `--metrics-listen` tells, in both text formats, read as strictly as their
//! definitions are, and by Prometheus's own checker.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use dayfly_testing::{Answer, App, Client, Running, Upstream, program, run};
use http::Method;

use crate::dayfly;

const PATHS: [&str; 10] = [
    "/hello",
    "/status",
    "/panic",
    "/noresponse",
    "/echo",
    "/slow",
    "/break",
    "/sleep",
    "/alloc",
    "/fetch",
];

/// Two components and a static response; the first may ask `host`.
fn app(host: &str) -> App {
    let web = |path: &&str| format!("[[trigger.http]]\nroute = \"{path}\"\ncomponent = \"web\"\n");
    let routes: String = PATHS.iter().chain(&["/config/..."]).map(web).collect();
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{routes}\
         [[trigger.http]]\nroute = \"/cgi/...\"\ncomponent = \"command\"\n\
         [[trigger.http]]\nroute = \"/static\"\nstatic_response = {{ status_code = 204 }}\n\
         [component.web]\nsource = \"guest:rust-http\"\n\
         limits = {{ body = \"1KiB\" }}\nallowed_outbound_hosts = [\"{host}\"]\n\
         [component.command]\nsource = \"guest:rust-command\"\n"
    ))
}

/// A server, and a client of its metrics.
async fn up(app: &App, flags: &[&str]) -> (Running, Client) {
    let command = dayfly().args(["up", "--metrics-listen", "127.0.0.1:0"]).args(flags);
    let server = command.arg(app.folder()).serve().await;
    let line = server.stdout().containing("(metrics)").await;
    let base = line.split("/metrics").next().unwrap().to_owned();
    (server, Client::http1(&base))
}

async fn scrape(metrics: &Client) -> Scraped {
    let answer = metrics.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    Scraped::parse(&answer)
}

/// What is told as soon as it is so; it must come soon.
async fn until(metrics: &Client, is_so: impl Fn(&Scraped) -> bool) -> Scraped {
    for _ in 0..1000 {
        let scraped = scrape(metrics).await;
        if is_so(&scraped) {
            return scraped;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come to that");
}

/// Samples by name and labels, as they are written.
struct Scraped(BTreeMap<String, f64>);

impl Scraped {
    /// Reads Prometheus's format; panics at what breaks its rules.
    fn parse(answer: &Answer) -> Self {
        let text = answer.text();
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::new();
        let mut families = HashSet::new();
        let (mut name, mut kind) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                name = help.split_once(' ').expect("a help has a text").0.to_owned();
                assert!(families.insert(name.clone()), "{name} comes twice");
                continue;
            }
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (named, of) = typed.split_once(' ').expect("a type has a name");
                assert_eq!(named, name, "a type follows its help");
                kind = of.to_owned();
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let base = series.split('{').next().unwrap();
            let end = base.strip_prefix(&name).unwrap_or_else(|| panic!("{line} within {name}"));
            let ends: &[&str] = match kind.as_str() {
                "counter" | "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                "summary" => &["_count", "_sum"],
                other => panic!("no such type: {other}"),
            };
            assert!(ends.contains(&end), "{line} is no sample of a {kind}");
            assert_eq!(kind == "counter", base.ends_with("_total"), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
        }
        Self(samples)
    }

    /// The value of a series; its labels are in the order in which they are written.
    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    fn requests(&self, component: &str, status: &str, fault: &str) -> f64 {
        self.get(&format!(
            "dayfly_requests_total{{component=\"{component}\",status=\"{status}\",fault=\"{fault}\"}}"
        ))
    }

    fn of(&self, metric: &str, component: &str) -> f64 {
        self.get(&format!("{metric}{{component=\"{component}\"}}"))
    }

    fn calls(&self, component: &str, capability: &str, outcome: &str) -> f64 {
        self.get(&format!(
            "dayfly_capability_calls_total{{component=\"{component}\",\
             capability=\"{capability}\",outcome=\"{outcome}\"}}"
        ))
    }
}

#[tokio::test]
async fn requests_are_counted_by_status_and_fault() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    assert_eq!(scrape(&metrics).await.requests("web", "2xx", "none"), 0.0);
    for _ in 0..3 {
        server.text("/hello").await;
    }
    server.text("/cgi/x").await;
    let statuses = [
        ("/status?code=302", 302),
        ("/status?code=404", 404),
        ("/status?code=500", 500),
        ("/panic", 500),
        ("/noresponse", 500),
        ("/static", 204),
        ("/nowhere", 404),
        ("/.well-known/dayfly/health", 200),
    ];
    for (path, status) in statuses {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    assert_eq!(server.post("/echo", vec![b'x'; 2000]).await.status, 413);
    let scraped = scrape(&metrics).await;
    let expected = [
        ("web", "2xx", "none", 3.0),
        ("web", "3xx", "none", 1.0),
        ("web", "4xx", "none", 1.0),
        ("web", "5xx", "none", 1.0),
        ("web", "5xx", "guest", 2.0),
        ("web", "4xx", "client", 1.0),
        ("web", "5xx", "platform", 0.0),
        ("command", "2xx", "none", 1.0),
        ("", "2xx", "none", 2.0),
        ("", "4xx", "client", 1.0),
    ];
    for (component, status, fault, count) in expected {
        let counted = scraped.requests(component, status, fault);
        assert_eq!(counted, count, "{component} {status} {fault}");
    }
    assert_eq!(scraped.of("dayfly_request_duration_seconds_count", "web"), 9.0);
    assert_eq!(scraped.of("dayfly_instances_ended_total", "web"), 8.0, "not the body too large");
    assert_eq!(scraped.of("dayfly_instances", "web"), 0.0);
    assert_eq!(scraped.of("dayfly_requests_waiting", "web"), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn a_streamed_answer_counts_when_it_is_over_and_as_it_ends() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    let slow = server.another_client();
    let answer = tokio::spawn(async move { slow.text("/slow?chunks=5&ms=100").await });
    let running = until(&metrics, |scraped| scraped.of("dayfly_instances", "web") > 0.0).await;
    assert_eq!(running.requests("web", "2xx", "none"), 0.0);
    answer.await.unwrap();
    let broken = server.request(Method::GET, "/break").body(dayfly_testing::Body::empty());
    // A trap just after the first bytes may come early enough for a status of its own.
    let breaks_off = server.try_send(broken).await.is_err();
    let scraped = scrape(&metrics).await;
    assert_eq!(scraped.requests("web", "2xx", "none"), 1.0);
    let status = if breaks_off { "2xx" } else { "5xx" };
    assert_eq!(scraped.requests("web", status, "guest"), 1.0);
    assert!(scraped.of("dayfly_request_duration_seconds_sum", "web") >= 0.4);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    let client = server.another_client();
    let asking = tokio::spawn(async move { client.get("/sleep?ms=60000").await });
    until(&metrics, |scraped| scraped.of("dayfly_instances", "web") > 0.0).await;
    asking.abort();
    let left = "dayfly_requests_total{component=\"web\",status=\"none\",fault=\"client\"}";
    until(&metrics, |scraped| scraped.0.contains_key(left)).await;
    server.stop().await;
}

#[tokio::test]
async fn what_guests_use_is_counted() {
    let upstream = Upstream::start().await;
    let app = app(&upstream.url());
    let (server, metrics) = up(&app, &["--check=never"]).await;
    let scraped = scrape(&metrics).await;
    assert_eq!(scraped.get("dayfly_components"), 2.0);
    assert_eq!(scraped.get("dayfly_resident_components"), 0.0);
    assert_eq!(scraped.of("dayfly_cold_starts_total", "web"), 0.0);
    server.text("/alloc?mb=40").await;
    server.text(&format!("/fetch?url={}/", upstream.url())).await;
    server.get("/fetch?url=http://127.0.0.1:1/").await;
    server.get("/config/none").await;
    let scraped = scrape(&metrics).await;
    assert_eq!(scraped.of("dayfly_cold_starts_total", "web"), 1.0);
    assert_eq!(scraped.get("dayfly_resident_components"), 1.0);
    assert!(scraped.get("dayfly_resident_bytes") > 100_000.0);
    let load = |of: &str| {
        let name = "dayfly_component_load_seconds";
        ["cached", "compiled"]
            .map(|origin| format!("{name}{of}{{component=\"web\",origin=\"{origin}\"}}"))
            .map(|series| scraped.get(&series))
            .iter()
            .sum::<f64>()
    };
    assert_eq!(load("_count"), 1.0);
    assert!(load("_sum") > 0.0);
    assert!(scraped.of("dayfly_cpu_seconds_total", "web") > 0.001);
    let peak = scraped.of("dayfly_instance_memory_peak_bytes", "web");
    assert!((40e6..100e6).contains(&peak), "{peak}");
    assert_eq!(scraped.calls("web", "http", "ok"), 1.0);
    assert_eq!(scraped.calls("web", "http", "refused"), 1.0);
    assert_eq!(scraped.calls("web", "variables", "error"), 1.0);
    for metric in ["process_resident_memory_bytes", "process_open_fds", "process_threads"] {
        assert!(scraped.get(metric) > 1.0, "{metric}");
    }
    assert!(scraped.get("process_cpu_seconds_total") > 0.0);
    server.stop().await;
}

#[tokio::test]
async fn prometheus_s_checker_finds_nothing_wrong() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    server.text("/hello").await;
    server.get("/panic").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    std::fs::write(&file, metrics.text("/metrics").await).unwrap();
    let mut check = program("promtool");
    check.args(["check", "metrics"]).stdin(std::fs::File::open(&file).unwrap());
    assert_eq!(run(&mut check).await, "");
    server.stop().await;
}

#[tokio::test]
async fn whoever_prefers_openmetrics_gets_it() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    let answer = metrics.get_with("/metrics", &[("accept", accept)]).await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), content_type);
    let text = answer.text();
    assert!(
        text.contains("# TYPE dayfly_cpu_seconds counter\n# UNIT dayfly_cpu_seconds seconds\n")
    );
    assert!(text.contains("\ndayfly_cpu_seconds_total{component=\"web\"} "), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn the_listener_answers_nothing_else_and_clients_do_not_reach_it() {
    let app = app("http://127.0.0.1:9");
    let (server, metrics) = up(&app, &[]).await;
    assert_eq!(metrics.get("/").await.status, 404);
    assert_eq!(metrics.post("/metrics", "").await.status, 405);
    assert_eq!(server.get("/metrics").await.status, 404);
    server.stop().await;
    let server = dayfly().up(app.folder()).await;
    assert!(!server.stop().await.stdout.contains("metrics"));
}
