//! A gallery of hostile guests (`guests/hostile`, `guests/hostile-p3`): what the client gets, what
//! the log says, that a neighbour is served meanwhile, and that nothing stays behind.

use std::fs;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Running, Upstream, workspace};
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dayfly;

/// What an attack comes to.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) path: &'static str,
    /// What the client may get: a status, or 0 for an answer that breaks off.
    status: &'static [u16],
    /// A part of the answer's text.
    says: &'static str,
    /// A part of a line of the log.
    pub(crate) logs: &'static str,
}

pub(crate) const fn attack(
    path: &'static str,
    status: &'static [u16],
    says: &'static str,
    logs: &'static str,
) -> Attack {
    Attack { path, status, says, logs }
}

pub(crate) const TRAPPED: &str = "the handler failed";

const ATTACKS: &[Attack] = &[
    attack("/spin", &[504], "", "more than its CPU time"),
    attack("/spin-in-host", &[504], "", "more than its CPU time"),
    attack("/spin-in-poll", &[504], "", "more than its CPU time"),
    attack("/spin-in-random", &[504], "", "more than its CPU time"),
    attack("/spin-in-copies", &[500, 504], "", "fault=\"guest\""),
    attack("/environment", &[504], "", "more than its CPU time"),
    attack("/recurse", &[500], TRAPPED, "call stack exhausted"),
    attack("/sleep", &[504], "", "within its time"),
    attack("/unreachable", &[500], TRAPPED, "unreachable"),
    attack("/panic", &[500], TRAPPED, "panics when asked to"),
    attack("/divide", &[500], TRAPPED, "divide"),
    attack("/out-of-bounds", &[500], TRAPPED, "out of bounds"),
    attack("/exit", &[500], "", "exit"),
    attack("/exit-badly", &[500], "", "exit"),
    attack("/forged-handle", &[500], TRAPPED, "handle"),
    attack("/memory", &[500], "", "more than its memory"),
    attack("/memory-slowly", &[500], "", "more than its memory"),
    attack("/fields", &[500], TRAPPED, "trapped"),
    attack("/pollables", &[500], TRAPPED, "trapped"),
    attack("/streams", &[500], TRAPPED, "trapped"),
    attack("/folders", &[500], TRAPPED, "trapped"),
    attack("/files", &[200], "15 ErrorCode { code: 6, name: \"quota\"", ""),
    attack("/sockets", &[200], "8 ErrorCode { code: 10, name: \"new-socket-limit\"", ""),
    attack(
        "/lookups",
        &[200],
        "20 ErrorCode { code: 4, name: \"out-of-memory\"",
        "limits.outbound",
    ),
    attack("/log-flood", &[504], "", "log limit of this instance"),
    attack("/log-line", &[200], "logged", "log limit of this instance"),
    attack("/log-escapes", &[200], "logged", "forged"),
    attack("/endless", &[0, 500], "", "bytes of output"),
    attack("/long-body", &[0, 500], "", "handler gave no valid"),
    attack("/short-body", &[0, 500], "", "handler gave no valid"),
    attack("/forbidden-header", &[200], "transfer-encoding Err(HeaderError::Forbidden)", ""),
    attack("/malformed-header", &[200], "Err(HeaderError::InvalidSyntax)", ""),
    attack("/huge-header", &[500], TRAPPED, "trapped"),
    attack("/many-headers", &[500], TRAPPED, "trapped"),
    attack("/status", &[200], "Err(())\nErr(())\nErr(())\nErr(())", ""),
    attack("/informational", &[500], "", "101"),
    attack("/twice-the-body", &[200], "true false", ""),
    attack("/no-response", &[500], "", "without a response"),
    attack("/error-code", &[500], "", "the log's, not the client's"),
    attack("/late", &[504], "", "within its time"),
    attack("/spin-after", &[200, 0], "", "more than its CPU time"),
    attack("/trap-after", &[0, 500], "", "in the middle of its body"),
];

