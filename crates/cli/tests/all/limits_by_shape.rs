//! Every limit of a component, behind every way to call one: what passes it is ended or refused, by a word that
//! names it. `docs/limits.md` has the table of it.

mod exports;
mod passing;

use std::time::Instant;

use dayfly_model::Limits;
use dayfly_testing::{App, Body, Dayfly, Running, workspace};
use futures_util::future::join_all;

use crate::{dayfly, websocket};
use exports::Export::{self, And03};
use passing::{LIMITS, Limit};

/// How a component is called.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// By a request.
    Route,
    /// By a message of a queue, as by any event.
    Queue,
    /// By a message of a WebSocket.
    Socket,
    /// By the request that another app's output is.
    Output,
    /// By `dayfly call`.
    Call,
    /// By `dayfly run`.
    Run,
}

/// A column of the table.
struct Shape {
    name: &'static str,
    way: Way,
    /// What its components export; each of them is tried.
    exports: &'static [Export],
}

const fn shape(name: &'static str, way: Way, exports: &'static [Export]) -> Shape {
    Shape { name, way, exports }
}

const HTTP: &[Export] = &[Export::Http02, Export::Http03];
const COMMAND: &[Export] = &[Export::Command02, Export::Command03];

const REQUESTS: [Shape; 5] = [
    shape("wasi:http 0.2", Way::Route, &[Export::Http02, And03(&Export::Http02)]),
    shape("wasi:http 0.3", Way::Route, &[Export::Http03]),
    shape("Spin 1's HTTP", Way::Route, &[Export::SpinHttp, And03(&Export::SpinHttp)]),
    shape("command of WASI 0.2", Way::Route, &[Export::Command02]),
    shape("command of WASI 0.3", Way::Route, &[Export::Command03]),
];

const PASSED_ON: [Shape; 4] = [
    shape("wasi:http, by a queue", Way::Queue, HTTP),
    shape("wasi:http, by an output", Way::Output, HTTP),
    shape("command, by a queue", Way::Queue, COMMAND),
    shape("command, by a WebSocket", Way::Socket, COMMAND),
];

const EVENTS: [Shape; 4] = [
    shape("Spin's Redis", Way::Queue, &[Export::Redis, And03(&Export::Redis)]),
    shape("Spin's Redis 3", Way::Queue, &[Export::Redis3, And03(&Export::Redis3)]),
    shape("Spin's cron", Way::Queue, &[Export::Cron, And03(&Export::Cron)]),
    shape("wasi:messaging", Way::Queue, &[Export::Messaging, And03(&Export::Messaging)]),
];

const BY_HAND: [Shape; 2] = [
    shape("`dayfly call`", Way::Call, &[Export::Call, Export::CallAsync]),
    shape("`dayfly run`", Way::Run, COMMAND),
];

/// What all may reach. A request without a scheme is one of HTTPS.
const HOSTS: [&str; 2] = ["*://127.0.0.1:1", "https://neighbour.spin.internal"];

/// An app with a component for each limit that has a meaning here.
fn app(shape: &Shape, export: Export, limits: &[&Limit]) -> App {
    let mut manifest = "dayfly = 1\n[application]\nname = \"test\"\n\
        [[trigger.http]]\nroute = \"/neighbour\"\ncomponent = \"neighbour\"\n\
        [component.neighbour]\nsource = \"guest:rust-hello\"\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"caller\"\n\
        [component.caller]\nsource = \"guest:rust-http\"\n\
        allowed_outbound_hosts = [\"http://*.spin.internal\"]\n"
        .to_owned();
    for limit in limits {
        let name = limit.component();
        manifest += &match shape.way {
            Way::Queue => format!(
                "[[trigger.queue]]\nid = \"{name}\"\nqueue = \"{name}\"\ncomponent = \"{name}\"\n\
                 retry = {{ attempts = 1 }}\n"
            ),
            way => {
                let kind = match way {
                    Way::Socket => "websocket = true",
                    _ if shape.name.contains("command") => "executor = { type = \"wagi\" }",
                    _ => "",
                };
                format!("[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n{kind}\n")
            }
        };
        manifest += &format!(
            "[component.{name}]\nsource = \"{name}.wat\"\nlimits = {{ {} = {} }}\n\
             allowed_outbound_hosts = {HOSTS:?}\nfiles = [\"file\"]\n",
            limit.name, limit.value
        );
    }
    let app = App::new(&manifest).file("file", "contents");
    limits.iter().fold(app, |app, limit| {
        app.file(&format!("{}.wat", limit.component()), limit.guest(export))
    })
}

