//! The host's side of all versions of the interface. They share their types, but for the error of
//! the unversioned one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use futures_util::StreamExt as _;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, FutureReader, Linker, LinkerInstance, Resource, ResourceType, StreamReader,
};

use super::session::{self, SCHEME, Session};
use crate::rdbms::bounds::Left;
use crate::rdbms::pool::Lent;
use crate::rdbms::refused::{BUSY, Refused};
use crate::rdbms::types::{Column, DataType, Error, FirstError, Parameter, RowSet, Value};
use crate::{Grants, HostState, streamed};

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] =
    &["fermyon:spin/mysql", "fermyon:spin/mysql@2.0.0", "spin:mysql/mysql@3.0.0"];

/// What a guest holds of a session: each call is counted for its component.
#[derive(Clone)]
struct Connection {
    session: Arc<Lent<Session>>,
    grants: Arc<Grants>,
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer<'a, T> = Box<dyn Future<Output = wasmtime::Result<(T,)>> + Send + 'a>;
type Concurrent<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<(T,)>> + Send + 'a>>;
type Opened = Result<Resource<Connection>, Error>;
type Rows = RowSet<DataType, Value>;
type Call = (Resource<Connection>, String, Vec<Parameter>);

/// A streamed result: its columns, its rows, how they ended.
type Begun = (Vec<Column<DataType>>, StreamReader<Vec<Value>>, FutureReader<Result<(), Error>>);

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    first(&mut linker.instance("fermyon:spin/mysql")?)?;
    second(&mut linker.instance("fermyon:spin/mysql@2.0.0")?)?;
    if flavour.is_concurrent() {
        third(&mut linker.instance("spin:mysql/mysql@3.0.0")?)?;
    }
    Ok(())
}

fn first(mysql: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Call = (String, String, Vec<Parameter>);
    mysql.func_wrap_async(
        "query",
        |mut store: Store<'_>, (address, statement, parameters): Call| {
            let opening = opening(store.data_mut(), address);
            let answer: Answer<'_, Result<Rows, FirstError>> = Box::new(async move {
                let answer = async { opening.await?.query(&statement, parameters).await };
                Ok((answer.await.map_err(Into::into),))
            });
            answer
        },
    )?;
    mysql.func_wrap_async(
        "execute",
        |mut store: Store<'_>, (address, statement, parameters): Call| {
            let opening = opening(store.data_mut(), address);
            let answer: Answer<'_, Result<(), FirstError>> = Box::new(async move {
                let answer = async { opening.await?.execute(&statement, parameters).await };
                Ok((answer.await.map_err(Into::into),))
            });
            answer
        },
    )
}

fn resource(mysql: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    mysql.resource("connection", ResourceType::host::<Connection>(), |mut store, rep| {
        store.data_mut().table().delete(Resource::<Connection>::new_own(rep))?;
        Ok(())
    })
}

fn second(mysql: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource(mysql)?;
    mysql.func_wrap_async(
        "[static]connection.open",
        |mut store: Store<'_>, (address,): (String,)| {
            let opening = opening(store.data_mut(), address);
            let answer: Answer<'_, Opened> = Box::new(async move {
                let opened = opening.await;
                Ok((keep(store.data_mut(), opened),))
            });
            answer
        },
    )?;
    mysql.func_wrap_async(
        "[method]connection.query",
        |mut store: Store<'_>, (connection, statement, parameters): Call| {
            let answer: Answer<'_, Result<Rows, Error>> = Box::new(async move {
                let connection = held(store.data_mut(), &connection)?;
                Ok((connection.query(&statement, parameters).await,))
            });
            answer
        },
    )?;
    mysql.func_wrap_async(
        "[method]connection.execute",
        |mut store: Store<'_>, (connection, statement, parameters): Call| {
            let answer: Answer<'_, Result<(), Error>> = Box::new(async move {
                let connection = held(store.data_mut(), &connection)?;
                Ok((connection.execute(&statement, parameters).await,))
            });
            answer
        },
    )
}

