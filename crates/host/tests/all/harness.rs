//! A server to start in a test, what answers in it, and plain clients.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dayfly_host::{
    Body, BoxError, ClientBody, Connection, Handler, ListenAddr, Outcome, ServeError, Server,
    ServerConfig, Shutdown,
};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;

/// The longest that any test waits for anything.
pub const LONG: Duration = Duration::from_secs(60);

/// A server that runs until it is stopped or dropped.
pub struct Running {
    pub app: Arc<App>,
    pub shutdown: Shutdown,
    pub addrs: Vec<dayfly_host::LocalAddr>,
    thread: Option<JoinHandle<Result<Outcome, ServeError>>>,
}

/// A configuration for tests: one free port on loopback, two threads.
pub fn config() -> ServerConfig {
    ServerConfig {
        listen: vec!["127.0.0.1:0".parse::<ListenAddr>().unwrap()],
        threads: 2,
        // A machine that is busy with other tests refuses nothing.
        max_lag: LONG,
        ..ServerConfig::default()
    }
}

impl Running {
    pub fn start() -> Self {
        Self::with(config())
    }

    pub fn with(config: ServerConfig) -> Self {
        log_lines();
        let server = Server::bind(config).unwrap();
        let addrs = server.local_addrs().to_vec();
        let (app, shutdown) = (Arc::new(App::default()), Shutdown::new());
        let (handler, end) = (app.clone(), shutdown.clone());
        let thread = std::thread::spawn(move || server.run(handler, end));
        Self { app, shutdown, addrs, thread: Some(thread) }
    }

    /// The first address.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0].tcp().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    /// Sends bytes on a connection of their own and reads until the server closes it.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut tcp = self.connect();
        // The server may close before it has read everything.
        let _ = tcp.write_all(bytes.as_ref());
        read_all(&mut tcp)
    }

    /// Waits for the end that was asked for.
    pub fn wait(mut self) -> Outcome {
        self.thread.take().unwrap().join().unwrap().unwrap()
    }

    /// Ends it gracefully.
    pub fn stop(self) -> Outcome {
        self.shutdown.start();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What answers in tests, by path; and what the tests learn from it.
#[derive(Default)]
pub struct App {
    /// Requests to `/wait` that began.
    pub began: AtomicUsize,
    /// Requests to `/wait`, and bodies of `/drip`, that were dropped or ended.
    pub ended: AtomicUsize,
    /// Requests to `/wait` that were answered.
    pub answered: AtomicUsize,
    /// Bytes that `/zeros` has made.
    pub made: Arc<AtomicU64>,
    /// Bodies of `/zeros` that are being made.
    pub zeros: Arc<AtomicUsize>,
    /// Lets `/wait` answer.
    pub release: tokio::sync::Notify,
}

impl Handler for App {
    async fn handle(
        &self,
        request: Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let body = match path.as_str() {
            "/echo" => return echo(request),
            "/refuse" => {
                let mut response = Response::new(Body::from("no\n"));
                *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
                return response;
            }
            "/count" => match count(request.into_body()).await {
                Ok(bytes) => Body::from(bytes.to_string()),
                Err(error) => {
                    return dayfly_host::EdgeError::new(dayfly_host::Problem::Malformed)
                        .because(error)
                        .respond();
                }
            },
            "/wait" => self.wait().await,
            "/none" => {
                let mut response = Response::new(Body::from("not to be sent"));
                *response.status_mut() = http::StatusCode::NO_CONTENT;
                return response;
            }
            // Computes for a while.
            "/busy" => {
                std::thread::sleep(Duration::from_millis(5));
                Body::from("done\n")
            }
            "/panic" => panic!("as the test asks"),
            "/broken" => Body::stream(Broken(0)),
            "/trailers" => {
                Body::stream(http_body_util::Full::<Bytes>::from("hi").with_trailers(async {
                    Some(Ok(HeaderMap::from_iter([("sum".parse().unwrap(), "7".parse().unwrap())])))
                }))
            }
            "/ticks" => Body::stream(Ticks { left: 40, pause: tokio::time::interval(TICK) }),
            "/worker" => Body::from(format!("{}\n.", connection.worker)),
            "/who" => Body::from(format!(
                "{} {} {} {}",
                connection.peer,
                connection.local,
                connection.scheme.as_str(),
                connection.protocol.label()
            )),
            other => match other.strip_prefix("/zeros/").and_then(|n| n.parse().ok()) {
                Some(left) => {
                    self.zeros.fetch_add(1, SeqCst);
                    let (made, zeros) = (self.made.clone(), self.zeros.clone());
                    Body::stream(Zeros { left, made, zeros })
                }
                None => match other.strip_prefix("/full/").and_then(|n| n.parse().ok()) {
                    Some(length) => Body::full(vec![0; length]),
                    None => Body::from("hello\n"),
                },
            },
        };
        Response::new(body)
    }
}

impl App {
    async fn wait(&self) -> Body {
        struct Ended<'a>(&'a AtomicUsize);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let _ended = Ended(&self.ended);
        let released = self.release.notified();
        self.began.fetch_add(1, SeqCst);
        released.await;
        self.answered.fetch_add(1, SeqCst);
        Body::from("waited\n")
    }
}

