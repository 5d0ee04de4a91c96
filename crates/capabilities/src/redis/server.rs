//! A server as the host itself uses it, for triggers and what they pass on: commands that wait for
//! messages, and channels that are listened to.

use std::time::Duration;

use dayfly_model::runtime_config::OutboundNetworking;
use redis::{Cmd, Pipeline, Value};
use thiserror::Error;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::client::{Client, Error, log_in};
use super::connection::{Broken, Connection, Reader};
use super::frame::FrameError;
use crate::stream::Stream;

/// How long a channel may be silent before the server is asked whether it is there, and how long it
/// then has to answer.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a server did not do what it was asked for.
#[derive(Debug, Clone, Error)]
#[error(transparent)]
pub struct ServerError(#[from] Error);

impl ServerError {
    /// The code that the server answered with, `NOGROUP` for example, if it answered with an error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code()
    }

    /// Whether the reply was more than is taken.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        use FrameError::{TooLong, TooManyParts};
        matches!(self.0, Error::Broken(Broken::Frame(TooLong(_) | TooManyParts(_))))
    }
}

/// A server that the operator or the app's manifest names. Who has a clone shares its connection.
#[derive(Clone)]
pub struct Server(Client);

/// A connection for commands that wait for something.
pub struct Waiting {
    client: Client,
    connection: Connection,
}

/// A connection that listens to channels.
pub struct Listener {
    frames: Reader<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
}

/// What is listened to.
pub enum Channels<'a> {
    /// One channel.
    Named(&'a str),
    /// All channels of a pattern.
    Like(&'a str),
}

/// A message of a channel.
pub struct Published {
    /// The channel.
    pub channel: String,
    /// What it carries.
    pub data: Vec<u8>,
}

impl Server {
    /// The server at an address, `redis://…`, unless nobody reaches that; nothing is connected yet.
    ///
    /// # Errors
    /// If the text is no address. It may hold a secret, so it is not in the error.
    pub fn new(address: &str, networking: &OutboundNetworking) -> Result<Self, String> {
        Client::of_manifest(address, networking).map(Self).map_err(|error| error.to_string())
    }

    /// Its host and port, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let address = self.0.address();
        format!("{}:{}", address.host, address.port)
    }

    /// The reply to a command that does not wait for anything.
    ///
    /// # Errors
    /// If there is none, or it is an error.
    pub async fn query(&self, command: &Cmd) -> Result<Value, ServerError> {
        Ok(self.0.query(command).await?)
    }

    /// The replies to commands that are sent together and do not wait for anything; nothing is sent if there
    /// are none.
    ///
    /// # Errors
    /// If they do not come.
    pub async fn query_all(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value, ServerError>>, ServerError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.0.query_all(commands).await?.into_iter().map(|reply| Ok(reply?)).collect())
    }

    /// A connection for commands that wait.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn waiting(&self) -> Result<Waiting, ServerError> {
        let connection = self.0.another(false).await?;
        Ok(Waiting { client: self.0.clone(), connection })
    }

    /// Listens to channels from now on.
    ///
    /// # Errors
    /// If the server does not let us.
    pub async fn listen(&self, channels: Channels<'_>) -> Result<Listener, ServerError> {
        let (stream, under_way, largest) = self.0.stream().await?;
        let (reader, writer) = tokio::io::split(stream);
        let mut listener = Listener { frames: Reader::new(reader, under_way, largest), writer };
        for command in log_in(self.0.address()) {
            if let Value::ServerError(error) = listener.ask(&command).await? {
                return Err(Error::Login(error.code().to_owned()).into());
            }
        }
        let (command, name) = match channels {
            Channels::Named(name) => ("SUBSCRIBE", name),
            Channels::Like(pattern) => ("PSUBSCRIBE", pattern),
        };
        if let Value::ServerError(error) = listener.ask(redis::cmd(command).arg(name)).await? {
            return Err(Error::Server(error).into());
        }
        Ok(listener)
    }
}

impl Waiting {
    /// The reply to a command, however long that takes up to `patience`.
    ///
    /// # Errors
    /// If there is none. The connection is of no use any more then.
    pub async fn query(&self, command: &Cmd, patience: Duration) -> Result<Value, ServerError> {
        let reply = self.client.query_on(&self.connection, command, false);
        Ok(timeout(patience, reply).await.unwrap_or(Err(Error::Timeout))?)
    }
}

impl Listener {
    async fn ask(&mut self, command: &Cmd) -> Result<Value, Error> {
        self.writer
            .write_all(&command.get_packed_command())
            .await
            .map_err(|_| Error::Broken(Broken::Closed))?;
        timeout(SILENCE, self.frame()).await.unwrap_or(Err(Error::Timeout))
    }

    async fn frame(&mut self) -> Result<Value, Error> {
        let reply = self.frames.next().await?;
        super::client::value(&reply)
    }

    /// The next message. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn next(&mut self) -> Result<Published, ServerError> {
        let mut asked = false;
        loop {
            match timeout(SILENCE, self.frame()).await {
                Ok(frame) => {
                    asked = false;
                    if let Some(message) = published(frame?) {
                        return Ok(message);
                    }
                }
                Err(_) if asked => return Err(Error::Timeout.into()),
                Err(_) => {
                    let ping = redis::cmd("PING").get_packed_command();
                    let sent = self.writer.write_all(&ping).await;
                    sent.map_err(|_| Error::Broken(Broken::Closed))?;
                    asked = true;
                }
            }
        }
    }
}

/// The message that a frame carries, if it carries one.
fn published(frame: Value) -> Option<Published> {
    let Value::Array(parts) = frame else { return None };
    let mut parts = parts.into_iter().map(|part| match part {
        Value::BulkString(bytes) => bytes,
        _ => Vec::new(),
    });
    match &*parts.next()? {
        b"message" => {}
        b"pmessage" => drop(parts.next()?),
        _ => return None,
    }
    let channel = String::from_utf8_lossy(&parts.next()?).into_owned();
    Some(Published { channel, data: parts.next()? })
}
