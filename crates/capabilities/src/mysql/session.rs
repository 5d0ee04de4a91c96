//! One session with a MySQL server: how it begins, what is asked in it, how it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::stream;
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::address::Address;
use super::handshake::{self, Agreed, DEPRECATE_EOF, Refusal};
use super::result::{self, Answer, DESCRIPTION, Described, Prepared, Row};
use super::wire::{Wire, malformed};
use crate::dial::Dialer;
use crate::rdbms::bounds::Bounds;
use crate::rdbms::mentions;
use crate::rdbms::pool::{self, Lent};
use crate::rdbms::refused::Refused;
use crate::rdbms::types::{Column, DataType, Error, Parameter, Value};
use crate::streamed::Incoming;

/// The scheme that grants such a connection.
pub(super) const SCHEME: &str = "mysql";

/// How long a connection may take to be ready.
const CONNECT: Duration = Duration::from_secs(10);

/// How long it may take to tell a server that nobody waits for its answer.
const KILL: Duration = Duration::from_secs(5);

/// What a server says of a statement that it does not prepare.
const UNPREPARABLE: &str = "ERROR 1295 ";

/// A session.
pub(super) struct Session {
    wire: Arc<Mutex<Wire>>,
    agreed: Arc<Agreed>,
    place: Place,
    bounds: Bounds,
    /// Whether a statement runs.
    running: AtomicBool,
    /// Whether what came last could not be understood, or nothing came.
    broken: AtomicBool,
    /// Whether a role may have been chosen, which MariaDB keeps when it renews a session.
    spoiled: AtomicBool,
}

/// Where a session is, for another one there.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) dialer: Dialer,
    pub(super) address: Arc<Address>,
    pub(super) client: Option<Arc<ClientConfig>>,
}

/// What was left of a statement: an error of the server, which is ready for the next one, or one of
/// the connection.
enum Failed {
    Server(Error),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Place {
    async fn begin(&self, most: usize) -> Result<(Wire, Agreed), Refused> {
        let Address { host, port, .. } = &*self.address;
        let connection = self.dialer.connect(SCHEME, host, *port).await?;
        let wire = Wire::new(Either::Left(connection), most);
        let begun = handshake::begin(wire, &self.address, self.client.clone(), most).await;
        begun.map_err(|refusal| match refusal {
            Refusal::Server(text) => Refused::Failed(text),
            Refusal::Io(error) => Refused::Failed(error.to_string()),
        })
    }

    /// Ends another session at the server, with what it does.
    async fn kill(self, connection: u32, most: usize) {
        const QUERY: u8 = 0x03;
        let Ok((mut wire, _)) = self.begin(most).await else { return };
        let statement = format!("KILL {connection}");
        let killed = wire.command(&[&[QUERY], statement.as_bytes()].concat()).await;
        if killed.is_ok() {
            // It has been done when there is an answer.
            let _ = wire.read().await;
        }
    }
}

impl Session {
    /// Begins a session.
    pub(super) async fn begin(place: Place, bounds: Bounds) -> Result<Self, Refused> {
        let begun = timeout(CONNECT, place.begin(bounds.bytes)).await;
        let late = || Refused::Failed("the server was not ready in time".to_owned());
        let (wire, agreed) = begun.map_err(|_| late())??;
        Ok(Self {
            wire: Arc::new(Mutex::new(wire)),
            agreed: Arc::new(agreed),
            place,
            bounds,
            running: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            spoiled: AtomicBool::new(false),
        })
    }

    /// The host and the port of the server.
    pub(super) fn place(&self) -> (&str, u16) {
        let Address { host, port, .. } = &*self.place.address;
        (host, *port)
    }

    /// The bounds of what it gives.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether lists of columns end with a packet of their own.
    fn has_ends(&self) -> bool {
        self.agreed.capabilities & DEPRECATE_EOF == 0
    }
}

impl pool::Session for Session {
    fn is_alive(&self) -> bool {
        let is_sound = !self.broken.load(Relaxed) && !self.spoiled.load(Relaxed);
        is_sound && self.wire.try_lock().is_ok_and(|mut wire| wire.is_quiet())
    }

