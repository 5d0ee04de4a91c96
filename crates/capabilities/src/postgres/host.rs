//! The host's side of all versions of the interface: one implementation, in the types of each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use futures_util::StreamExt as _;
use rustls::pki_types::CertificateDer;
use tokio_postgres::RowStream;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::session::{self, SCHEME, Session};
use super::value::{Error, Parameter};
use super::{earlier, value};
use crate::calls::Call;
use crate::rdbms::bounds::Left;
use crate::rdbms::pool::Lent;
use crate::rdbms::refused::{BUSY, Refused};
use crate::rdbms::trust;
use crate::rdbms::types::{self as second, Column, RowSet};
use crate::streamed::{self, Incoming, Streamed};
use crate::{Grants, HostState};

/// The interfaces that [`link`] defines.
/// The types are MySQL's, too: who imports them has been granted either by the same key.
pub(super) const INTERFACES: &[&str] = &[
    "fermyon:spin/postgres",
    "fermyon:spin/postgres@2.0.0",
    "fermyon:spin/rdbms-types",
    "fermyon:spin/rdbms-types@2.0.0",
    "spin:postgres/postgres@3.0.0",
    "spin:postgres/postgres@4.0.0",
    "spin:postgres/postgres@4.1.0",
    "spin:postgres/postgres@4.2.0",
];

/// The types of one version.
trait Version: 'static {
    type Parameter: Lift + Into<Parameter> + Send + 'static;
    type Value: Lift + Lower + From<value::Value> + Send + Sync + Unpin + 'static;
    type DataType: ComponentType + Lower + From<value::DataType> + Send + 'static;
    type Error: Lift + Lower + From<Error> + Send + Sync + 'static;
}

/// The unversioned interface.
struct First;

/// 2.0.0.
struct Second;

/// 3.0.0.
struct Third;

/// 4.0.0 and what was added later.
struct Fourth;

impl Version for First {
    type Parameter = second::Parameter;
    type Value = second::Value;
    type DataType = second::DataType;
    type Error = second::FirstError;
}

impl Version for Second {
    type Parameter = second::Parameter;
    type Value = second::Value;
    type DataType = second::DataType;
    type Error = second::Error;
}

impl Version for Third {
    type Parameter = earlier::Parameter;
    type Value = earlier::Value;
    type DataType = earlier::DataType;
    type Error = second::Error;
}

impl Version for Fourth {
    type Parameter = Parameter;
    type Value = value::Value;
    type DataType = value::DataType;
    type Error = Error;
}

/// What a guest holds of a session: each call is counted for its component.
#[derive(Clone)]
struct Connection {
    session: Arc<Lent<Session>>,
    grants: Arc<Grants>,
}

/// An address with what a guest said of it.
struct Builder {
    address: String,
    own: Vec<CertificateDer<'static>>,
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer<'a, T> = Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>;
type Concurrent<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;
type Opened<E> = (Result<Resource<Connection>, E>,);
type Rows<V> = RowSet<<V as Version>::DataType, <V as Version>::Value>;
type Statement<V> = (Resource<Connection>, String, Vec<<V as Version>::Parameter>);

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    first(&mut linker.instance("fermyon:spin/postgres")?)?;
    connection::<Second>(&mut linker.instance("fermyon:spin/postgres@2.0.0")?)?;
    connection::<Third>(&mut linker.instance("spin:postgres/postgres@3.0.0")?)?;
    // A later version of 4 has all that an earlier one has.
    let mut latest = linker.instance("spin:postgres/postgres@4.2.0")?;
    connection::<Fourth>(&mut latest)?;
    builder(&mut latest)?;
    if flavour.is_concurrent() { concurrent(&mut latest) } else { Ok(()) }
}

/// The functions of an interface without connections.
fn first(postgres: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Statement = (String, String, Vec<second::Parameter>);
    postgres.func_wrap_async(
        "query",
        |mut store: Store<'_>, (address, statement, parameters): Statement| {
            let opening = opening(store.data_mut(), address, Vec::new());
            let answer: Answer<'_, (Result<Rows<First>, second::FirstError>,)> =
                Box::new(async move {
                    let answer =
                        async { opening.await?.query::<First>(&statement, parameters).await };
                    Ok((answer.await.map_err(Into::into),))
                });
            answer
        },
    )?;
    postgres.func_wrap_async(
        "execute",
        |mut store: Store<'_>, (address, statement, parameters): Statement| {
            let opening = opening(store.data_mut(), address, Vec::new());
            let answer: Answer<'_, (Result<u64, second::FirstError>,)> = Box::new(async move {
                let answer =
                    async { opening.await?.execute::<First>(&statement, parameters).await };
                Ok((answer.await.map_err(Into::into),))
            });
            answer
        },
    )
}