fn echo(request: Request<ClientBody>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(Body::stream(body));
    if let Some(trailer) = parts.headers.get("trailer") {
        response.headers_mut().insert("trailer", trailer.clone());
    }
    response
}

async fn count(mut body: ClientBody) -> Result<u64, BoxError> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(bytes)
}

/// So many zeros.
struct Zeros {
    left: u64,
    made: Arc<AtomicU64>,
    zeros: Arc<AtomicUsize>,
}

impl Drop for Zeros {
    fn drop(&mut self) {
        self.zeros.fetch_sub(1, SeqCst);
    }
}

impl http_body::Body for Zeros {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let length = self.left.min(ZEROS.len() as u64);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length;
        self.made.fetch_add(length, SeqCst);
        let piece = Bytes::from_static(&ZEROS[..usize::try_from(length).unwrap()]);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// How long [`Ticks`] takes for a line.
const TICK: Duration = Duration::from_millis(50);

/// Some lines, one after the other, by a handler that takes its time.
struct Ticks {
    left: usize,
    pause: tokio::time::Interval,
}

impl http_body::Body for Ticks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::ready!(self.pause.poll_tick(cx));
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"tick\n")))))
    }
}

/// Three bytes and, once they were sent, an error.
struct Broken(usize);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0 += 1;
        if self.0 == 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(match self.0 {
            1 => Ok(Frame::data(Bytes::from_static(b"abc"))),
            _ => Err("the guest is gone".into()),
        }))
    }
}

pub fn connect(addr: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect_timeout(&addr, LONG).unwrap();
    tcp.set_read_timeout(Some(LONG)).unwrap();
    tcp.set_write_timeout(Some(LONG)).unwrap();
    tcp
}

/// What comes until the end or a reset.
pub fn read_all(from: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    let mut space = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut space) {
        bytes.extend_from_slice(&space[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until what was read ends in `end`.
pub fn read_until(from: &mut impl std::io::Read, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        match from.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Whether the other side closes within the longest wait.
pub fn is_closed(tcp: &mut TcpStream) -> bool {
    match tcp.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs what a client does, for no longer than the longest wait.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG * 10, future).await.expect("in time") })
}

/// All log lines of the process so far, as JSON; the first call begins to collect them.
pub fn log_lines() -> String {
    static LINES: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(lines.clone());
        tracing_subscriber::fmt()
            .json()
            .with_env_filter("dayfly=debug,dayfly_host=debug")
            .with_writer(move || writer.clone())
            .init();
        lines
    });
    String::from_utf8_lossy(&lines.lock().unwrap()).into_owned()
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
