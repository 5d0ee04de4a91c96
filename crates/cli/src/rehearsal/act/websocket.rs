//! What happens on a WebSocket, by a client of its own.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dayfly_model::test_file::{Expect, Websocket};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Actor, Outcome, request};
use crate::rehearsal::content;
use crate::rehearsal::matching::mismatches;
use crate::rehearsal::stage::Stage;

impl Actor<'_> {
    /// Connects, sends and closes, as far as the step says so, and takes the messages that it expects.
    pub(super) async fn websocket(&mut self, step: &Websocket, expect: &Expect) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if let Some(path) = &step.connect {
            match connect(self.stage, path, &step.headers).await? {
                Connected::Socket(socket, accepted) => {
                    self.sockets.insert(step.name.clone(), *socket);
                    outcome = accepted;
                }
                Connected::Refused(refused) => return Ok(refused),
            }
        }
        let name = &step.name;
        let socket = self.sockets.get_mut(name);
        let socket = socket.with_context(|| format!("no step before connected `{name}`"))?;
        if let Some((content, is_bytes)) = &step.send {
            let bytes = content::bytes(content)?;
            let message = match is_bytes {
                true => Message::binary(bytes),
                false => Message::text(String::from_utf8(bytes).context("a text is UTF-8")?),
            };
            socket.send(message).await.context("the message was not sent")?;
        }
        for (i, matcher) in expect.messages.iter().enumerate() {
            let message = next(socket, expect.within).await?;
            let what = format!("message {}", i + 1);
            outcome.mismatches.extend(mismatches(&what, matcher, message.as_deref()));
        }
        if step.close
            && let Some(mut socket) = self.sockets.remove(name)
        {
            // It may be closed already.
            let _ = socket.close(None).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
        Ok(outcome)
    }
}

enum Connected {
    Socket(Box<WebSocketStream<TcpStream>>, Outcome),
    Refused(Outcome),
}

async fn connect(stage: &Stage<'_>, path: &str, headers: &[(String, String)]) -> Result<Connected> {
    let (stream, authority) = request::connect(stage).await?;
    let mut request = format!("ws://{authority}{path}").into_client_request()?;
    for (name, value) in headers {
        let (name, value): (HeaderName, HeaderValue) = (name.parse()?, value.parse()?);
        request.headers_mut().append(name, value);
    }
    let outcome = |status: http::StatusCode, headers: &http::HeaderMap| Outcome {
        status: Some(status.as_u16().into()),
        headers: headers.clone(),
        ..Outcome::default()
    };
    match client_async(request, stream).await {
        Ok((socket, response)) => {
            let accepted = outcome(response.status(), response.headers());
            Ok(Connected::Socket(Box::new(socket), accepted))
        }
        Err(Error::Http(response)) => {
            let refused = outcome(response.status(), response.headers());
            let body = response.body().clone();
            Ok(Connected::Refused(Outcome { body, ..refused }))
        }
        Err(error) => bail!("no WebSocket: {error}"),
    }
}

/// The next message, if one comes within this time.
async fn next(
    socket: &mut WebSocketStream<TcpStream>,
    within: Duration,
) -> Result<Option<Vec<u8>>> {
    loop {
        match timeout(within, socket.next()).await {
            Err(_) => return Ok(None),
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                return Ok(Some(message.into_data().to_vec()));
            }
            Ok(Some(Ok(Message::Close(frame)))) => {
                let why = frame.map_or_else(String::new, |frame| format!(": {frame}"));
                bail!("the WebSocket was closed{why}");
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => bail!("the WebSocket broke off: {error}"),
            Ok(None) => bail!("the WebSocket is closed"),
        }
    }
}
