//! WebSockets, by a real client, by raw frames and by a browser.

mod bounds;
mod browser;
mod chat;
mod ending;
mod frames;
mod handshake;
mod http2;
mod leaving;
mod messages;
mod telemetry;
mod tls;
mod topics;

use std::time::Duration;

use dayfly_testing::{App, Running};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::dayfly;

/// How long things may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An app with the guest of these tests on `/chat/...`, kept as `websocket` says, and further lines.
fn app(websocket: &str, lines: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/chat/...\"\ncomponent = \"chat\"\nwebsocket = {websocket}\n\
         [component.chat]\nsource = \"guest:rust-websocket\"\n{lines}\n"
    ))
}

async fn up(websocket: &str) -> (App, Running) {
    let app = app(websocket, "");
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// A client of one connection.
pub(crate) struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects to a path, with headers beside those that it takes.
    async fn try_connect(
        server: &Running,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, HeaderMap), Response<Option<Vec<u8>>>> {
        let url = format!("ws://{}{path}", server.authority());
        let mut request: Request<()> = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = server.connect().await;
        match timeout(PATIENCE, client_async(request, stream)).await.expect("an answer in time") {
            Ok((socket, response)) => Ok((Self(socket), response.headers().clone())),
            Err(Error::Http(response)) => Err(*response),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    pub(crate) async fn connect(server: &Running, path: &str) -> Self {
        Self::try_connect(server, path, &[]).await.expect("it is accepted").0
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// The next message that is no ping or pong.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something in time")? {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return Some(message),
                Err(error) => panic!("it broke off: {error}"),
            }
        }
    }

    /// The text that comes next.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Says something and hears the answer.
    async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.text().await
    }

    /// Waits until it is closed, whatever comes before that.
    pub(crate) async fn code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    // Its answer goes with the next look.
                    let _ = timeout(PATIENCE, self.0.next()).await;
                    return code;
                }
                Some(_) => {}
                None => panic!("it ended without a word"),
            }
        }
    }
}
