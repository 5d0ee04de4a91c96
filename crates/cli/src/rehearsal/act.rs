//! What happens in a step: a request, an event, something on a WebSocket, a command.

mod command;
mod event;
mod request;
mod websocket;

use std::collections::HashMap;

use dayfly_model::test_file::{Action, Step};
use http::HeaderMap;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use super::matching::Mismatch;
use super::stage::Stage;

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) status: Option<i64>,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    /// Why there is no answer.
    pub(super) error: Option<String>,
    /// What was seen at once to be otherwise than expected.
    pub(super) mismatches: Vec<Mismatch>,
}

/// Who does the steps of one test.
pub(super) struct Actor<'s> {
    stage: &'s Stage<'s>,
    /// By their names.
    sockets: HashMap<String, WebSocketStream<TcpStream>>,
}

impl<'s> Actor<'s> {
    pub(super) fn new(stage: &'s Stage<'s>) -> Self {
        Self { stage, sockets: HashMap::new() }
    }

    /// Lets it happen.
    pub(super) async fn act(&mut self, step: &Step) -> Outcome {
        let done = match &step.action {
            Action::Look => Ok(Outcome::default()),
            Action::Request(it) => request::send(self.stage, it).await,
            Action::Event(it) => event::send(self.stage, it).await,
            Action::Websocket(it) => self.websocket(it, &step.expect).await,
            Action::Command(it) => command::run(self.stage, it).await,
        };
        done.unwrap_or_else(|error| Outcome {
            error: Some(format!("{error:#}")),
            ..Outcome::default()
        })
    }
}

/// What a step does, in few words.
pub(super) fn title(step: &Step) -> String {
    match &step.action {
        Action::Look => "look".to_owned(),
        Action::Request(it) => format!("{} {}", it.method, it.path),
        Action::Event(it) => format!("event for {}", it.trigger),
        Action::Websocket(it) => match &it.connect {
            Some(path) => format!("WebSocket {path}"),
            None => format!("WebSocket `{}`", it.name),
        },
        Action::Command(it) => format!("command {}", it.component),
    }
}