/// An app whose outputs are the routes of another one.
async fn before(server: &Running, limits: &[&Limit]) -> (App, Running) {
    let mut manifest = "dayfly = 1\n[application]\nname = \"before\"\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"capitals\"\n\
        [component.capitals]\nsource = \"guest:rust-command\"\n"
        .to_owned();
    for limit in limits {
        let name = limit.component();
        manifest += &format!(
            "[[trigger.queue]]\nid = \"{name}\"\nqueue = \"{name}\"\ncomponent = \"capitals\"\n\
             output = \"http://{}/{name}\"\nretry = {{ attempts = 1 }}\n",
            server.authority()
        );
    }
    let app = App::new(&manifest);
    let before = dayfly().up(app.folder()).await;
    (app, before)
}

/// Has a limit passed, by way of what is `before` it; what is said to who did that.
async fn pass(server: &Running, before: Option<&Running>, shape: &Shape, limit: &Limit) -> String {
    let name = limit.component();
    let data = if limit.name == "body" { "x".repeat(2000) } else { "go".to_owned() };
    let once = async || match shape.way {
        Way::Route if limit.name == "depth" => {
            let call = format!("/fetch?url=http://{name}.spin.internal/&method=POST");
            server.post(&call, data.clone()).await.text()
        }
        Way::Route => {
            let request = server.request(http::Method::POST, &format!("/{name}"));
            let answer = server.try_send(request.body(Body::full(data.clone()))).await;
            answer.map_or_else(
                |broken| broken,
                |answer| format!("{} {}", answer.status, answer.text()),
            )
        }
        Way::Socket => {
            let mut client = websocket::Client::connect(server, &format!("/{name}")).await;
            client.send(data.as_str()).await;
            format!("closed with {}", client.code().await)
        }
        _ => {
            let send = dayfly().args(["send", &name, &data, "--json", "--state-dir"]);
            let ended = send.arg(before.unwrap_or(server).state("")).ends().await;
            ended.stdout + &ended.stderr
        }
    };
    if limit.name != "concurrency" {
        return once().await;
    }
    let began = Instant::now();
    let (one, other) = tokio::join!(once(), once());
    let took = began.elapsed();
    assert!(took.as_millis() >= 2000, "{}: two took {took:?} together", shape.name);
    one + &other
}

