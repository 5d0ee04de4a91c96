//! What is told of guests' calls: each capability's are counted, and are spans beneath the guest's,
//! by the names of OpenTelemetry's conventions, without anything of what is stored or asked.

use dayfly_testing::otlp::metrics::v1::metric::Data;
use dayfly_testing::otlp::metrics::v1::number_data_point::Value as Number;
use dayfly_testing::otlp::trace::v1::Span;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{
    App, Collector, Dayfly, MariaDb, Models, Mosquitto, Postgres, Redis, Running, Told, Upstream,
    number, text,
};

use super::{PARENT, exporting, hex};

/// Stands in whatever is stored, asked for or sent.
const SECRET: &str = "opensesame";

/// A span that is expected: its name and attributes.
type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// The spans of calls, by whose parent the guest is.
fn calls(told: &Told) -> Vec<&Span> {
    let of_calls = told.spans.iter().filter(|(_, scope, _)| scope.name == "dayfly::calls");
    let calls: Vec<&Span> = of_calls.map(|(_, _, span)| span).collect();
    for call in &calls {
        let guests = told.spans_named("guest");
        let guest = guests.iter().find(|guest| guest.span_id == call.parent_span_id);
        let guest = guest.unwrap_or_else(|| panic!("no guest called {call:#?}"));
        assert_eq!(guest.trace_id, call.trace_id);
    }
    calls
}

/// How many calls of a capability ended so, by the metric.
fn counted(told: &Told, capability: &str, outcome: &str) -> Option<i64> {
    let latest = told.metrics.iter().rev();
    let (_, _, metric) =
        latest.clone().find(|(_, _, metric)| metric.name == "dayfly.capability.calls")?;
    let Some(Data::Sum(sum)) = &metric.data else { panic!("a sum") };
    let point = sum.data_points.iter().find(|point| {
        let of = |key| text(&point.attributes, key);
        of("component") == "guest" && of("capability") == capability && of("outcome") == outcome
    })?;
    match point.value {
        Some(Number::AsInt(count)) => Some(count),
        _ => None,
    }
}

