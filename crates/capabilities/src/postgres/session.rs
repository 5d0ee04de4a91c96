//! One session with a PostgreSQL server: how it begins, what is asked in it, how it ends.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{CancelToken, Client, Row, RowStream, SimpleQueryMessage, Statement};

use super::address::{Address, Target};
use super::decode::{self, Budget};
use super::encode::{Encoded, encode};
use super::secure::Secure;
use super::value::{DataType, DbError, Error, Parameter, QueryError, Value};
use super::watched::Meter;
use crate::dial::{DialError, Dialer};
use crate::rdbms::bounds::Bounds;
use crate::rdbms::types::Column;
use crate::rdbms::{mentions, pool};

/// The scheme that grants such a connection.
pub(super) const SCHEME: &str = "postgres";

/// How long it may take to tell a server that nobody waits for its answer.
const CANCEL: Duration = Duration::from_secs(5);

/// How often a server may have to be asked about the types in one statement, and what it may say.
/// Types may be made of types; the library goes from one to the next as deep as the server says.
const ASKED: u32 = 256;
const TOLD_BYTES: u64 = 16 << 20;

/// Forgets what was done in a session, as `DISCARD ALL` does, but for the library's own statements;
/// then asks whether there are any of the guest's.
const FORGET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; \
    UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; \
    DISCARD SEQUENCES; SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LIMIT 1";

/// Words of statements that may take the library's own prepared statements away.
const SPOILING: [&[u8]; 2] = [b"deallocate", b"discard"];

/// Why a session did not begin.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the server was not ready in time")]
    Timeout,
    #[error("{}", explained(.0))]
    Server(tokio_postgres::Error),
    #[error("the server is not of the kind that `target_session_attrs` asks for")]
    Attributes,
}

/// A session.
pub(super) struct Session {
    client: Client,
    driver: AbortHandle,
    dialer: Dialer,
    target: Target,
    secure: Secure,
    bounds: Bounds,
    /// Whether something was done that cannot be undone.
    spoiled: AtomicBool,
}

impl Session {
    /// Begins a session at one of the places that an address names.
    pub(super) async fn begin(
        dialer: Dialer,
        address: &Address,
        target: &Target,
        secure: Secure,
        bounds: Bounds,
    ) -> Result<Self, ConnectError> {
        let begun = async {
            let connection = dialer.connect(SCHEME, &target.host, target.port).await?;
            let connected = address.config.connect_raw(connection, secure.clone()).await;
            let (client, mut connection) = connected.map_err(ConnectError::Server)?;
            let driver = tokio::spawn(async move {
                // Notices and notifications are for nobody; how it ends, its client is told.
                while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
            });
            let driver = driver.abort_handle();
            let target = target.clone();
            let spoiled = AtomicBool::new(false);
            let dialer = dialer.clone();
            let session = Self { client, driver, dialer, target, secure, bounds, spoiled };
            session.fits(address.writable).await?;
            Ok(session)
        };
        timeout(address.timeout, begun).await.unwrap_or(Err(ConnectError::Timeout))
    }

    async fn fits(&self, writable: Option<bool>) -> Result<(), ConnectError> {
        let Some(writable) = writable else { return Ok(()) };
        let answer = self.ask("SHOW transaction_read_only").await.map_err(ConnectError::Server)?;
        let expected = if writable { "off" } else { "on" };
        if answer.as_deref() == Some(expected) { Ok(()) } else { Err(ConnectError::Attributes) }
    }

    /// The first value of the last row that statements of ours give.
    async fn ask(&self, statements: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let mut answers = pin!(self.client.simple_query_raw(statements).await?);
        let mut last = None;
        while let Some(answer) = answers.next().await {
            match answer? {
                SimpleQueryMessage::Row(row) => {
                    last = row.try_get(0).ok().flatten().map(str::to_owned);
                }
                SimpleQueryMessage::RowDescription(_) => last = None,
                _ => {}
            }
        }
        Ok(last)
    }

    /// The host and the port of the server.
    pub(super) fn place(&self) -> (&str, u16) {
        (&self.target.host, self.target.port)
    }

    /// The bounds of what it gives.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Begins a query: its columns, and its rows as they come.
    ///
    /// # Errors
    /// With whether the session is still fit for use.
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: Vec<Parameter>,
    ) -> Result<(Vec<Column<DataType>>, RowStream), (Error, bool)> {
        if SPOILING.iter().any(|word| mentions(statement, word)) {
            self.spoiled.store(true, Relaxed);
        }
        let prepared = self.prepare(statement).await?;
        let parameters = fitted(&prepared, parameters).map_err(|error| (error, true))?;
        let rows = self.client.query_raw(&prepared, parameters).await.map_err(failed)?;
        let columns = prepared.columns().iter().map(|column| Column {
            name: column.name().to_owned(),
            data_type: decode::data_type(column.type_()),
        });
        Ok((columns.collect(), rows))
    }

    async fn prepare(&self, statement: &str) -> Result<Statement, (Error, bool)> {
        let meter = &self.secure.meter;
        let ready = meter.ready();
        let mut preparing = pin!(self.client.prepare(statement));
        let prepared = poll_fn(|cx| {
            let asked = meter.ready().wrapping_sub(ready);
            // Before it is ready once, the rest of a result that the guest left may come.
            if asked > ASKED || (asked > 0 && meter.unsettled() > TOLD_BYTES) {
                let text = "the types in the statement are too many, or made of too many others";
                return Poll::Ready(Err((query_failed(text.to_owned()), false)));
            }
            preparing.as_mut().poll(cx).map_err(failed)
        });
        prepared.await
    }
}