/// The resource and its functions, but for those that are asynchronous.
fn connection<V: Version>(postgres: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    postgres.resource("connection", ResourceType::host::<Connection>(), |mut store, rep| {
        store.data_mut().table().delete(Resource::<Connection>::new_own(rep))?;
        Ok(())
    })?;
    postgres.func_wrap_async(
        "[static]connection.open",
        |mut store: Store<'_>, (address,): (String,)| {
            let opening = opening(store.data_mut(), address, Vec::new());
            let answer: Answer<'_, Opened<V::Error>> = Box::new(async move {
                let opened = opening.await;
                Ok((keep(store.data_mut(), opened),))
            });
            answer
        },
    )?;
    postgres.func_wrap_async(
        "[method]connection.query",
        |mut store: Store<'_>, (connection, statement, parameters): Statement<V>| {
            let answer: Answer<'_, (Result<Rows<V>, V::Error>,)> = Box::new(async move {
                let connection = held(store.data_mut(), &connection)?;
                let answer = connection.query::<V>(&statement, parameters).await;
                Ok((answer.map_err(Into::into),))
            });
            answer
        },
    )?;
    postgres.func_wrap_async(
        "[method]connection.execute",
        |mut store: Store<'_>, (connection, statement, parameters): Statement<V>| {
            let answer: Answer<'_, (Result<u64, V::Error>,)> = Box::new(async move {
                let connection = held(store.data_mut(), &connection)?;
                let answer = connection.execute::<V>(&statement, parameters).await;
                Ok((answer.map_err(Into::into),))
            });
            answer
        },
    )
}

/// What 4.1.0 added.
fn builder(postgres: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    postgres.resource(
        "connection-builder",
        ResourceType::host::<Builder>(),
        |mut store, rep| {
            store.data_mut().table().delete(Resource::<Builder>::new_own(rep))?;
            Ok(())
        },
    )?;
    postgres.func_wrap(
        "[constructor]connection-builder",
        |mut store: Store<'_>, (address,): (String,)| {
            let builder = Builder { address, own: Vec::new() };
            Ok((store.data_mut().table().push(builder)?,))
        },
    )?;
    postgres.func_wrap(
        "[method]connection-builder.set-ca-root",
        |mut store: Store<'_>, (builder, certificate): (Resource<Builder>, String)| {
            let builder = store.data_mut().table().get_mut(&builder)?;
            let set = trust::authorities(certificate.as_bytes()).map(|own| builder.own = own);
            let wrong = |error| Error::Other(format!("the certificate is malformed: {error}"));
            Ok((set.map_err(wrong),))
        },
    )?;
    postgres.func_wrap_async(
        "[method]connection-builder.build",
        |mut store: Store<'_>, (builder,): (Resource<Builder>,)| {
            let answer: Answer<'_, Opened<Error>> = Box::new(async move {
                let opening = building(store.data_mut(), &builder)?;
                let opened = opening.await;
                Ok((keep(store.data_mut(), opened),))
            });
            answer
        },
    )
}

/// What 4.2.0 added.
fn concurrent(postgres: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    postgres.func_wrap_concurrent(
        "[static]connection.open-async",
        |accessor: &Accessor<HostState>, (address,): (String,)| {
            let answer: Concurrent<'_, Opened<Error>> = Box::pin(async move {
                let opening =
                    accessor.with(|mut access| opening(access.get(), address, Vec::new()));
                let opened = opening.await;
                Ok((accessor.with(|mut access| keep(access.get(), opened)),))
            });
            answer
        },
    )?;
    postgres.func_wrap_concurrent(
        "[method]connection-builder.build-async",
        |accessor: &Accessor<HostState>, (builder,): (Resource<Builder>,)| {
            let answer: Concurrent<'_, Opened<Error>> = Box::pin(async move {
                let opening = accessor.with(|mut access| building(access.get(), &builder))?;
                let opened = opening.await;
                Ok((accessor.with(|mut access| keep(access.get(), opened)),))
            });
            answer
        },
    )?;
    postgres.func_wrap_concurrent(
        "[method]connection.execute-async",
        |accessor: &Accessor<HostState>, (connection, statement, parameters): Statement<Fourth>| {
            let answer: Concurrent<'_, (Result<u64, Error>,)> = Box::pin(async move {
                let connection = accessor.with(|mut access| held(access.get(), &connection))?;
                Ok((connection.execute::<Fourth>(&statement, parameters).await,))
            });
            answer
        },
    )?;
    postgres.func_wrap_concurrent(
        "[method]connection.query-async",
        |accessor: &Accessor<HostState>, (connection, statement, parameters): Statement<Fourth>| {
            let answer: Concurrent<'_, (Result<Begun, Error>,)> = Box::pin(async move {
                let connection = accessor.with(|mut access| held(access.get(), &connection))?;
                Ok((stream(accessor, connection, &statement, parameters).await?,))
            });
            answer
        },
    )
}

/// A streamed result: its columns, its rows, how they ended.
type Begun = (
    Vec<Column<value::DataType>>,
    wasmtime::component::StreamReader<Vec<value::Value>>,
    wasmtime::component::FutureReader<Result<(), Error>>,
);