/// Whether a limit held, as what was `said` or the log tells; else both.
async fn held(server: &Running, shape: &Shape, limit: &Limit, said: &str) -> Result<(), String> {
    let name = limit.component();
    // The client is told of that alone: it is no business of the log's.
    if limit.name == "body" && matches!(shape.way, Way::Route | Way::Output) {
        let is_so = said.starts_with("413 ") || said.contains("answered with status 413");
        return if is_so { Ok(()) } else { Err(format!("{name}: {said}")) };
    }
    let told = |line: &String| line.contains(&name) && line.contains(limit.says);
    for _ in 0..100 {
        if said.contains(limit.says) || server.stderr().all().iter().any(told) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let lines = server.stderr().all();
    let lines: Vec<&String> = lines.iter().filter(|line| line.contains(&name)).collect();
    Err(format!("{name}: said {said:?}, logged {lines:?}"))
}

async fn serving(shapes: &[Shape]) {
    for shape in shapes {
        for export in shape.exports {
            serving_one(shape, *export).await;
        }
    }
}

async fn serving_one(shape: &Shape, export: Export) {
    let limits: Vec<&Limit> = LIMITS.iter().filter(|limit| (limit.but)(shape).is_none()).collect();
    let app = app(shape, export, &limits);
    let server = dayfly().args(["up", "--max-lag", "1m"]).arg(app.folder()).serve().await;
    let before = match shape.way {
        Way::Output => Some(before(&server, &limits).await),
        _ => None,
    };
    let way_on = before.as_ref().map(|(_, before)| before);
    let all = limits.iter().map(async |limit| {
        let said = pass(&server, way_on, shape, limit).await;
        held(&server, shape, limit, &said).await
    });
    let wrong: Vec<String> = join_all(all).await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} ({export:?}): {wrong:#?}", shape.name);
    assert_eq!(server.text("/neighbour").await, "hello world");
    if let Some((_, before)) = before {
        before.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn of_what_answers_requests() {
    serving(&REQUESTS).await;
}

#[tokio::test]
async fn of_what_answers_events() {
    serving(&PASSED_ON).await;
}

#[tokio::test]
async fn of_what_events_wake() {
    serving(&EVENTS).await;
}

/// `dayfly` with what lets the guest come to a limit.
fn by_hand(shape: &Shape, limit: &Limit, app: &App) -> Dayfly {
    let value = limit.value.trim_matches('"');
    let word = if shape.way == Way::Call { "call" } else { "run" };
    let command = dayfly().arg(word).args(["--limit", &format!("{}={value}", limit.name)]);
    let command = command.args(["--allow", HOSTS[0]]);
    let command = command.arg("--dir").arg(format!("{}::/", app.folder().display()));
    let command = command.arg(app.path("guest.wat")).input("go");
    if shape.way == Way::Call { command.arg("call") } else { command }
}

#[tokio::test]
async fn of_what_is_called_by_hand() {
    for (shape, export) in
        BY_HAND.iter().flat_map(|shape| shape.exports.iter().map(move |e| (shape, e)))
    {
        for limit in LIMITS.iter().filter(|limit| (limit.but)(shape).is_none()) {
            let guest = limit.guest(*export);
            let app = App::of("rust-hello").file("guest.wat", guest).file("file", "contents");
            let ended = by_hand(shape, limit, &app).ends().await;
            let (name, limit, says) = (shape.name, limit.name, limit.says);
            assert!(ended.stderr.contains(says), "{name} ({export:?}) {limit}: {ended:?}");
        }
    }
}

#[test]
fn no_limit_is_left_out() {
    // A second's log is the component's, whoever calls it; a database has a test of its own.
    let mut names: Vec<&str> = LIMITS.iter().map(|limit| limit.name).collect();
    names.extend(["log_rate", "database"]);
    names.sort_unstable();
    let mut all = Limits::NAMES;
    all.sort_unstable();
    assert_eq!(names, all);
}

/// The table of `docs/limits.md`.
fn table() -> String {
    let shapes = || REQUESTS.iter().chain(&PASSED_ON).chain(&EVENTS).chain(&BY_HAND);
    let names: Vec<&str> = shapes().map(|shape| shape.name).collect();
    let mut table =
        format!("| | {} |\n| --- |{}\n", names.join(" | "), " :-: |".repeat(names.len()));
    for limit in &LIMITS {
        let cells: Vec<&str> = shapes().map(|shape| (limit.but)(shape).unwrap_or("●")).collect();
        table += &format!("| `{}` | {} |\n", limit.name, cells.join(" | "));
    }
    table
}

#[test]
fn the_page_has_the_table() {
    let page = std::fs::read_to_string(workspace().join("docs/limits.md")).unwrap();
    let table = table();
    assert!(page.contains(&table), "docs/limits.md is to have this table:\n{table}");
}