fn third(mysql: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource(mysql)?;
    mysql.func_wrap_concurrent(
        "[static]connection.open",
        |accessor: &Accessor<HostState>, (address,): (String,)| {
            let answer: Concurrent<'_, Opened> = Box::pin(async move {
                let opening = accessor.with(|mut access| opening(access.get(), address));
                let opened = opening.await;
                Ok((accessor.with(|mut access| keep(access.get(), opened)),))
            });
            answer
        },
    )?;
    mysql.func_wrap_concurrent(
        "[method]connection.execute",
        |accessor: &Accessor<HostState>, (connection, statement, parameters): Call| {
            let answer: Concurrent<'_, Result<(), Error>> = Box::pin(async move {
                let connection = accessor.with(|mut access| held(access.get(), &connection))?;
                Ok((connection.execute(&statement, parameters).await,))
            });
            answer
        },
    )?;
    mysql.func_wrap_concurrent(
        "[method]connection.query",
        |accessor: &Accessor<HostState>, (connection, statement, parameters): Call| {
            let answer: Concurrent<'_, Result<Begun, Error>> = Box::pin(async move {
                let connection = accessor.with(|mut access| held(access.get(), &connection))?;
                let (columns, rows) = match connection.begin(&statement, parameters).await {
                    Ok(begun) => begun,
                    Err(error) => return Ok((Err(error),)),
                };
                let session = connection.session;
                let (rows, end) = accessor
                    .with(|access| streamed::stream(access, rows, move || session.finish()))?;
                Ok((Ok((columns, rows, end)),))
            });
            answer
        },
    )
}

/// Opens a session of the instance's component, when it is polled.
fn opening(
    state: &mut HostState,
    address: String,
) -> impl Future<Output = Result<Connection, Error>> + Send + use<> {
    let left = state.spend_outbound();
    let grants = state.shared_grants();
    let call = grants.call(Capability::Mysql, "open");
    async move {
        let opened = if left { grants.mysql.open(&address).await } else { Err(Refused::Spent) };
        match call.end_opening(opened, |session| session.place()) {
            Ok(session) => Ok(Connection { session: Arc::new(session), grants }),
            Err(refused) => Err(Error::ConnectionFailed(refused.explain(&grants, SCHEME))),
        }
    }
}

/// Makes a session the guest's.
fn keep(state: &mut HostState, opened: Result<Connection, Error>) -> Opened {
    // What is full is the instance's own table.
    state.table().push(opened?).map_err(|_| Error::ConnectionFailed(BUSY.to_owned()))
}

fn held(state: &mut HostState, connection: &Resource<Connection>) -> wasmtime::Result<Connection> {
    Ok(state.table().get(connection)?.clone())
}

impl Connection {
    /// Begins the call that runs a statement.
    fn call(&self, function: &'static str, statement: &str) -> crate::calls::Call {
        let (host, port) = self.session.place();
        self.grants.call(Capability::Mysql, function).of_statement(statement).at(host, port)
    }

    async fn query(&self, statement: &str, parameters: Vec<Parameter>) -> Result<Rows, Error> {
        let call = self.call("query", statement);
        call.end(query(&self.session, statement, parameters).await)
    }

    async fn execute(&self, statement: &str, parameters: Vec<Parameter>) -> Result<(), Error> {
        let call = self.call("execute", statement);
        call.end(execute(&self.session, statement, parameters).await)
    }

    /// Begins a query whose rows come one after the other: as a call, it is over when they begin.
    async fn begin(
        &self,
        statement: &str,
        parameters: Vec<Parameter>,
    ) -> Result<session::Begun, Error> {
        let call = self.call("query", statement);
        call.end(session::query(&self.session, statement, parameters).await)
    }
}

async fn query(
    session: &Arc<Lent<Session>>,
    statement: &str,
    parameters: Vec<Parameter>,
) -> Result<Rows, Error> {
    let (columns, mut incoming) = session::query(session, statement, parameters).await?;
    let mut left = Left::new(session.bounds());
    let mut rows = Vec::new();
    while let Some(row) = incoming.next().await {
        let (values, bytes) = finished(session, row)?;
        left.take(bytes).map_err(Error::Other)?;
        rows.push(values);
    }
    session.finish();
    Ok(RowSet { columns, rows })
}

async fn execute(
    session: &Arc<Lent<Session>>,
    statement: &str,
    parameters: Vec<Parameter>,
) -> Result<(), Error> {
    let (_, mut incoming) = session::query(session, statement, parameters).await?;
    while let Some(row) = incoming.next().await {
        finished(session, row)?;
    }
    session.finish();
    Ok(())
}

/// With an error, a result is through; a session that is broken is not kept, finished or not.
fn finished<T>(session: &Lent<Session>, row: Result<T, Error>) -> Result<T, Error> {
    if row.is_err() {
        session.finish();
    }
    row
}