const ATTACKS_03: &[Attack] = &[
    attack("/spin", &[504], "", "more than its CPU time"),
    attack("/spin-in-host", &[504], "", "more than its CPU time"),
    attack("/spin-in-yields", &[504], "", "more than its CPU time"),
    attack("/spin-in-random", &[504], "", "more than its CPU time"),
    attack("/spin-in-copies", &[500, 504], "", "fault=\"guest\""),
    attack("/environment", &[504], "", "more than its CPU time"),
    attack("/spin-in-a-task", &[504], "", "more than its CPU time"),
    attack("/spin-after", &[200, 0], "", "more than its CPU time"),
    attack("/spin-while-streaming", &[200, 0, 504], "", "more than its CPU time"),
    attack("/panic", &[500], TRAPPED, "panics when asked to"),
    attack("/panic-after", &[0, 500], "", "in its body"),
    attack("/exit", &[500], "", "exit"),
    attack("/forged-handle", &[500], TRAPPED, "handle"),
    attack("/recurse", &[500], TRAPPED, "call stack exhausted"),
    attack("/sleep", &[504], "", "within its time"),
    attack("/memory", &[500], "", "more than its memory"),
    attack("/streams", &[500], TRAPPED, "trapped"),
    attack("/futures", &[500], TRAPPED, "trapped"),
    attack("/fields", &[500], TRAPPED, "trapped"),
    attack("/responses", &[500], TRAPPED, "trapped"),
    attack("/files", &[200], "15 ErrorCode::Quota", ""),
    attack("/sockets", &[200], "8 ErrorCode::Other(Some(\"as many sockets", ""),
    attack(
        "/lookups",
        &[200],
        "20 Err(ErrorCode::Other(Some(\"the instance's limit",
        "limits.outbound",
    ),
    attack("/thousand-left-open", &[200], "left open", ""),
    attack("/tasks", &[500], TRAPPED, "trapped"),
    attack("/tasks-after", &[200], "answered", ""),
    attack("/log-flood", &[504], "", "log limit of this instance"),
    attack("/log-line", &[200], "logged Ok(())", "log limit of this instance"),
    attack("/endless", &[0, 500], "", "bytes of output"),
    attack("/stalled", &[0], "", "within its time"),
    attack("/late", &[504], "", "within its time"),
    attack("/forbidden-headers", &[200], "taken: []", ""),
    attack("/malformed-headers", &[200], "taken: []", ""),
    attack("/two-lengths", &[200], "[false, false, false]", ""),
    attack("/huge-header", &[200], "Err(HeaderError::SizeExceeded)", ""),
    attack("/many-headers", &[200], " headers", ""),
    // 16 MiB of an instance's are the host's to keep.
    attack("/hoard-headers", &[200], "167 sets", ""),
    attack("/statuses", &[200], "taken: []", ""),
    attack("/continue", &[500], "", "100"),
    attack("/switching", &[500], "", "101"),
    attack("/early-hints", &[500], "", "103"),
    attack("/no-content", &[204], "", ""),
    attack("/not-modified", &[304], "", ""),
    attack("/long-body", &[0, 500], "", "handler gave no valid"),
    attack("/long-body-in-pieces", &[0, 200], "", ""),
    attack("/short-body", &[0, 500], "", "handler gave no valid"),
    attack("/no-body", &[0, 500], "", "handler gave no valid"),
    attack("/passed-body", &[0, 500], "", "handler gave no valid"),
    attack("/forbidden-trailers", &[200], "a body", ""),
    attack("/many-trailers", &[200], "a body", ""),
    attack("/failed-trailers", &[0], "", "the log's alone"),
    attack("/no-trailers", &[0], "", "within its time"),
    attack("/error-code", &[500], "", "the log's alone"),
];

const MODULES: &[Attack] = &[
    attack("/start-spin", &[504], "", "more than its CPU time"),
    attack("/start-grow", &[504], "", "more than its CPU time"),
    attack("/initial-memory", &[500], "", "more than its memory"),
    attack("/many-memories", &[500], "", "more than its memory"),
    attack("/grow-table", &[500], "", "more than its 50000 elements of tables"),
    attack("/post-return", &[504], "", "more than its CPU time"),
    attack("/recurse", &[500], TRAPPED, "call stack exhausted"),
    attack("/wrong-call", &[500], TRAPPED, "indirect call type mismatch"),
    attack("/out-of-bounds", &[500], TRAPPED, "out of bounds"),
    attack("/endless-head", &[500, 504], "", "guest"),
    attack("/bad-pointers", &[500], TRAPPED, "trapped"),
    attack("/injected-header", &[500], "", "CGI"),
];

pub(crate) const LIMITS: &str = "limits = { memory = \"32MiB\", tables = 50000, cpu = \"400ms\", \
    time = \"2s\", output = \"1MiB\", log = \"64KiB\", files = 16, sockets = 8, outbound = 20 }";

/// What a server may have grown by after all attacks: code that is read, pools that stay warm.
const GROWN_BYTES: u64 = 64 << 20;

/// An app with the component that is attacked on every path, and a neighbour.
fn beside_a_neighbour(guest: &str, grants: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hostile\"\n\
         [[trigger.http]]\nroute = \"/neighbour\"\ncomponent = \"neighbour\"\n\
         [component.hostile]\nsource = \"guest:{guest}\"\n{LIMITS}\n{grants}\n\
         [component.neighbour]\nsource = \"guest:rust-hello\"\n"
    ))
}

/// Serves, and refuses nobody because the machine that tests has little time for it.
pub(crate) async fn serve(app: &App) -> Running {
    dayfly().args(["up", "--max-lag", "1m"]).arg(app.folder()).serve().await
}