    async fn reset(&self) -> bool {
        let mut wire = self.wire.lock().await;
        handshake::renew(&mut wire, &self.place.address, &self.agreed).await.is_ok()
    }

    fn abort(self) {
        // Only what surely runs is killed: a server that came back counts from one again.
        let is_running = self.running.load(Relaxed) && !self.broken.load(Relaxed);
        let is_running = is_running && self.wire.try_lock().is_ok_and(|mut wire| wire.is_open());
        let Self { wire, agreed, place, bounds, .. } = self;
        // The connection is closed at once, and others may have its place.
        drop(wire);
        if let (true, Ok(runtime)) = (is_running, Handle::try_current()) {
            runtime.spawn(timeout(KILL, place.kill(agreed.connection, bounds.bytes)));
        }
    }
}

/// A result: its columns, and its rows as they come.
pub(super) type Begun = (Vec<Column<DataType>>, Incoming<Vec<Value>, Error>);

/// Runs a statement. The session is to be finished when its last row has come.
pub(super) async fn query(
    session: &Arc<Lent<Session>>,
    statement: &str,
    parameters: Vec<Parameter>,
) -> Result<Begun, Error> {
    session.begin();
    let wire = session.wire.clone().lock_owned().await;
    if session.running.swap(true, Relaxed) {
        // A stream of rows was dropped, perhaps in the middle of a packet.
        let text = "the connection was left in the middle of a result";
        return Err(Error::QueryFailed(text.to_owned()));
    }
    if mentions(statement, b"set") && mentions(statement, b"role") {
        session.spoiled.store(true, Relaxed);
    }
    let mut running = Running { wire, session: session.clone(), statement: None, more: false };
    match running.run(statement, &parameters).await {
        Ok(columns) => {
            let names = columns.iter().map(Described::column).collect();
            let rows = stream::unfold(Some((running, columns)), |state| async move {
                let (mut running, columns) = state?;
                match running.next(&columns).await {
                    Ok(Some(row)) => Some((Ok(row), Some((running, columns)))),
                    Ok(None) => None,
                    Err(failed) => Some((Err(running.explain(failed)), None)),
                }
            });
            Ok((names, Box::pin(rows)))
        }
        Err(failed) => {
            let error = running.explain(failed);
            // A session that is broken is not kept, finished or not.
            session.finish();
            Err(error)
        }
    }
}

/// A statement that runs; nobody else has the connection meanwhile.
struct Running {
    wire: OwnedMutexGuard<Wire>,
    session: Arc<Lent<Session>>,
    /// What is to be closed at the end.
    statement: Option<u32>,
    /// Whether another result follows.
    more: bool,
}

impl Running {
    fn explain(&self, failed: Failed) -> Error {
        match failed {
            Failed::Server(error) => {
                self.session.running.store(false, Relaxed);
                error
            }
            Failed::Io(error) => {
                self.session.broken.store(true, Relaxed);
                Error::QueryFailed(error.to_string())
            }
        }
    }

    /// Runs a statement up to its first row, and gives back its columns; none if it gives no rows.
    async fn run(
        &mut self,
        statement: &str,
        parameters: &[Parameter],
    ) -> Result<Vec<Described>, Failed> {
        const QUERY: u8 = 0x03;
        match self.prepare(statement).await {
            Ok(prepared) if usize::from(prepared.parameters) == parameters.len() => {
                self.wire.command(&result::execute(prepared.id, parameters)).await?;
                self.first(true).await
            }
            Ok(prepared) => {
                self.close().await?;
                Err(Failed::Server(Error::BadParameter(format!(
                    "the statement has {} parameters, and {} were given",
                    prepared.parameters,
                    parameters.len()
                ))))
            }
            // Some statements work in no other way.
            Err(Failed::Server(Error::QueryFailed(text)))
                if text.starts_with(UNPREPARABLE) && parameters.is_empty() =>
            {
                self.wire.command(&[&[QUERY], statement.as_bytes()].concat()).await?;
                self.first(false).await
            }
            Err(failed) => Err(failed),
        }
    }

