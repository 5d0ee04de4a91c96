//! A Redis server: messages are published to a channel. A channel carries the data alone.

use super::{Content, Error};
use crate::redis::client::{self, Client};

/// A server.
pub(in super::super) struct Redis(Client);

impl Redis {
    pub(super) fn new(url: &str) -> Option<Self> {
        Client::of_operator(url).ok().map(Self)
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.0.connect().await.map_err(explain)
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(topic).arg(&content.data[..]);
        self.0.query(&publish).await.map(drop).map_err(explain)
    }
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
