//! A Redis server: messages are published to a channel. A channel carries the data alone, so what lies behind a
//! message that an event led to is noted at the server, if the app listens to channels.

use super::{Content, Error, HOPS, place};
use crate::redis::client::{self, Client};
use crate::redis::note::{Leave, Note, Place};

/// A server.
pub(in super::super) struct Redis {
    client: Client,
    /// Whether somebody may read notes there.
    is_noted: bool,
    leave: Leave,
}

impl Redis {
    pub(super) fn new(url: &str, is_noted: bool) -> Option<Self> {
        let client = Client::of_operator(url).ok()?;
        Some(Self { client, is_noted, leave: Leave::default() })
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.client.connect().await.map_err(explain)
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        let mut commands = redis::pipe();
        if let Some(note) = note(content).filter(|_| self.is_noted && self.leave.is_there()) {
            note.keep(Place::Channel(topic), &content.data, &mut commands);
        }
        commands.cmd("PUBLISH").arg(topic).arg(&content.data[..]);
        let mut replies = self.client.query_all(&commands).await.map_err(explain)?;
        let sent = replies.pop();
        replies.into_iter().filter_map(Result::err).for_each(|it| self.leave.look_at(it.code()));
        sent.map_or(Ok(()), |sent| sent.map(drop).map_err(explain))
    }
}

/// What lies behind a message, if something does.
fn note(content: &Content) -> Option<Note> {
    let stated = content.metadata.iter().flatten().find(|(name, _)| name == HOPS);
    let steps = stated.and_then(|(_, steps)| steps.parse().ok())?;
    Some(Note::new(steps, &place()))
}

/// What a guest is told; the log has the rest.
fn explain(error: client::Error) -> Error {
    use client::Error as Redis;
    tracing::warn!(%error, "a Redis server that carries messages failed");
    match error {
        Redis::Timeout => Error::Timeout,
        Redis::Login(_) => Error::Connection("the server refuses to be logged in to".to_owned()),
        Redis::Server(said) if said.code() == "NOPERM" => Error::Forbidden,
        Redis::Server(_) => Error::Connection("the server answered an error".to_owned()),
        _ => Error::Connection("the server is not reached".to_owned()),
    }
}