    async fn prepare(&mut self, statement: &str) -> Result<Prepared, Failed> {
        const PREPARE: u8 = 0x16;
        self.wire.command(&[&[PREPARE], statement.as_bytes()].concat()).await?;
        let packet = self.wire.read().await?;
        let prepared = match result::answer(&packet) {
            Answer::Ok(_) => result::prepared(&packet)?,
            Answer::Error(text) => return Err(Failed::Server(Error::QueryFailed(text))),
            _ => return Err(malformed("it does not prepare a statement").into()),
        };
        // Described again when there is a result.
        for count in [prepared.parameters, prepared.columns] {
            for _ in 0..count {
                self.wire.read().await?;
            }
            if count > 0 {
                self.list_ends().await?;
            }
        }
        self.statement = Some(prepared.id);
        Ok(prepared)
    }

    /// Where lists of columns end with a packet of their own, that one.
    async fn list_ends(&mut self) -> io::Result<()> {
        if self.session.has_ends() {
            let packet = self.wire.read().await?;
            if !matches!(result::answer(&packet), Answer::End(_)) {
                return Err(malformed("a list does not end"));
            }
        }
        Ok(())
    }

    /// The columns of the first result that has rows.
    async fn first(&mut self, is_binary: bool) -> Result<Vec<Described>, Failed> {
        loop {
            match self.result().await? {
                Some(columns) if is_binary => return Ok(columns),
                Some(_) => return Err(malformed("rows come as texts").into()),
                None => {}
            }
            if !self.more {
                return Ok(Vec::new());
            }
        }
    }

    /// The next row and its bytes.
    async fn next(&mut self, columns: &[Described]) -> Result<Option<(Vec<Value>, usize)>, Failed> {
        if !columns.is_empty() {
            let packet = self.wire.read().await?;
            match result::row(&packet, columns)? {
                Row::Values(values, bytes) => return Ok(Some((values, bytes))),
                Row::Error(text) => return Err(self.server(text).await),
                Row::End(more) => self.more = more,
            }
        }
        // Results after the first are for nobody.
        while self.more {
            if let Some(columns) = self.result().await? {
                self.skip(&columns).await?;
            }
        }
        self.close().await?;
        self.session.running.store(false, Relaxed);
        Ok(None)
    }

    /// The rest of a result.
    async fn skip(&mut self, columns: &[Described]) -> Result<(), Failed> {
        loop {
            let packet = self.wire.read().await?;
            match result::row(&packet, columns)? {
                Row::Values(..) => {}
                Row::Error(text) => return Err(self.server(text).await),
                Row::End(more) => {
                    self.more = more;
                    return Ok(());
                }
            }
        }
    }

    /// The beginning of a result: its columns, or none.
    async fn result(&mut self) -> Result<Option<Vec<Described>>, Failed> {
        self.more = false;
        let packet = self.wire.read().await?;
        let count = match result::answer(&packet) {
            Answer::Ok(more) => {
                self.more = more;
                return Ok(None);
            }
            Answer::Error(text) => return Err(self.server(text).await),
            Answer::File => return Err(malformed("it asks for a file").into()),
            Answer::End(_) | Answer::Other(_) => result::columns(&packet)?,
        };
        let mut columns = Vec::with_capacity(count);
        let mut size = 0;
        for _ in 0..count {
            let packet = self.wire.read().await?;
            size += packet.len();
            if size > DESCRIPTION {
                return Err(malformed("the columns' names are too long").into());
            }
            columns.push(result::column(&packet)?);
        }
        self.list_ends().await?;
        Ok(Some(columns))
    }

    /// An error of the server's, after which it is ready for another statement.
    async fn server(&mut self, text: String) -> Failed {
        match self.close().await {
            Ok(()) => Failed::Server(Error::QueryFailed(text)),
            Err(error) => Failed::Io(error),
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        const CLOSE: u8 = 0x19;
        let Some(statement) = self.statement.take() else { return Ok(()) };
        self.wire.command(&[&[CLOSE][..], &statement.to_le_bytes()].concat()).await
    }
}
