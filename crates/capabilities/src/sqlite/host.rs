//! The host's side of the interface: one implementation for all of its versions. `@2.0.0`, `@3.0.0`
//! and `@3.1.0` have a resource, and each more functions than the one before; the unversioned one
//! has numbers in its place.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, FutureReader, Linker, LinkerInstance, Resource, ResourceType, StreamReader,
};

use super::handle::{Connection, Streamed};
use super::value::{Error, QueryResult, Row, Value};
use crate::HostState;
use crate::refusals::{Refusal, shortened};

/// The interfaces that [`link`] defines. `@3.1.0` stands for `@3.0.0`, too: its functions are the
/// same, and there are more.
pub(super) const INTERFACES: &[&str] = &[
    "fermyon:spin/sqlite",
    "fermyon:spin/sqlite@2.0.0",
    "spin:sqlite/sqlite@3.0.0",
    "spin:sqlite/sqlite@3.1.0",
];

/// How many connections one instance may have open.
const CONNECTIONS: usize = 32;

type Store<'a> = StoreContextMut<'a, HostState>;
/// What the guest's handle stands for; calls that wait keep it beyond the handle.
type Handle = Resource<Arc<Connection>>;
type Execute = (Handle, String, Vec<Value>);
type Answer<T> = Result<T, Error>;
type Streams = (Vec<String>, StreamReader<Row>, FutureReader<Result<(), Error>>);

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    unversioned(&mut linker.instance("fermyon:spin/sqlite")?)?;
    connections(&mut linker.instance("fermyon:spin/sqlite@2.0.0")?)?;
    let mut third = linker.instance("spin:sqlite/sqlite@3.1.0")?;
    connections(&mut third)?;
    counts(&mut third)?;
    if flavour.is_concurrent() { concurrent(&mut third) } else { Ok(()) }
}

/// `fermyon:spin/sqlite`: a connection is a number.
fn unversioned(instance: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    instance.func_wrap("open", |mut store: Store<'_>, (label,): (String,)| {
        Ok((open(store.data_mut(), &label).map(|handle| handle.rep()),))
    })?;
    instance.func_wrap_async(
        "execute",
        |mut store: Store<'_>, (number, sql, parameters): (u32, String, Vec<Value>)| {
            Box::new(async move {
                let handle = Handle::new_borrow(number);
                let connection = find(store.data_mut(), &handle);
                Ok((execute(connection, sql, parameters).await,))
            })
        },
    )?;
    instance.func_wrap("close", |mut store: Store<'_>, (number,): (u32,)| {
        // A number that is no connection's closes nothing; there is no error to say so.
        let _ = store.data_mut().table().delete(Handle::new_own(number));
        Ok(())
    })
}

/// What all versions with a resource have.
fn connections(instance: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    let resource = ResourceType::host::<Arc<Connection>>();
    instance.resource("connection", resource, |mut store, number| {
        store.data_mut().table().delete(Handle::new_own(number))?;
        Ok(())
    })?;
    instance
        .func_wrap("[static]connection.open", |mut store: Store<'_>, (label,): (String,)| {
            Ok((open(store.data_mut(), &label),))
        })?;
    instance.func_wrap_async(
        "[method]connection.execute",
        |mut store: Store<'_>, (handle, sql, parameters): Execute| {
            Box::new(async move {
                let connection = find(store.data_mut(), &handle);
                Ok((execute(connection, sql, parameters).await,))
            })
        },
    )
}

fn counts(instance: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]connection.last-insert-rowid",
        |mut store: Store<'_>, (handle,): (Handle,)| {
            Ok((find_or_trap(store.data_mut(), &handle)?.last_insert_rowid(),))
        },
    )?;
    instance.func_wrap(
        "[method]connection.changes",
        |mut store: Store<'_>, (handle,): (Handle,)| {
            Ok((find_or_trap(store.data_mut(), &handle)?.changes(),))
        },
    )
}

fn concurrent(instance: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    instance.func_wrap_concurrent(
        "[static]connection.open-async",
        |accessor: &Accessor<HostState>, (label,): (String,)| {
            let opened = accessor.with(|mut access| open(access.get(), &label));
            Box::pin(std::future::ready(Ok((opened,))))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.execute-async",
        |accessor: &Accessor<HostState>, (handle, sql, parameters): Execute| {
            Box::pin(async move {
                let connection = accessor.with(|mut access| find(access.get(), &handle));
                Ok((stream(accessor, connection, sql, parameters).await?,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.last-insert-rowid-async",
        |accessor: &Accessor<HostState>, (handle,): (Handle,)| {
            let found = accessor.with(|mut access| find_or_trap(access.get(), &handle));
            Box::pin(std::future::ready(found.map(|found| (found.last_insert_rowid(),))))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.changes-async",
        |accessor: &Accessor<HostState>, (handle,): (Handle,)| {
            let found = accessor.with(|mut access| find_or_trap(access.get(), &handle));
            Box::pin(std::future::ready(found.map(|found| (found.changes(),))))
        },
    )
}

fn open(state: &mut HostState, label: &str) -> Answer<Handle> {
    let call = state.grants().call(Capability::Sqlite, "open").of_database(label);
    call.end_with(try_open(state, label), Error::is_refusal)
}

fn try_open(state: &mut HostState, label: &str) -> Answer<Handle> {
    let grants = state.shared_grants();
    let Some((database, turns)) = grants.sqlite.open(label) else {
        grants.refusals.note(Refusal::Database, |unsaid| {
            let (component, database) = (&grants.component, shortened(label));
            tracing::warn!(
                %component, database, unsaid,
                "refused: an SQL database that `sqlite_databases` does not grant"
            );
            grants.tell_ungranted("sqlite_databases", format_args!("[{database:?}]"));
        });
        return Err(Error::AccessDenied);
    };
    let Some(place) = state.databases().place(CONNECTIONS) else {
        return Err(Error::io(format!("more than {CONNECTIONS} connections are open")));
    };
    let connection = Arc::new(Connection::new(database, turns, grants, place));
    state.table().push(connection).map_err(|_| Error::io("too many resources are open"))
}

fn find(state: &mut HostState, handle: &Handle) -> Answer<Arc<Connection>> {
    state.table().get(handle).cloned().map_err(|_| Error::InvalidConnection)
}

/// For functions that have no error to answer with.
fn find_or_trap(state: &mut HostState, handle: &Handle) -> wasmtime::Result<Arc<Connection>> {
    Ok(state.table().get(handle).cloned()?)
}

async fn execute(
    connection: Answer<Arc<Connection>>,
    sql: String,
    parameters: Vec<Value>,
) -> Answer<QueryResult> {
    connection?.execute(sql, parameters).await
}

async fn stream(
    accessor: &Accessor<HostState>,
    connection: Answer<Arc<Connection>>,
    sql: String,
    parameters: Vec<Value>,
) -> wasmtime::Result<Answer<Streams>> {
    let streamed = match connection {
        Ok(connection) => connection.stream(sql, parameters).await,
        Err(error) => Err(error),
    };
    let Streamed { columns, reader, ended } = match streamed {
        Ok(streamed) => streamed,
        Err(error) => return Ok(Err(error)),
    };
    // Who has left its rows unread does not mind how they would have ended.
    let ended = async move { Ok::<_, wasmtime::Error>(ended.await.unwrap_or(Ok(()))) };
    accessor.with(|mut access| {
        let rows = StreamReader::new(&mut access, reader)?;
        Ok(Ok((columns, rows, FutureReader::new(&mut access, ended)?)))
    })
}
