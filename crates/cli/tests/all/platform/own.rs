//! Tenants whose guests run in a process of their own.

mod dying;
mod moving;
mod replaced;

use std::time::{Duration, Instant};

use dayfly_testing::{Answer, App, Body, Certificate, Client, Https, Process};
use http::Request;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::handover::{address, child};
use super::quotas::app;
use super::{Addresses, Platform, numbered};
use crate::dayfly;

/// How long a process may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host of tenant `acme`'s app.
const ACME: &str = "test.acme.localhost";

impl Platform {
    /// A platform with a tenant `acme`, whose guests run in a process of their own, and this app of its.
    async fn with_own(dayfly: dayfly_testing::Dayfly, app: &App) -> Self {
        let platform = Self::start_with(dayfly).await;
        platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
        platform.deploy(app, &["--tenant", "acme"]).await.with(0);
        platform
    }

    async fn isolate(&self, isolation: &str) {
        self.done(&["tenants", "change", "acme", "--isolation", isolation]).await;
    }

    /// The process of tenant `acme`, once it has one.
    async fn own(&self) -> Process {
        let since = Instant::now();
        loop {
            if let Some(own) = child(self.server.process(), "own") {
                return own;
            }
            assert!(since.elapsed() < PATIENCE, "no process of its own");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Asks a platform for apps by their hosts, over one connection as long as that lasts.
struct Clients {
    address: std::net::SocketAddr,
    is_http2: bool,
    kept: tokio::sync::Mutex<Option<Sender>>,
}

/// A request's body.
type Boxed = http_body_util::combinators::UnsyncBoxBody<
    bytes::Bytes,
    Box<dyn std::error::Error + Send + Sync>,
>;

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<Boxed>),
    Http2(hyper::client::conn::http2::SendRequest<Boxed>),
}

impl Clients {
    fn http1(platform: &Platform) -> Self {
        Self { address: address(platform), is_http2: false, kept: Default::default() }
    }

    fn http2(platform: &Platform) -> Self {
        Self { is_http2: true, ..Self::http1(platform) }
    }

    async fn connect(&self) -> Sender {
        use hyper::client::conn::{http1, http2};
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        if self.is_http2 {
            let (sender, moved) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(moved);
            return Sender::Http2(sender);
        }
        let (sender, moved) = http1::handshake(io).await.unwrap();
        tokio::spawn(moved);
        Sender::Http1(sender)
    }

