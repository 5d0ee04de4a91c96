//! What a guest's connection does, in whichever version of the interface it asks.

use std::sync::Arc;

use dayfly_telemetry::Capability;
use dayfly_telemetry::trace::is_traced;
use redis::{Cmd, Value, cmd};
use tokio::sync::OnceCell;

use super::address::Address;
use super::client::{Client, Error};
use super::commands::{Kind, kind};
use super::connection::Connection;
use crate::Grants;

/// The longest name of a command that is told of, in bytes.
const COMMAND_NAME: usize = 24;

/// A guest's connection: the one that its component shares, until it sends a command that would
/// change it for others. From then on it has one of its own.
pub(super) struct Session {
    grants: Arc<Grants>,
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
    pub(super) fn new(grants: Arc<Grants>, client: Client) -> Self {
        Self { grants, client, own: OnceCell::new() }
    }

    /// Counts a call of `function`, which sends `command`.
    async fn counted<T>(
        &self,
        (function, command): (&'static str, &str),
        running: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Address { host, port, .. } = self.client.address();
        let call = self.grants.call(Capability::Redis, function);
        let call = call.of_operation(command).at(host, *port);
        call.end_with(running.await, Error::is_refusal)
    }

    async fn query(&self, command: &Cmd) -> Result<Value, Error> {
        match self.own.get() {
            None => self.client.query(command).await,
            Some(own) => self.client.query_on(own, command, true).await,
        }
    }

    pub(super) async fn publish(&self, channel: String, payload: Vec<u8>) -> Result<(), Error> {
        let running =
            async { self.query(cmd("PUBLISH").arg(channel).arg(payload)).await.map(drop) };
        self.counted(("publish", "PUBLISH"), running).await
    }

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        let running = async {
            match self.query(cmd("GET").arg(key)).await.map_err(typed)? {
                Value::Nil => Ok(None),
                Value::BulkString(value) => Ok(Some(value)),
                _ => Err(Error::Type),
            }
        };
        self.counted(("get", "GET"), running).await
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let running = async { self.query(cmd("SET").arg(key).arg(value)).await.map(drop) };
        self.counted(("set", "SET"), running).await
    }

    pub(super) async fn incr(&self, key: String) -> Result<i64, Error> {
        let running = async { int(self.query(cmd("INCR").arg(key)).await) };
        self.counted(("incr", "INCR"), running).await
    }

    pub(super) async fn del(&self, keys: Vec<String>) -> Result<i64, Error> {
        let running = async { int(self.query(cmd("DEL").arg(keys)).await) };
        self.counted(("del", "DEL"), running).await
    }

    pub(super) async fn sadd(&self, key: String, values: Vec<String>) -> Result<i64, Error> {
        let running = async { int(self.query(cmd("SADD").arg(key).arg(values)).await) };
        self.counted(("sadd", "SADD"), running).await
    }

    pub(super) async fn srem(&self, key: String, values: Vec<String>) -> Result<i64, Error> {
        let running = async { int(self.query(cmd("SREM").arg(key).arg(values)).await) };
        self.counted(("srem", "SREM"), running).await
    }

    pub(super) async fn smembers(&self, key: String) -> Result<Vec<String>, Error> {
        self.counted(("smembers", "SMEMBERS"), self.members(key)).await
    }

    async fn members(&self, key: String) -> Result<Vec<String>, Error> {
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
        let word = word(&command);
        let running = self.run(command, parameters);
        self.counted(("execute", word.as_deref().unwrap_or("execute")), running).await
    }

    async fn run(&self, command: String, parameters: Vec<Parameter>) -> Result<Vec<Part>, Error> {
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

/// A command's name, if it looks like one, while somebody may be told of it.
fn word(command: &str) -> Option<String> {
    let looks = command.len() <= COMMAND_NAME && command.bytes().all(|c| c.is_ascii_alphabetic());
    (is_traced() && looks).then(|| command.to_ascii_uppercase())
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
