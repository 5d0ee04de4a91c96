//! A client of one server. Who has a clone of it shares its connection, which is made with the
//! first command, closed when it is not used, and made anew after it broke off.
//!
//! It is also a [`ConnectionLike`], so that the `redis` crate's commands, pipelines and scripts can
//! be asked of it: `redis::cmd("GET").arg(key).query_async(&mut client)`.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::outbound::OutboundHosts;
use dayfly_model::runtime_config::OutboundNetworking;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, ServerError, Value};
use thiserror::Error;
use tokio::time::timeout;

use super::address::{Address, InvalidAddress};
use super::connection::{Broken, Connection, Reply};
use super::frame::{FrameError, Largest};
use crate::dial::{DialError, Dialer};
use crate::stream::{OpenError, Opener, Stream};
use crate::tls::Clients;
use crate::under_way::UnderWay;

/// How long it may take to connect and to log in.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may take to answer a command that does not wait for anything.
const ANSWER: Duration = Duration::from_secs(10);

/// How much a client asks for and takes.
#[derive(Clone)]
pub(super) struct Bounds {
    /// The longest command, in bytes; of several that are sent together, all of them.
    pub(super) command_bytes: usize,
    /// The largest reply.
    pub(super) reply: Largest,
    /// What may be under way at once.
    pub(super) under_way: UnderWay,
}

/// Why a command failed.
#[derive(Debug, Clone, Error)]
pub(crate) enum Error {
    #[error("the server is not granted")]
    NotGranted,
    #[error("as many connections as may be are open")]
    TooManyConnections,
    #[error("failed to connect to the server: {0}")]
    Connect(String),
    #[error("the server refuses to be logged in to: {0}")]
    Login(String),
    #[error("the server did not answer in time")]
    Timeout,
    #[error("a command may have {} MiB", .0 >> 20)]
    CommandTooLong(usize),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("{}", said(.0))]
    Server(ServerError),
    #[error("the server's reply is not of the type that was asked for")]
    Type,
    #[error("`{0}` is not served: it makes a connection listen")]
    Listens(&'static str),
    #[error("`{0}` is not served: it changes what the server's replies look like")]
    Changes(&'static str),
}

impl Error {
    /// The code that the server answered with, if it answered with an error.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(error.code()),
            _ => None,
        }
    }

    /// Whether the guest was not granted what it asked for, or is over a limit.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::NotGranted | Self::TooManyConnections | Self::CommandTooLong(_))
    }
}

/// What a server said of an error, as it said it.
fn said(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(DialError::NotGranted | DialError::AddressRefused) => Self::NotGranted,
            OpenError::Dial(DialError::Limit) => Self::TooManyConnections,
            OpenError::Dial(DialError::ConnectTimeout) | OpenError::Timeout => Self::Timeout,
            error => Self::Connect(error.to_string()),
        }
    }
}

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Server(error) => return error.clone().into(),
            Error::Timeout => io::ErrorKind::TimedOut,
            Error::Broken(Broken::Closed) => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error).into()
    }
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    address: Address,
    opener: Opener,
    bounds: Bounds,
    connection: Mutex<Option<Arc<Connection>>>,
    /// Who connects holds it, and leaves behind when and why that failed.
    connecting: tokio::sync::Mutex<Option<(Instant, Error)>>,
}