impl pool::Session for Session {
    fn is_alive(&self) -> bool {
        !self.client.is_closed() && !self.spoiled.load(Relaxed)
    }

    async fn reset(&self) -> bool {
        // One after the other on the wire, without waiting in between. The second would not be
        // allowed in one transaction with the first.
        let (rolled_back, left) =
            tokio::join!(self.client.batch_execute("ROLLBACK"), self.ask(FORGET));
        rolled_back.is_ok() && matches!(left, Ok(None))
    }

    fn abort(self) {
        let is_busy = !self.client.is_closed();
        // The connection is closed at once, and others may have its place.
        self.driver.abort();
        if let (true, Ok(runtime)) = (is_busy, Handle::try_current()) {
            let (dialer, target, secure) = (self.dialer, self.target, self.secure);
            let token = self.client.cancel_token();
            runtime.spawn(timeout(CANCEL, cancel(dialer, target, secure, token)));
        }
    }
}

/// Tells the server that nobody waits for its answer; it would not notice before it has one.
async fn cancel(dialer: Dialer, target: Target, secure: Secure, token: CancelToken) {
    let secure = Secure { meter: Arc::new(Meter::default()), ..secure };
    if let Ok(connection) = dialer.connect(SCHEME, &target.host, target.port).await
        && let Err(error) = token.cancel_query_raw(connection, secure).await
    {
        tracing::debug!(error = explained(&error), "failed to cancel a query");
    }
}

/// The parameters as a statement asks for them.
fn fitted(statement: &Statement, parameters: Vec<Parameter>) -> Result<Vec<Encoded>, Error> {
    let types = statement.params();
    if types.len() != parameters.len() {
        return Err(Error::BadParameter(format!(
            "the statement has {} parameters, and {} were given",
            types.len(),
            parameters.len()
        )));
    }
    let parameters = parameters.into_iter().zip(types).enumerate();
    let encoded = parameters.map(|(index, (parameter, ty))| {
        encode(parameter, ty).map_err(|error| {
            Error::BadParameter(format!("parameter ${} is wrong: {error}", index + 1))
        })
    });
    encoded.collect()
}

/// A value's bytes, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &Type,
        bytes: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row's values and how many bytes they take.
///
/// # Errors
/// If those are more than `most`.
pub(super) fn values(row: &Row, most: usize) -> Result<(Vec<Value>, usize), Error> {
    let mut budget = Budget::new(most);
    let mut values = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let bytes: Option<Raw<'_>> = row.try_get(index).map_err(|error| failed(error).0)?;
        values.push(decode::value(column.type_(), bytes.map(|raw| raw.0), &mut budget));
    }
    match budget.left() {
        Some(left) => Ok((values, most - left)),
        None => Err(Error::Other(format!("a row is larger than {most} bytes"))),
    }
}

/// What a guest is told of a failed query, and whether the session is fit for the next: it is if
/// the server is who refused.
pub(super) fn failed(error: tokio_postgres::Error) -> (Error, bool) {
    let as_text = explained(&error);
    let Some(db) = error.as_db_error() else {
        return (query_failed(as_text), false);
    };
    let error = QueryError::Db(DbError {
        as_text,
        severity: db.severity().to_owned(),
        code: db.code().code().to_owned(),
        message: db.message().to_owned(),
        detail: db.detail().map(str::to_owned),
        extras: extras(db),
    });
    (Error::QueryFailed(error), true)
}

pub(super) fn query_failed(text: String) -> Error {
    Error::QueryFailed(QueryError::Text(text))
}

fn extras(error: &tokio_postgres::error::DbError) -> Vec<(String, String)> {
    let line = error.line().map(|line| line.to_string());
    let extras = [
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("routine", error.routine()),
        ("hint", error.hint()),
        ("table", error.table()),
        ("datatype", error.datatype()),
        ("schema", error.schema()),
        ("file", error.file()),
        ("line", line.as_deref()),
        ("where_", error.where_()),
    ];
    let extras = extras.into_iter();
    extras.filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned()))).collect()
}

/// An error in words: the server's own, or the library's with its causes.
fn explained(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}: {}{detail} [{}]", db.severity(), db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = source.source();
    }
    text
}