/// How long an attack takes at least: a component has twenty lines a second for its failures.
const APART: Duration = Duration::from_millis(60);

/// Attacks, and compares what came of it; what was otherwise is added to `wrong`.
async fn suffer(server: &Running, attack: &Attack, wrong: &mut Vec<String>) {
    let next = tokio::time::Instant::now() + APART;
    let seen = server.stderr().all().len();
    let request = server.request(Method::GET, attack.path).body(Body::empty());
    let (answer, neighbour) = tokio::join!(server.try_send(request), async {
        server.another_client().get("/neighbour").await
    });
    let (status, text) = match &answer {
        Ok(answer) => (answer.status, answer.text()),
        Err(broken) => (0, broken.clone()),
    };
    let path = attack.path;
    if !attack.status.contains(&status) || !text.contains(attack.says) {
        let text: String = text.chars().take(200).collect();
        wrong.push(format!("{path}: {status} {text:?}"));
    }
    if neighbour.text() != "hello world" {
        wrong.push(format!("{path}: the neighbour got {}", neighbour.text()));
    }
    // The log of an answer that broke off may come a moment later.
    for _ in 0..40 {
        let mut lines = server.stderr().all().split_off(seen).into_iter();
        if attack.logs.is_empty() || lines.any(|line| line.contains(attack.logs)) {
            return tokio::time::sleep_until(next).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    wrong.push(format!("{path}: the log says {:?}", &server.stderr().all()[seen..]));
}

/// What the process holds.
#[derive(Debug)]
struct Held {
    resident_bytes: u64,
    threads: usize,
    descriptors: usize,
}

impl Held {
    /// Whether this is no more than what was held `before`, but for what comes and goes.
    fn is_within(&self, before: &Self) -> bool {
        self.resident_bytes < before.resident_bytes + (32 << 20)
            && self.descriptors <= before.descriptors + 4
            && self.threads <= before.threads + 8
    }
}

fn held(server: &Running) -> Held {
    let count = |folder: &str| {
        fs::read_dir(format!("/proc/{}/{folder}", server.process().id())).unwrap().count()
    };
    Held {
        resident_bytes: server.process().resident_bytes(),
        threads: count("task"),
        descriptors: count("fd"),
    }
}

/// The median time that the neighbour takes to answer.
async fn pace(server: &Running) -> Duration {
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(server.text("/neighbour").await, "hello world");
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took[took.len() / 2]
}

/// The neighbour is answered as fast as `before`, as soon as what else the machine does allows it.
async fn at_full_speed(server: &Running, before: Duration) {
    let mut after = pace(server).await;
    for _ in 0..10 {
        if after <= 3 * before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        after = pace(server).await;
    }
    println!("a median of {before:.0?} before, {after:.0?} afterwards");
    assert!(after <= 3 * before, "a median of {before:?} before, {after:?} afterwards");
}

/// All of a gallery, three times: what the first time leaves behind, the third must not double.
pub(crate) async fn gallery(server: Running, attacks: &[Attack]) {
    let (calm, fast) = (held(&server), pace(&server).await);
    let mut wrong = Vec::new();
    for attack in attacks {
        suffer(&server, attack, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let before = held(&server);
    for attack in attacks.iter().chain(attacks) {
        suffer(&server, attack, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(server.text("/neighbour").await, "hello world");
    // Threads for what blocks go ten seconds after their last work.
    let mut after = held(&server);
    for _ in 0..60 {
        if after.is_within(&before) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        after = held(&server);
    }
    println!("{calm:?} at first, {before:?} after one time, {after:?} after three");
    assert!(after.is_within(&before), "{before:?} {after:?}");
    assert!(after.resident_bytes < calm.resident_bytes + GROWN_BYTES, "{calm:?} {after:?}");
    at_full_speed(&server, fast).await;
    server.stop().await;
}

const GRANTS: &str = "allowed_outbound_hosts = [\"*://127.0.0.1:*\"]\n\
    files = [{ source = \"data\", destination = \"/data\" }]";

#[tokio::test]
async fn handlers_of_wasi_0_2() {
    let app = beside_a_neighbour("hostile", GRANTS).file("data/file", "contents");
    let server = serve(&app).await;
    gallery(server, ATTACKS).await;
}

#[tokio::test]
async fn handlers_of_wasi_0_3() {
    let app = beside_a_neighbour("hostile-p3", GRANTS).file("data/file", "contents");
    let server = serve(&app).await;
    gallery(server, ATTACKS_03).await;
}

/// What a connection carries after this path was asked for and then the neighbour: no more than the first
/// answer, and the neighbour's own if the connection outlived that.
async fn is_nobody_elses(server: &Running, path: &str) {
    let mut connection = server.connect().await;
    let next = "GET /neighbour HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let asked = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n{next}");
    connection.write_all(asked.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    // A connection that is reset has carried what it has.
    let _ = connection.read_to_end(&mut came).await;
    let came = String::from_utf8_lossy(&came);
    let (heads, rest): (Vec<&str>, Vec<&str>) = came
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap())
        .unzip();
    assert!(!came.contains("forged"), "{path}: {came}");
    assert!(heads.len() <= 2, "{path}: {came}");
    if let [_, next] = rest[..] {
        assert_eq!(next, "hello world", "{path}: {came}");
    }
}

#[tokio::test]
async fn no_body_is_taken_for_the_next_answer() {
    let lengths = ["/long-body", "/short-body"];
    let only_03 =
        ["/long-body-in-pieces", "/no-body", "/passed-body", "/no-content", "/not-modified"];
    let interim = ["/continue", "/switching", "/early-hints"];
    for (guest, paths) in
        [("hostile", vec![&lengths[..]]), ("hostile-p3", vec![&lengths[..], &only_03, &interim])]
    {
        let app = beside_a_neighbour(guest, "");
        let server = serve(&app).await;
        for path in paths.concat() {
            is_nobody_elses(&server, path).await;
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn no_trailer_is_taken_for_a_header() {
    let app = beside_a_neighbour("hostile-p3", "");
    let server = serve(&app).await;
    let answer = server.http2().get("/forbidden-trailers").await;
    assert_eq!((answer.status, &*answer.text()), (200, "a body"));
    let trailers: Vec<&str> = answer.trailers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(trailers, ["x-fine"]);
    server.stop().await;
}

#[tokio::test]
async fn commands() {
    let folder = workspace().join("guests/hostile/modules");
    let mut manifest = "dayfly = 1\n[application]\nname = \"test\"\n\
        [[trigger.http]]\nroute = \"/neighbour\"\ncomponent = \"neighbour\"\n\
        [component.neighbour]\nsource = \"guest:rust-hello\"\n"
        .to_owned();
    for attack in MODULES {
        let name = attack.path.trim_start_matches('/');
        let source = folder.join(name).with_extension("wat");
        manifest += &format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             executor = {{ type = \"wagi\" }}\n\
             [component.{name}]\nsource = {source:?}\n{LIMITS}\n"
        );
    }
    let app = App::new(&manifest);
    let server = serve(&app).await;
    gallery(server, MODULES).await;
}

#[test]
fn no_module_is_left_out() {
    let folder = fs::read_dir(workspace().join("guests/hostile/modules")).unwrap();
    let mut files: Vec<String> = folder
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut used: Vec<&str> =
        MODULES.iter().map(|attack| attack.path.trim_start_matches('/')).collect();
    used.sort_unstable();
    assert_eq!(files, used);
}

#[tokio::test]
async fn a_flood_of_requests_to_others_is_bounded() {
    let upstream = Upstream::start().await;
    let grants = format!("allowed_outbound_hosts = [\"{}\"]", upstream.url());
    for guest in ["hostile", "hostile-p3"] {
        let app = beside_a_neighbour(guest, &grants);
        let server = serve(&app).await;
        let authority = upstream.url().replace("http://", "");
        let said = server.text(&format!("/requests?{authority}")).await;
        assert!(said.starts_with("20 ") && said.contains("ConnectionLimitReached"), "{said}");
        server.stop().await;
    }
}

#[tokio::test]
async fn bodies_that_nobody_reads() {
    for guest in ["hostile", "hostile-p3"] {
        let app = beside_a_neighbour(guest, "");
        let server = serve(&app).await;
        let body = vec![b'x'; 8 << 20];
        let unread = server.post("/unread-body", body.clone()).await;
        assert_eq!((unread.status, unread.text()), (200, "not read".to_owned()));
        assert_eq!(server.another_client().post("/hoard-body", body).await.status, 504);
        assert_eq!(server.another_client().text("/neighbour").await, "hello world");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_trickle_without_end_ends_with_its_client() {
    let app = App::granted("hostile", "limits = { concurrency = 1 }");
    let server = serve(&app).await;
    let mut trickle = server.connect().await;
    trickle.write_all(b"GET /trickle HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut came = Vec::new();
    while came.iter().filter(|byte| **byte == b'x').count() < 10 {
        assert!(trickle.read_buf(&mut came).await.unwrap() > 0, "{came:?}");
    }
    drop(trickle);
    // The one place among those that may run is free again.
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn no_guest_reaches_the_terminal() {
    let app = beside_a_neighbour("hostile", "");
    let server = serve(&app).await;
    assert_eq!(server.text("/log-escapes").await, "logged");
    let line = server.stderr().containing("forged").await;
    assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    server.stop().await;
}
