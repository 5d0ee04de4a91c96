//! What a guest's connection does, in whichever version of the interface it asks.

use redis::{Cmd, Value, cmd};
use tokio::sync::OnceCell;

use super::client::{Client, Error};
use super::commands::{Kind, kind};
use super::connection::Connection;

/// A guest's connection: the one that its component shares, until it sends a command that would
/// change it for others. From then on it has one of its own.
pub(super) struct Session {
    client: Client,
    own: OnceCell<Connection>,
}

/// A parameter of a command.
pub(super) enum Parameter {
    Int(i64),
    Binary(Vec<u8>),
}

/// A part of a reply. Arrays have no place in the interface: their parts follow one another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Nil,
    Status(String),
    Int(i64),
    Binary(Vec<u8>),
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client, own: OnceCell::new() }
    }

    async fn query(&self, command: &Cmd) -> Result<Value, Error> {
        match self.own.get() {
            None => self.client.query(command).await,
            Some(own) => self.client.query_on(own, command, true).await,
        }
    }

    pub(super) async fn publish(&self, channel: String, payload: Vec<u8>) -> Result<(), Error> {
        self.query(cmd("PUBLISH").arg(channel).arg(payload)).await.map(drop)
    }

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        match self.query(cmd("GET").arg(key)).await.map_err(typed)? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => Ok(Some(value)),
            _ => Err(Error::Type),
        }
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.query(cmd("SET").arg(key).arg(value)).await.map(drop)
    }

    pub(super) async fn incr(&self, key: String) -> Result<i64, Error> {
        int(self.query(cmd("INCR").arg(key)).await)
    }

    pub(super) async fn del(&self, keys: Vec<String>) -> Result<i64, Error> {
        int(self.query(cmd("DEL").arg(keys)).await)
    }

    pub(super) async fn sadd(&self, key: String, values: Vec<String>) -> Result<i64, Error> {
        int(self.query(cmd("SADD").arg(key).arg(values)).await)
    }

    pub(super) async fn srem(&self, key: String, values: Vec<String>) -> Result<i64, Error> {
        int(self.query(cmd("SREM").arg(key).arg(values)).await)
    }

    pub(super) async fn smembers(&self, key: String) -> Result<Vec<String>, Error> {
        let Value::Array(members) = self.query(cmd("SMEMBERS").arg(key)).await.map_err(typed)?
        else {
            return Err(Error::Type);
        };
        let text = |member| match member {
            Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| Error::Type),
            _ => Err(Error::Type),
        };
        members.into_iter().map(text).collect()
    }

    pub(super) async fn execute(
        &self,
        command: String,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Part>, Error> {
        let first = parameters.first().and_then(|first| match first {
            Parameter::Binary(bytes) => Some(bytes.as_slice()),
            Parameter::Int(_) => None,
        });
        let kind = kind(&command, first);
        let mut sent = Cmd::new();
        sent.arg(command);
        for parameter in parameters {
            match parameter {
                Parameter::Int(number) => sent.arg(number),
                Parameter::Binary(bytes) => sent.arg(bytes),
            };
        }
        let reply = match kind {
            Kind::Shared => self.query(&sent).await?,
            Kind::Own | Kind::Waiting => {
                let own = self.own.get_or_try_init(|| self.client.another(false)).await?;
                self.client.query_on(own, &sent, kind == Kind::Own).await?
            }
            Kind::Listens(name) => return Err(Error::Listens(name)),
            Kind::Changes(name) => return Err(Error::Changes(name)),
        };
        let mut parts = Vec::new();
        flatten(reply, &mut parts)?;
        Ok(parts)
    }
}

/// What a server says of a value of another type, as the interface says it.
fn typed(error: Error) -> Error {
    match &error {
        Error::Server(server)
            if server.code() == "WRONGTYPE"
                || server.details().is_some_and(|said| said.contains("is not an integer")) =>
        {
            Error::Type
        }
        _ => error,
    }
}

fn int(reply: Result<Value, Error>) -> Result<i64, Error> {
    match reply.map_err(typed)? {
        Value::Int(number) => Ok(number),
        _ => Err(Error::Type),
    }
}

/// Appends the parts of a reply; its depth was bounded when it was read. An error among them is the
/// whole reply's.
fn flatten(reply: Value, parts: &mut Vec<Part>) -> Result<(), Error> {
    parts.push(match reply {
        Value::Nil => Part::Nil,
        Value::Okay => Part::Status("OK".to_owned()),
        Value::SimpleString(status) => Part::Status(status),
        Value::Int(number) => Part::Int(number),
        Value::BulkString(bytes) => Part::Binary(bytes),
        Value::Array(replies) => {
            return replies.into_iter().try_for_each(|reply| flatten(reply, parts));
        }
        Value::ServerError(error) => return Err(Error::Server(error)),
        // The protocol's second version has no others.
        _ => return Err(Error::Type),
    });
    Ok(())
}