/// Runs an app, and sees what is told of the calls of one capability: these spans, so many that
/// went well, and so many that were refused.
async fn tells(
    command: Dayfly,
    app: &App,
    collector: &Collector,
    work: impl AsyncFnOnce(&Running),
    (capability, refused): (&str, i64),
    expected: &[Expected<'_>],
) {
    let server = command.up(app.folder()).await;
    work(&server).await;
    let all = i64::try_from(expected.len()).unwrap();
    let told = collector
        .until(|told| {
            let requests = told.spans_named("GET /...").len() + told.spans_named("POST /...").len();
            requests > 0
                && told.spans_named("guest").len() == requests
                && calls_of(told).len() >= expected.len()
                && counted(told, capability, "ok") == Some(all - refused)
                && counted(told, capability, "refused") == Some(refused)
        })
        .await;
    let calls = calls(&told);
    assert_eq!(calls.len(), expected.len(), "{:#?}", told.names());
    for (call, (name, attributes)) in calls.iter().zip(expected) {
        assert_eq!(call.name, *name, "{:#?}", told.names());
        assert_eq!(text(&call.attributes, "dayfly.capability"), capability);
        for (key, value) in *attributes {
            let said = text(&call.attributes, key);
            let said = if said.is_empty() {
                number(&call.attributes, key).map(|number| number.to_string()).unwrap_or_default()
            } else {
                said.to_owned()
            };
            assert_eq!(said, *value, "{name}: {key}");
        }
    }
    server.stop().await;
    let spans: Vec<&Span> = told.spans.iter().map(|(_, _, span)| span).collect();
    assert!(!format!("{spans:?}").contains(SECRET), "{spans:#?}");
}

fn calls_of(told: &Told) -> Vec<&str> {
    let of_calls = told.spans.iter().filter(|(_, scope, _)| scope.name == "dayfly::calls");
    of_calls.map(|(_, _, span)| span.name.as_str()).collect()
}

#[tokio::test]
async fn key_value_stores() {
    for guest in ["rust-spin-3", "rust-spin-7"] {
        let collector = Collector::start().await;
        let app = App::granted(guest, "key_value_stores = [\"default\"]");
        let work = async |server: &Running| {
            server.post(&format!("/kv/set?key={SECRET}"), SECRET).await;
            server.get(&format!("/kv/get?key={SECRET}")).await;
            server.get(&format!("/kv/get?key={SECRET}&store=other")).await;
        };
        let set = [
            ("db.system.name", "sqlite"),
            ("db.namespace", "default"),
            ("db.operation.name", "set"),
            ("dayfly.function", "set"),
        ];
        tells(
            exporting(&collector),
            &app,
            &collector,
            work,
            ("key-value", 1),
            &[
                ("key-value open", &[("dayfly.function", "open")]),
                ("set", &set),
                ("key-value open", &[]),
                ("get", &[("db.operation.name", "get")]),
                ("key-value open", &[("error.type", "refused")]),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn sqlite() {
    for (guest, function) in [
        ("rust-interfaces", "execute"),
        ("rust-spin-3", "execute"),
        ("rust-spin-7", "execute-async"),
    ] {
        let collector = Collector::start().await;
        let app = App::granted(guest, "sqlite_databases = [\"default\"]");
        let work = async |server: &Running| {
            let lines = format!(
                "create table t (a)\nINSERT INTO t VALUES ('{SECRET}')\n\
                 SELECT a FROM t WHERE a = ?\tt {SECRET}"
            );
            assert_eq!(server.post("/sqlite/default", lines).await.status, 200);
            assert_eq!(server.post("/sqlite/other", "SELECT 1").await.status, 502);
        };
        let system = ("db.system.name", "sqlite");
        let statement = |operation| {
            [
                system,
                ("db.namespace", "default"),
                ("db.operation.name", operation),
                ("dayfly.function", function),
            ]
        };
        tells(
            exporting(&collector),
            &app,
            &collector,
            work,
            ("sqlite", 1),
            &[
                ("sqlite open", &[system, ("db.namespace", "default")]),
                ("CREATE", &statement("CREATE")),
                ("INSERT", &statement("INSERT")),
                ("SELECT", &statement("SELECT")),
                ("sqlite open", &[("error.type", "refused")]),
            ],
        )
        .await;
    }
}

/// A script for a database, one that is not granted after it.
async fn relational(
    (guest, interface, capability, system): (&str, &str, &str, &str),
    (grant, url, port): (String, String, u16),
) {
    let collector = Collector::start().await;
    let app = App::granted(guest, &format!("allowed_outbound_hosts = [{grant:?}]"));
    let elsewhere = url.replace(&format!(":{port}"), ":1");
    let work = async |server: &Running| {
        let script = format!(
            "open {url}\nexecute CREATE TABLE t (a VARCHAR(40))\n\
             execute insert INTO t VALUES ('{SECRET}')\nquery SELECT a FROM t\nopen {elsewhere}\n"
        );
        let answer = server.post(&format!("/db/{interface}"), script).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let port = port.to_string();
    let place = [("db.system.name", system), ("server.address", "127.0.0.1")];
    let open = [place[0], place[1], ("server.port", port.as_str())];
    let statement = |operation| [open[0], open[1], open[2], ("db.operation.name", operation)];
    let opened = format!("{capability} open");
    tells(
        exporting(&collector),
        &app,
        &collector,
        work,
        (capability, 1),
        &[
            (&opened, &open),
            ("CREATE", &statement("CREATE")),
            ("INSERT", &statement("INSERT")),
            ("SELECT", &statement("SELECT")),
            (&opened, &[("server.port", "1"), ("error.type", "refused")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn postgres() {
    for (guest, interface) in [("rust-spin-3", "postgres2"), ("rust-spin-7", "postgres4")] {
        let server = Postgres::start().await;
        let place = (server.grant(), server.url(), server.port());
        relational((guest, interface, "postgres", "postgresql"), place).await;
    }
}

#[tokio::test]
async fn mysql() {
    for (guest, interface) in [("rust-spin-3", "mysql2"), ("rust-spin-7", "mysql3")] {
        let server = MariaDb::start().await;
        let place = (server.grant(), server.url(), server.port());
        relational((guest, interface, "mysql", "mysql"), place).await;
    }
}

#[tokio::test]
async fn redis() {
    for guest in ["rust-spin-3", "rust-spin-7", "rust-interfaces"] {
        let (collector, redis) = (Collector::start().await, Redis::start().await);
        let app = App::granted(guest, &format!("allowed_outbound_hosts = [{:?}]", redis.url()));
        let work = async |server: &Running| {
            let address = redis.url();
            server.get(&format!("/redis/get?address={address}&key={SECRET}")).await;
            let command = format!("/redis/execute?address={address}&command=echo");
            server.get(&format!("{command}&arguments={SECRET}")).await;
            server.get(&format!("/redis/get?address=redis://127.0.0.1:1&key={SECRET}")).await;
        };
        let get = [
            ("db.system.name", "redis"),
            ("db.operation.name", "GET"),
            ("server.address", "127.0.0.1"),
        ];
        tells(
            exporting(&collector),
            &app,
            &collector,
            work,
            ("redis", 1),
            &[
                ("redis open", &[("server.address", "127.0.0.1")]),
                ("GET", &get),
                ("redis open", &[]),
                ("ECHO", &[("db.operation.name", "ECHO"), ("dayfly.function", "execute")]),
                ("redis open", &[("server.port", "1"), ("error.type", "refused")]),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn mqtt() {
    for guest in ["rust-spin-3", "rust-spin-7"] {
        let (collector, broker) = (Collector::start().await, Mosquitto::start().await);
        let app = App::granted(guest, &format!("allowed_outbound_hosts = [{:?}]", broker.url()));
        let work = async |server: &Running| {
            let path = |address: &str| {
                format!("/mqtt/publish?address={address}&topic={SECRET}&payload={SECRET}&qos=1")
            };
            assert_eq!(server.text(&path(&broker.url())).await, "published");
            assert_eq!(server.get(&path("mqtt://127.0.0.1:1")).await.status, 502);
        };
        let publish = [
            ("messaging.system", "mqtt"),
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
            ("server.address", "127.0.0.1"),
        ];
        tells(
            exporting(&collector),
            &app,
            &collector,
            work,
            ("mqtt", 1),
            &[
                ("mqtt open", &[("messaging.system", "mqtt")]),
                ("publish", &publish),
                ("mqtt open", &[("error.type", "refused")]),
            ],
        )
        .await;
        let published = collector.told();
        assert_eq!(published.span("publish").kind(), SpanKind::Producer);
    }
}

#[tokio::test]
async fn language_models() {
    let (collector, models) = (Collector::start().await, Models::start().await);
    let config = format!(
        "[llm_compute]\ntype = \"remote_http\"\nurl = {:?}\nauth_token = {:?}\n\
         api_type = \"open_ai\"\n",
        models.url(),
        Models::TOKEN
    );
    let app = App::granted("rust-spin-3", "ai_models = [\"test-model\"]");
    let app = app.file("runtime-config.toml", config);
    let command =
        exporting(&collector).env("DAYFLY_RUNTIME_CONFIG_FILE", app.path("runtime-config.toml"));
    let work = async |server: &Running| {
        assert_eq!(server.post("/llm/infer", SECRET).await.status, 200);
        assert_eq!(server.post("/llm/embed", SECRET).await.status, 200);
        server.post("/llm/infer?model=other-model", SECRET).await;
    };
    let infer = [
        ("gen_ai.operation.name", "text_completion"),
        ("gen_ai.request.model", "test-model"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "5"),
    ];
    tells(
        command,
        &app,
        &collector,
        work,
        ("llm", 1),
        &[
            ("text_completion test-model", &infer),
            ("embeddings test-model", &[("gen_ai.usage.input_tokens", "1")]),
            ("llm infer", &[("error.type", "refused"), ("gen_ai.request.model", "")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn blobs() {
    let collector = Collector::start().await;
    let app = App::granted("rust-interfaces", "blob_containers = [\"pictures\"]");
    let work = async |server: &Running| {
        server.text("/blobs/create?container=pictures").await;
        let other = format!("/blobs/create?container={SECRET}");
        assert_eq!(server.get(&other).await.status, 502);
    };
    let function = |name| [("dayfly.capability", "blobstore"), ("dayfly.function", name)];
    tells(
        exporting(&collector),
        &app,
        &collector,
        work,
        ("blobstore", 1),
        &[
            ("blobstore create-container", &function("create-container")),
            ("blobstore name", &function("name")),
            ("blobstore create-container", &[("error.type", "refused")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn variables() {
    let collector = Collector::start().await;
    let app = App::granted("rust-http", &format!("variables = {{ password = {SECRET:?} }}"));
    let work = async |server: &Running| {
        assert_eq!(server.text("/config/password").await, SECRET);
    };
    tells(
        exporting(&collector),
        &app,
        &collector,
        work,
        ("variables", 0),
        &[("variables get", &[("dayfly.function", "get")])],
    )
    .await;
}

#[tokio::test]
async fn requests_of_spins_first_interface() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let lines = format!("allowed_outbound_hosts = [{:?}]", upstream.url());
    let app = App::granted("rust-spin-1", &lines);
    let work = async |server: &Running| {
        server.get(&format!("/fetch?url={}/there?key={SECRET}", upstream.url())).await;
        server.get("/fetch?url=http://127.0.0.1:1/").await;
    };
    tells(
        exporting(&collector),
        &app,
        &collector,
        work,
        ("http", 1),
        &[
            ("GET", &[("http.request.method", "GET"), ("http.response.status_code", "200")]),
            ("GET", &[("error.type", "refused"), ("server.port", "1")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_call_to_another_component_goes_on_in_the_same_trace() {
    let collector = Collector::start().await;
    for guest in ["rust-http", "rust-spin-7"] {
        let app = App::new(&format!(
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
            source = "guest:{guest}"
            allowed_outbound_hosts = ["http://back.spin.internal"]
            [component.back]
            source = "guest:{guest}"
            "#
        ));
        let server = exporting(&collector).up(app.folder()).await;
        let before = collector.told().spans.len();
        let headers = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];
        let path = "/fetch?url=http://back.spin.internal/hello";
        assert_eq!(server.get_with(path, &headers).await.status, 200);
        let enough = |told: &Told| {
            let names: Vec<&str> = told.names().split_off(before);
            ["GET /...", "front", "GET", "back"].iter().all(|name| names.contains(name))
        };
        let told = collector.until(enough).await;
        server.stop().await;
        let spans: Vec<&Span> = told.spans[before..].iter().map(|(_, _, span)| span).collect();
        let named = |name: &str| *spans.iter().find(|span| span.name == name).expect(name);
        let parent = |span: &Span| {
            let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id);
            parent.map(|parent| parent.name.as_str())
        };
        assert!(spans.iter().all(|span| hex(&span.trace_id) == PARENT[3..35]), "{spans:#?}");
        assert!(spans.iter().all(|span| span.trace_state == "a=1,b=2"), "{spans:#?}");
        assert_eq!(parent(named("front")), Some("GET /..."));
        assert_eq!(parent(named("GET")), Some("front"));
        let called = named("back");
        let called = spans.iter().find(|span| span.span_id == called.parent_span_id).unwrap();
        assert_eq!((called.kind(), parent(called)), (SpanKind::Server, Some("GET")));
        assert_eq!(text(&called.attributes, "dayfly.component"), "back");
    }
}

#[tokio::test]
async fn a_guest_that_calls_all_the_time_is_told_of_up_to_a_bound() {
    let collector = Collector::start().await;
    let app = App::granted("rust-interfaces", "sqlite_databases = [\"default\"]");
    let command = exporting(&collector).env("OTEL_BSP_MAX_QUEUE_SIZE", "10000");
    let server = command.up(app.folder()).await;
    let lines = "SELECT 1\n".repeat(1200);
    assert_eq!(server.post("/sqlite/default", lines).await.status, 200);
    let told = collector
        .until(|told| {
            told.spans_named("guest").len() == 1
                && counted(told, "sqlite", "ok") == Some(1201)
                && calls_of(told).len() >= 1000
        })
        .await;
    assert_eq!(calls(&told).len(), 1000);
    let left_out = number(&told.span("guest").attributes, "dayfly.calls_left_out");
    assert_eq!(left_out, Some(201));
    server.stop().await;
}