async fn stream(
    accessor: &Accessor<HostState>,
    connection: Connection,
    statement: &str,
    parameters: Vec<Parameter>,
) -> wasmtime::Result<Result<Begun, Error>> {
    // As a call, it is over when its rows begin.
    let call = connection.call("query", statement);
    let session = connection.session;
    let (columns, rows) = match call.end(begin::<Fourth>(&session, statement, parameters).await) {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    let most = accessor.with(|mut access| access.get().grants().postgres.bounds.bytes);
    let rows: Incoming<Vec<value::Value>, Error> = Box::pin(rows.map(move |row| {
        let row = row.map_err(|error| session::failed(error).0)?;
        session::values(&row, most)
    }));
    let (rows, end): Streamed<Vec<value::Value>, Error> =
        accessor.with(|access| streamed::stream(access, rows, move || session.finish()))?;
    Ok(Ok((columns, rows, end)))
}

/// Opens a session of the instance's component, when it is polled.
fn opening(
    state: &mut HostState,
    address: String,
    own: Vec<CertificateDer<'static>>,
) -> impl Future<Output = Result<Connection, Error>> + Send + use<> {
    let left = state.spend_outbound();
    let grants = state.shared_grants();
    let call = grants.call(Capability::Postgres, "open");
    async move {
        let opened = match left {
            true => grants.postgres.open(&address, &own).await,
            false => Err(Refused::Spent),
        };
        match call.end_opening(opened, |session| session.place()) {
            Ok(session) => Ok(Connection { session: Arc::new(session), grants }),
            Err(refused) => Err(Error::ConnectionFailed(refused.explain(&grants, SCHEME))),
        }
    }
}

fn building(
    state: &mut HostState,
    builder: &Resource<Builder>,
) -> wasmtime::Result<impl Future<Output = Result<Connection, Error>> + Send + use<>> {
    let Builder { address, own } = state.table().get(builder)?;
    let (address, own) = (address.clone(), own.clone());
    Ok(opening(state, address, own))
}

/// Makes a session the guest's.
fn keep<E: From<Error>>(
    state: &mut HostState,
    opened: Result<Connection, Error>,
) -> Result<Resource<Connection>, E> {
    // What is full is the instance's own table.
    Ok(state.table().push(opened?).map_err(|_| Error::ConnectionFailed(BUSY.to_owned()))?)
}

fn held(state: &mut HostState, connection: &Resource<Connection>) -> wasmtime::Result<Connection> {
    Ok(state.table().get(connection)?.clone())
}

impl Connection {
    /// Begins the call that runs a statement.
    fn call(&self, function: &'static str, statement: &str) -> Call {
        let (host, port) = self.session.place();
        self.grants.call(Capability::Postgres, function).of_statement(statement).at(host, port)
    }

    async fn query<V: Version>(
        &self,
        statement: &str,
        parameters: Vec<V::Parameter>,
    ) -> Result<Rows<V>, Error> {
        let call = self.call("query", statement);
        call.end(query::<V>(&self.session, statement, parameters).await)
    }

    async fn execute<V: Version>(
        &self,
        statement: &str,
        parameters: Vec<V::Parameter>,
    ) -> Result<u64, Error> {
        let call = self.call("execute", statement);
        call.end(execute::<V>(&self.session, statement, parameters).await)
    }
}

/// Begins a query. It is to be finished when its last row has come.
async fn begin<V: Version>(
    session: &Lent<Session>,
    statement: &str,
    parameters: Vec<V::Parameter>,
) -> Result<(Vec<Column<value::DataType>>, RowStream), Error> {
    let parameters = parameters.into_iter().map(Into::into).collect();
    session.begin();
    session.query(statement, parameters).await.map_err(|(error, fit)| {
        if fit {
            session.finish();
        }
        error
    })
}

async fn query<V: Version>(
    session: &Lent<Session>,
    statement: &str,
    parameters: Vec<V::Parameter>,
) -> Result<Rows<V>, Error> {
    let (columns, incoming) = begin::<V>(session, statement, parameters).await?;
    let mut incoming = std::pin::pin!(incoming);
    let bounds = session.bounds();
    let mut left = Left::new(bounds);
    let mut rows = Vec::new();
    while let Some(row) = incoming.next().await {
        let row = row.map_err(|error| failed(session, error))?;
        let (values, bytes) = session::values(&row, bounds.bytes)?;
        left.take(bytes).map_err(Error::Other)?;
        rows.push(values.into_iter().map(Into::into).collect());
    }
    session.finish();
    let columns = columns
        .into_iter()
        .map(|Column { name, data_type }| Column { name, data_type: data_type.into() });
    Ok(RowSet { columns: columns.collect(), rows })
}

async fn execute<V: Version>(
    session: &Lent<Session>,
    statement: &str,
    parameters: Vec<V::Parameter>,
) -> Result<u64, Error> {
    let (_, incoming) = begin::<V>(session, statement, parameters).await?;
    let mut incoming = std::pin::pin!(incoming);
    while let Some(row) = incoming.next().await {
        row.map_err(|error| failed(session, error))?;
    }
    session.finish();
    Ok(incoming.rows_affected().unwrap_or(0))
}

fn failed(session: &Lent<Session>, error: tokio_postgres::Error) -> Error {
    let (error, fit) = session::failed(error);
    if fit {
        session.finish();
    }
    error
}
