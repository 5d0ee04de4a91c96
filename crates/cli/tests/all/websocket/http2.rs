//! WebSockets on streams of HTTP/2 (RFC 8441), by a client and by a browser.

use bytes::Bytes;
use dayfly_testing::{App, Certificate, Running, browser};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{PATIENCE, app, up};
use crate::dayfly;

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
}

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

impl Connection {
    pub(super) async fn new(server: &Running) -> Self {
        let stream = TokioIo::new(server.connect().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut connection = Self { sender, authority: server.authority().to_owned() };
        // With the first answer it is known what the server offers.
        let health = connection.ask(Method::GET, "/.well-known/dayfly/health", |_| {}).await;
        assert_eq!(health.status(), StatusCode::OK);
        connection
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        change: impl FnOnce(&mut Request<Empty<Bytes>>),
    ) -> Response<Incoming> {
        let uri = format!("http://{}{path}", self.authority);
        let request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        let mut request = request.body(Empty::new()).unwrap();
        change(&mut request);
        let answer = timeout(PATIENCE, self.sender.send_request(request)).await;
        answer.expect("an answer in time").unwrap()
    }

    /// Asks for a protocol on a stream.
    async fn open(&mut self, path: &str, protocol: &'static str) -> Response<Incoming> {
        self.ask(Method::CONNECT, path, |request| {
            request.extensions_mut().insert(Protocol::from_static(protocol));
            let headers = request.headers_mut();
            headers.insert("sec-websocket-version", "13".parse().unwrap());
            headers.insert("sec-websocket-protocol", "one, two".parse().unwrap());
        })
        .await
    }

    pub(super) async fn socket(&mut self, path: &str) -> Socket {
        let answer = self.open(path, "websocket").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("sec-websocket-accept"));
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        WebSocketStream::from_raw_socket(stream, Role::Client, None).await
    }
}

async fn hear(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("something in time").unwrap().unwrap()
}

#[tokio::test]
async fn several_talk_on_one_connection_beside_requests() {
    let (_app, server) = up("true").await;
    let mut connection = Connection::new(&server).await;
    let mut first = connection.socket("/chat/a?join=lobby").await;
    let mut second = connection.socket("/chat/b?join=lobby").await;
    for socket in [&mut first, &mut second] {
        assert_eq!(hear(socket).await, Message::text("Ok(())"));
    }
    second.send(Message::text("say lobby hello")).await.unwrap();
    assert_eq!(hear(&mut first).await, Message::text("hello"));
    assert_eq!(hear(&mut second).await, Message::text("hello"));
    assert_eq!(hear(&mut second).await, Message::text("Ok(2)"));
    // Longer than the window of a stream, both ways.
    let long = "x".repeat(120_000);
    first.send(Message::text(&long)).await.unwrap();
    assert_eq!(hear(&mut first).await, Message::text(long));
    assert_eq!(connection.ask(Method::GET, "/none", |_| {}).await.status(), StatusCode::NOT_FOUND);
    first.send(Message::text("close 4001 enough")).await.unwrap();
    let closed = async {
        loop {
            if let Message::Close(frame) = hear(&mut first).await {
                return u16::from(frame.unwrap().code);
            }
        }
    };
    assert_eq!(closed.await, 4001);
    second.send(Message::text("whoami")).await.unwrap();
    assert!(matches!(hear(&mut second).await, Message::Text(_)));
    // One that leaves without a word is missed.
    drop(connection);
    drop(second);
    let path = server.state("logs/chat_stdout.txt");
    super::messages::until("both are gone", async || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let gone = log.lines().filter(|line| line.starts_with("closed ")).count();
        (gone == 2).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_or_asks_for_something_else_is_told() {
    let app = app("true", "[[trigger.http]]\nroute = \"/plain\"\ncomponent = \"chat\"\n");
    let server = dayfly().up(app.folder()).await;
    let mut connection = Connection::new(&server).await;
    let told = connection.open("/chat/a?deny=401", "websocket").await;
    assert_eq!(told.status(), StatusCode::UNAUTHORIZED);
    let told = connection.open("/chat/a?protocol=two", "websocket").await;
    assert_eq!(told.headers()["sec-websocket-protocol"], "two");
    for (path, protocol, status) in [
        ("/chat/a", "connect-udp", StatusCode::UPGRADE_REQUIRED),
        ("/plain", "websocket", StatusCode::BAD_REQUEST),
        ("/other", "websocket", StatusCode::NOT_FOUND),
        ("/.well-known/dayfly/health", "websocket", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(connection.open(path, protocol).await.status(), status, "{path} {protocol}");
    }
    let mut socket = connection.socket("/chat/a").await;
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(hear(&mut socket).await, Message::text("still here"));
    server.stop().await;
}

#[tokio::test]
async fn they_are_told_that_the_server_ends_and_their_handlers_of_it() {
    let (_app, server) = up("true").await;
    let path = server.state("logs/chat_stdout.txt");
    let mut connection = Connection::new(&server).await;
    let mut socket = connection.socket("/chat/a").await;
    let told = async {
        let closed = hear(&mut socket).await;
        assert!(matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
        // Its answer goes with the next look.
        let _ = socket.next().await;
        std::fs::read_to_string(&path)
    };
    let (ended, _) = tokio::join!(server.stop(), told);
    ended.with(0);
}

#[tokio::test]
async fn silent_ones_keep_their_connection() {
    let app = app("true", "");
    let command = dayfly().args(["up", "--idle-timeout", "300ms"]).arg(app.folder());
    let server = command.serve().await;
    let mut connection = Connection::new(&server).await;
    let mut socket = connection.socket("/chat/a").await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(hear(&mut socket).await, Message::text("still here"));
    server.stop().await;
}

/// It waits by requests, for which the browser waits before it shows the page.
const PAGE: &str = "<p id=heard></p><script>\
    const socket = new WebSocket(`wss://${location.host}/chat/a`);\
    socket.onopen = () => socket.send('from a page');\
    socket.onmessage = ({ data }) => { heard.append(data); socket.close(4003, 'done'); };\
    let over = false;\
    socket.onclose = ({ code }) => { heard.append(` closed ${code}`); over = true; };\
    const wait = async () => { while (!over) await fetch('/sleep?ms=50'); };\
    wait();\
    </script>";

#[tokio::test]
async fn a_browser_takes_the_connection_that_it_has() {
    let certificate = Certificate::new();
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/\"\n\
         static_response = {{ headers = {{ content-type = \"text/html\" }}, body = {PAGE:?} }}\n\
         [[trigger.http]]\nroute = \"/chat/...\"\ncomponent = \"chat\"\nwebsocket = true\n\
         [[trigger.http]]\nroute = \"/sleep\"\ncomponent = \"wait\"\n\
         [component.wait]\nsource = \"guest:rust-http\"\n\
         [component.chat]\nsource = \"guest:rust-websocket\"\n"
    ));
    let command =
        dayfly().args(["up", "--access-log", "on", "--tls-cert"]).arg(certificate.chain());
    let command = command.arg("--tls-key").arg(certificate.key()).arg(app.folder());
    let server = command.serve().await;
    let page = browser::page(&format!("https://{}/", server.authority())).await;
    assert!(page.contains("from a page closed 4003"), "{page}");
    let ended = server.stop().await;
    let of_socket = ended.stderr.lines().find(|line| line.contains("/chat/a")).unwrap();
    assert!(of_socket.contains("CONNECT") && of_socket.contains("http/2"), "{of_socket}");
}