impl Client {
    /// A client that connects as `opener` may.
    pub(super) fn new(address: Address, opener: Opener, bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            address,
            opener,
            bounds,
            connection: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }))
    }

    /// A client of a server that the operator names, whatever guests are granted. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// If the text is no address.
    pub(crate) fn of_operator(address: &str) -> Result<Self, InvalidAddress> {
        Self::of_manifest(address, &OutboundNetworking::default())
    }

    /// A client of a server that the app's manifest names, whatever guests are granted, unless nobody
    /// reaches it. Nothing is connected yet.
    ///
    /// # Errors
    /// If the text is no address.
    pub(super) fn of_manifest(
        address: &str,
        networking: &OutboundNetworking,
    ) -> Result<Self, InvalidAddress> {
        let address = Address::parse(address)?;
        let hosts = OutboundHosts::parse([address.origin()]).map_err(|_| InvalidAddress)?;
        let dialer = Dialer::of_operator(hosts).outside(networking);
        let bounds = Bounds {
            command_bytes: 40 << 20,
            reply: Largest { bytes: 40 << 20, parts: 1 << 20 },
            under_way: UnderWay::new(256 << 20),
        };
        Ok(Self::new(address, Opener::new(dialer, Clients::default()), bounds))
    }

    /// The server's address.
    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// Connects unless that is done.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.connection().await.map(drop)
    }

    /// Whether nobody else has a clone and nothing is open.
    pub(super) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.open().is_none()
    }

    /// The reply to one command; an error that the server answers with is one.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) async fn query(&self, command: &Cmd) -> Result<Value, Error> {
        let mut replies = self.request(command.get_packed_command(), 1).await?;
        single(replies.pop())
    }

    /// The reply to each of several commands that are sent together.
    ///
    /// # Errors
    /// If they do not come.
    pub(crate) async fn query_all(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let replies = self.request(commands.get_packed_pipeline(), commands.len()).await?;
        Ok(replies.into_iter().map(|reply| single(Some(reply))).collect())
    }

    /// The replies to commands that are sent together.
    async fn request(&self, commands: Vec<u8>, replies: usize) -> Result<Vec<Value>, Error> {
        let mut commands = self.bounded(commands)?;
        // A connection may be closed for idleness when it is just about to be used.
        for _ in 0..2 {
            let connection = self.connection().await?;
            match ask(&connection, commands, replies, Some(ANSWER)).await {
                Ok(replies) => return replies,
                Err(unsent) => commands = unsent,
            }
        }
        Err(Broken::Closed.into())
    }

    /// The reply to one command on a connection of the caller's own, for which it waits as long as
    /// it takes if there is no `patience`.
    pub(super) async fn query_on(
        &self,
        connection: &Connection,
        command: &Cmd,
        patience: bool,
    ) -> Result<Value, Error> {
        let command = self.bounded(command.get_packed_command())?;
        let replies = ask(connection, command, 1, patience.then_some(ANSWER)).await;
        single(replies.unwrap_or(Err(Broken::Closed.into()))?.pop())
    }

    fn bounded(&self, commands: Vec<u8>) -> Result<Vec<u8>, Error> {
        let most = self.0.bounds.command_bytes;
        if commands.len() > most { Err(Error::CommandTooLong(most)) } else { Ok(commands) }
    }

    /// The connection if it is open.
    fn open(&self) -> Option<Arc<Connection>> {
        let connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().filter(|connection| connection.is_open()).cloned()
    }

    /// The connection, made if it is not open.
    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let asked = Instant::now();
        let mut failed = self.0.connecting.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        // Those who wait together fail together.
        if let Some((at, error)) = &*failed
            && *at > asked
        {
            return Err(error.clone());
        }
        match self.another(true).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                let mut shared = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
                *shared = Some(connection.clone());
                *failed = None;
                Ok(connection)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// A connection that nobody shares; see [`Connection::new`].
    pub(super) async fn another(&self, idle: bool) -> Result<Connection, Error> {
        let address = &self.0.address;
        let connecting = async {
            let (stream, under_way, largest) = self.stream().await?;
            let connection = Connection::new(stream, under_way, largest, idle);
            begin(&connection, address).await?;
            Ok(connection)
        };
        timeout(CONNECT, connecting).await.unwrap_or(Err(Error::Timeout))
    }
    /// A stream to the server, and the bounds of what comes by it.
    pub(super) async fn stream(&self) -> Result<(Stream, UnderWay, Largest), Error> {
        let Shared { address, opener, bounds, .. } = &*self.0;
        let target = (address.scheme(), address.host.as_str(), address.port);
        let stream = opener.open(target, address.secure).await?;
        Ok((stream, bounds.under_way.clone(), bounds.reply))
    }
}

/// The commands by which a connection is logged in.
pub(super) fn log_in(address: &Address) -> Vec<Cmd> {
    let Address { username, password, database, .. } = address;
    let mut commands = Vec::new();
    if !password.is_empty() {
        let mut auth = redis::cmd("AUTH");
        if !username.is_empty() {
            auth.arg(username);
        }
        auth.arg(password);
        commands.push(auth);
    }
    if *database != 0 {
        let mut select = redis::cmd("SELECT");
        select.arg(*database);
        commands.push(select);
    }
    commands
}

async fn begin(connection: &Connection, address: &Address) -> Result<(), Error> {
    let mut commands = redis::pipe();
    for command in log_in(address) {
        commands.add_command(command);
    }
    if commands.is_empty() {
        return Ok(());
    }
    let replies = ask(connection, commands.get_packed_pipeline(), commands.len(), None).await;
    for reply in replies.unwrap_or(Err(Broken::Closed.into()))? {
        if let Value::ServerError(error) = reply {
            return Err(Error::Login(said(&error)));
        }
    }
    Ok(())
}

fn single(reply: Option<Value>) -> Result<Value, Error> {
    match reply.ok_or(Broken::Closed)? {
        Value::ServerError(error) => Err(Error::Server(error)),
        value => Ok(value),
    }
}

/// Asks a connection; gives the commands back if it takes none any more.
async fn ask(
    connection: &Connection,
    commands: Vec<u8>,
    replies: usize,
    patience: Option<Duration>,
) -> Result<Result<Vec<Value>, Error>, Vec<u8>> {
    let patience = patience.unwrap_or(Duration::MAX);
    match timeout(patience, connection.ask(commands, replies)).await {
        Ok(Ok(Ok(replies))) => Ok(replies.iter().map(value).collect()),
        Ok(Ok(Err(broken))) => Ok(Err(broken.into())),
        Ok(Err(unsent)) => Err(unsent),
        Err(_) => {
            // Its next reply may be the one that did not come.
            connection.give_up();
            Ok(Err(Error::Timeout))
        }
    }
}

pub(super) fn value(reply: &Reply) -> Result<Value, Error> {
    redis::parse_redis_value(&reply.bytes).map_err(|_| Broken::Frame(FrameError::Malformed).into())
}

impl ConnectionLike for Client {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { Ok(self.query(command).await?) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let replies = self.request(commands.get_packed_pipeline(), offset + count).await;
            let mut replies: Vec<Value> = RedisResult::Ok(replies?)?;
            Ok(replies.split_off(offset.min(replies.len())))
        })
    }

    fn get_db(&self) -> i64 {
        self.0.address.database.into()
    }
}