    /// What a host answers.
    async fn ask(
        &self,
        host: &str,
        request: http::Result<Request<Boxed>>,
    ) -> Result<Answer, String> {
        let mut request = request.unwrap();
        let mut kept = self.kept.lock().await;
        let is_free = match &mut *kept {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_free {
            *kept = Some(self.connect().await);
        }
        let answer = match kept.as_mut().unwrap() {
            Sender::Http1(sender) => {
                request.headers_mut().insert("host", host.parse().unwrap());
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let target = format!("http://{host}{}", request.uri());
                *request.uri_mut() = target.parse().unwrap();
                *request.version_mut() = http::Version::HTTP_2;
                sender.send_request(request).await
            }
        };
        timeout(PATIENCE, Answer::read(answer.map_err(|error| error.to_string())?)).await.unwrap()
    }
}

/// The files that a process has open.
fn open_files(process: Process) -> Vec<String> {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    let files = folder.filter_map(|it| std::fs::read_link(it.unwrap().path()).ok());
    files.map(|file| file.display().to_string()).collect()
}

#[tokio::test]
async fn guests_of_a_tenant_run_in_its_own_process() {
    let platform = Platform::with_own(dayfly(), &numbered(1, "", "")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let node = child(platform.server.process(), "node").unwrap();
    let own = platform.own().await;
    // Whoever computes is seen by its CPU time.
    let burnt = async |host: &str| {
        let before = [node, own].map(Process::cpu_time);
        let answer = platform.get(host, "/work?rounds=100000000").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let after = [node, own].map(Process::cpu_time);
        [after[0] - before[0], after[1] - before[1]]
    };
    let [of_node, of_own] = burnt(ACME).await;
    assert!(of_own > of_node && of_own >= Duration::from_millis(60), "{of_node:?} {of_own:?}");
    let [of_node, of_own] = burnt("test.localhost").await;
    assert!(of_node > of_own && of_node >= Duration::from_millis(60), "{of_node:?} {of_own:?}");

    // It has nothing of the platform's open, and can open nothing.
    let files = open_files(own);
    let is_platforms = |file: &&String| file.contains(".sqlite") || file.contains("secrets.key");
    assert!(files.iter().find(is_platforms).is_none(), "{files:?}");
    assert!(open_files(node).iter().any(|file| file.contains("platform.sqlite")));
    let status = std::fs::read_to_string(format!("/proc/{}/status", own.id())).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    platform.server.stderr().containing("a tenant's process serves").await;
    // What was compiled for it is found, though nothing can be put there.
    assert!(!platform.server.stderr().text().contains("artifacts are not kept"));

    // It is a tenant like others otherwise.
    let shown = platform.json(&["tenants", "show", "acme"]).await;
    assert_eq!(shown["isolation"], "own-process");
    let audit = platform.json(&["audit", "--all", "--most", "100"]).await;
    let isolated = audit.as_array().unwrap().iter().find(|it| it["action"] == "tenant.isolate");
    assert_eq!(isolated.unwrap()["detail"], "own-process", "{audit}");
    platform.deploy(&numbered(2, "", ""), &["--tenant", "acme"]).await.with(0);
    assert!(platform.acme("/env").await.text().contains("RELEASE=2"));
    platform.done(&["rollback", "test", "--tenant", "acme"]).await;
    assert!(platform.acme("/env").await.text().contains("RELEASE=1"));
    platform.done(&["env", "test", "WORD=hidden", "--tenant", "acme"]).await;
    let since = Instant::now();
    while !platform.acme("/env").await.text().contains("WORD=hidden") {
        assert!(since.elapsed() < PATIENCE, "the secret does not come");
        sleep(Duration::from_millis(50)).await;
    }
    // A second app of the tenant's is served by the same process.
    platform.deploy(&app("more", "rust-http", ""), &["--tenant", "acme"]).await.with(0);
    assert_eq!(platform.get("more.acme.localhost", "/hello").await.text(), "hello world");
    assert_eq!(platform.own().await.id(), own.id());
    // What it used and what it says is where that of others is.
    let since = Instant::now();
    loop {
        let usage = platform.json(&["usage", "--tenant", "acme"]).await.to_string();
        let cpu = platform.json(&["usage", "test", "--tenant", "acme"]).await;
        if usage.contains("more") && cpu["groups"][0]["total"]["requests"].as_u64() >= Some(4) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{usage}");
        sleep(Duration::from_millis(200)).await;
    }
    platform.acme("/panic").await;
    let logs = platform.done(&["logs", "test", "--tenant", "acme"]).await;
    assert!(logs.contains("the handler failed") || logs.contains("panicked"), "{logs}");
    // Without apps there is no process.
    platform.done(&["apps", "remove", "test", "--yes", "--tenant", "acme"]).await;
    platform.done(&["apps", "remove", "more", "--yes", "--tenant", "acme"]).await;
    let since = Instant::now();
    while child(platform.server.process(), "own").is_some() {
        assert!(since.elapsed() < PATIENCE, "it stays");
        sleep(Duration::from_millis(50)).await;
    }
    platform.stop().await;
}

#[tokio::test]
async fn what_its_process_counts_is_on_the_node_s_page() {
    let metrics = Addresses::free().apps;
    let dayfly = dayfly().env("DAYFLY_METRICS_LISTEN", &metrics);
    let platform = Platform::with_own(dayfly, &numbered(1, "", "")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.acme("/hello").await.status, 200);
    assert_eq!(platform.get("test.localhost", "/hello").await.status, 200);
    let page = async || Client::http1(&format!("http://{metrics}")).text("/metrics").await;
    let of = |tenant: &str| {
        let labels = format!("tenant=\"{tenant}\",app=\"test\",component=\"guest\"");
        format!("dayfly_requests_total{{{labels},status=\"2xx\",fault=\"none\"}} 1\n")
    };
    let told = page().await;
    for line in [of("acme"), of("default"), "process_threads{tenant=\"acme\"} ".to_owned()] {
        assert!(told.contains(&line), "no {line} in {told}");
    }
    assert_eq!(told.matches("# TYPE dayfly_requests_total ").count(), 1, "{told}");
    let twice = "\ndayfly_components{tenant=\"acme\",app=\"test\"} ";
    assert_eq!(told.matches(twice).count(), 1, "{told}");
    // One that does not tell keeps the page for a moment only.
    let own = platform.own().await;
    own.halt();
    let since = Instant::now();
    let told = page().await;
    assert!(told.contains(&of("default")) && !told.contains(&of("acme")), "{told}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    own.kill();
    platform.stop().await;
}

#[tokio::test]
async fn whatever_http_has_gets_there_and_nothing_gets_there_otherwise() {
    let platform = Platform::with_own(dayfly(), &numbered(1, "", "")).await;
    platform.deploy(&numbered(9, "", ""), &[]).await.with(0);
    for client in [Clients::http1(&platform), Clients::http2(&platform)] {
        // The client is who it is, whatever it says.
        let request = Request::get("/headers").header("x-it", "yes");
        let request = request.header("spin-client-addr", "192.0.2.1:1").body(Body::empty());
        let said = client.ask(ACME, request).await.unwrap().text().to_lowercase();
        assert!(
            said.contains("spin-client-addr: 127.0.0.1:") && said.contains("x-it: yes"),
            "{said}"
        );
        assert!(
            !said.contains("192.0.2.1") && said.contains("http://test.acme.localhost"),
            "{said}"
        );
        // Bodies stream both ways, over connections that are kept.
        let body = vec![b'x'; 5 << 20];
        for _ in 0..3 {
            let answer = client.ask(ACME, Request::post("/echo").body(Body::full(body.clone())));
            let answer = answer.await.unwrap();
            assert!(answer.status == 200 && answer.body == body, "{}", answer.status);
        }
        let get = async |host: &str, path: &str| {
            client.ask(host, Request::get(path).body(Body::empty())).await.unwrap()
        };
        assert_eq!(get(ACME, "/large?bytes=3000000").await.body.len(), 3_000_000);
        let head = async |host: &str| {
            let answer = client.ask(host, Request::head("/large").body(Body::empty()));
            let answer = answer.await.unwrap();
            (answer.status, answer.body.len(), answer.header("content-length").to_owned())
        };
        assert_eq!(head(ACME).await, head("test.localhost").await, "as if it was there");
        for status in [204, 304, 404, 503] {
            let answer = get(ACME, &format!("/status?code={status}")).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        // An answer that breaks off is none; if nothing of it was sent yet, it is an error.
        let broken = client.ask(ACME, Request::get("/break").body(Body::empty())).await;
        assert!(broken.as_ref().map_or(true, |answer| answer.status >= 500), "{broken:?}");
        // Neighbours on one connection stay apart.
        for (host, release) in [(ACME, "1"), ("test.localhost", "9"), (ACME, "1")] {
            let text = get(host, "/env").await.text();
            assert!(text.contains(&format!("RELEASE={release}\n")), "{host}: {text}");
        }
    }
    // Trailers, by the version that has them always.
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", "it".parse().unwrap());
    let frames = [Frame::data(bytes::Bytes::from("word")), Frame::trailers(trailers)];
    let body = Body::frames(futures_util::stream::iter(frames));
    let answer = Clients::http2(&platform).ask(ACME, Request::post("/echo").body(body)).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.text().as_str(), &answer.trailers["x-end"]),
        ("word", &"it".parse().unwrap())
    );
    // The first of it is there before the last is made.
    let mut stream = TcpStream::connect(address(&platform)).await.unwrap();
    let request = format!("GET /slow?chunks=2&ms=1500 HTTP/1.1\r\nhost: {ACME}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = String::new();
    let told =
        |read: &str| read.split_once("\r\n\r\n").map_or(0, |it| it.1.matches("chunk").count());
    while told(&read) == 0 {
        let mut more = [0; 1024];
        let count = timeout(PATIENCE, stream.read(&mut more)).await;
        let count = count.unwrap_or_else(|_| panic!("nothing comes: {read}")).unwrap();
        assert!(count > 0, "it ends: {read}");
        read.push_str(&String::from_utf8_lossy(&more[..count]));
    }
    assert_eq!(told(&read), 1, "{read}");
    drop(stream);
    // Two hosts in one request, and a host that nobody has.
    let ask = async |request: &str| {
        let mut stream = TcpStream::connect(address(&platform)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("an end").unwrap();
        String::from_utf8_lossy(&read).into_owned()
    };
    let close = "connection: close\r\n\r\n";
    let two = format!("GET http://test.localhost/env HTTP/1.1\r\nhost: {ACME}\r\n{close}");
    assert!(ask(&two).await.starts_with("HTTP/1.1 400"));
    let twice = format!("GET /env HTTP/1.1\r\nhost: test.localhost\r\nhost: {ACME}\r\n{close}");
    assert!(ask(&twice).await.starts_with("HTTP/1.1 400"));
    let other = ask(&format!("GET /env HTTP/1.1\r\nhost: other.acme.localhost\r\n{close}")).await;
    assert!(other.starts_with("HTTP/1.1 404") && other.contains("no app has this host"), "{other}");
    let old = ask(&format!("GET /env HTTP/1.0\r\nhost: {ACME}\r\n\r\n")).await;
    assert!(old.starts_with("HTTP/1.0 200") && old.contains("RELEASE=1"), "{old}");
    platform.stop().await;
}

/// An app with a queue beside its route, what of it is done being kept in another.
pub(super) fn working() -> App {
    numbered(
        1,
        "[component.worker]\nsource = \"worker.wasm\"\n",
        "[[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"worker\"\noutput = \"queue:out\"\n",
    )
    .file("worker.wasm", dayfly_testing::Guest::bytes("rust-command"))
}

#[tokio::test]
async fn who_came_by_tls_is_known_and_reaches_the_host_that_it_named_alone() {
    let base = Certificate::of(&["*.apps.example", "*.acme.apps.example"]);
    let dayfly = dayfly()
        .env("DAYFLY_BASE_DOMAIN", "apps.example")
        .env("DAYFLY_TLS_LISTEN", "127.0.0.1:0")
        .env("DAYFLY_TLS_CERT", base.chain())
        .env("DAYFLY_TLS_KEY", base.key());
    let platform = Platform::with_own(dayfly, &numbered(1, "", "")).await;
    platform.deploy(&numbered(9, "", ""), &[]).await.with(0);
    let (tls, host) = (platform.tls().await, "test.acme.apps.example");
    let mut own = Https::connect(&tls, host).await.unwrap();
    let (status, said) = own.get(host, "/headers").await.unwrap();
    assert!(status == 200 && said.contains("https://test.acme.apps.example/headers"), "{said}");
    assert_eq!(own.get("test.apps.example", "/env").await.unwrap().0, 421);
    let mut other = Https::connect(&tls, "test.apps.example").await.unwrap();
    assert_eq!(other.get(host, "/env").await.unwrap().0, 421);
    assert_eq!(other.get("test.apps.example", "/env").await.unwrap().0, 200);
    platform.stop().await;
}
