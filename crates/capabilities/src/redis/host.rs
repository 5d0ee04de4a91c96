//! The host's side of `fermyon:spin/redis` and `spin:redis`: the same connection in an asynchronous
//! and a synchronous version, and functions of an older one that name the server with each call.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower};

use super::address::Address;
use super::client::Error;
use super::session::{self, Session};
use crate::refusals::Refusal;
use crate::sessions::{Functions, Running};
use crate::{Grants, HostState};

/// The interfaces that [`link`] defines, and one that has only types.
pub(super) const INTERFACES: &[&str] = &[
    "fermyon:spin/redis",
    "fermyon:spin/redis-types",
    "fermyon:spin/redis@2.0.0",
    "spin:redis/redis@3.0.0",
];

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "invalid-address")]
    InvalidAddress,
    #[component(name = "too-many-connections")]
    TooManyConnections,
    #[component(name = "type-error")]
    TypeError,
    #[component(name = "other")]
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // The interface has no other word for it.
            Error::NotGranted => Self::InvalidAddress,
            Error::TooManyConnections => Self::TooManyConnections,
            Error::Type => Self::TypeError,
            error => Self::Other(error.to_string()),
        }
    }
}

/// All that the oldest version says of an error.
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum OldFailure {
    #[component(name = "success")]
    #[allow(dead_code, reason = "the interface has it")]
    Success,
    #[component(name = "error")]
    Error,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Parameter {
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "binary")]
    Binary(Vec<u8>),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Outcome {
    #[component(name = "nil")]
    Nil,
    #[component(name = "status")]
    Status(String),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "binary")]
    Binary(Vec<u8>),
}

fn parameters(parameters: Vec<Parameter>) -> Vec<session::Parameter> {
    let each = |parameter| match parameter {
        Parameter::Int64(number) => session::Parameter::Int(number),
        Parameter::Binary(bytes) => session::Parameter::Binary(bytes),
    };
    parameters.into_iter().map(each).collect()
}

fn outcomes(parts: Vec<session::Part>) -> Vec<Outcome> {
    let each = |part| match part {
        session::Part::Nil => Outcome::Nil,
        session::Part::Status(text) => Outcome::Status(text),
        session::Part::Int(number) => Outcome::Int64(number),
        session::Part::Binary(bytes) => Outcome::Binary(bytes),
    };
    parts.into_iter().map(each).collect()
}

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    link_unversioned(&mut linker.instance("fermyon:spin/redis")?)?;
    link_connections(Functions {
        linker: linker.instance("fermyon:spin/redis@2.0.0")?,
        concurrent: false,
    })?;
    if flavour.is_concurrent() {
        link_connections(Functions {
            linker: linker.instance("spin:redis/redis@3.0.0")?,
            concurrent: true,
        })?;
    }
    Ok(())
}

type Answer<T> = Result<T, Failure>;
type Guest<A> = (crate::sessions::Session<Session>, A);
type Guest2<A, B> = (crate::sessions::Session<Session>, A, B);

fn link_connections(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    functions.resource::<Session>("connection")?;
    functions.open(
        "[static]connection.open",
        |grants, left, (address,): (String,)| {
            Box::pin(async move { Ok::<_, Failure>(open(&grants, left, &address).await?) })
        },
        || Failure::TooManyConnections,
    )?;
    functions.method::<_, Guest2<String, Vec<u8>>, _>(
        "[method]connection.publish",
        |session, (channel, payload)| {
            answer(async move { session.publish(channel, payload).await })
        },
    )?;
    functions.method::<_, Guest<String>, _>("[method]connection.get", |session, key| {
        answer(async move { session.get(key).await })
    })?;
    functions.method::<_, Guest2<String, Vec<u8>>, _>(
        "[method]connection.set",
        |session, (key, value)| answer(async move { session.set(key, value).await }),
    )?;
    functions.method::<_, Guest<String>, _>("[method]connection.incr", |session, key| {
        answer(async move { session.incr(key).await })
    })?;
    functions.method::<_, Guest<Vec<String>>, _>("[method]connection.del", |session, keys| {
        answer(async move { session.del(keys).await.map(count) })
    })?;
    functions.method::<_, Guest2<String, Vec<String>>, _>(
        "[method]connection.sadd",
        |session, (key, values)| answer(async move { session.sadd(key, values).await.map(count) }),
    )?;
    functions.method::<_, Guest<String>, _>("[method]connection.smembers", |session, key| {
        answer(async move { session.smembers(key).await })
    })?;
    functions.method::<_, Guest2<String, Vec<String>>, _>(
        "[method]connection.srem",
        |session, (key, values)| answer(async move { session.srem(key, values).await.map(count) }),
    )?;
    functions.method::<_, Guest2<String, Vec<Parameter>>, _>(
        "[method]connection.execute",
        |session, (command, arguments)| {
            answer(
                async move { session.execute(command, parameters(arguments)).await.map(outcomes) },
            )
        },
    )
}

/// A number of things, of which no server has more than fit.
fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn answer<T: 'static>(
    running: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Running<Answer<T>> {
    Box::pin(async move { Ok(running.await?) })
}

/// Opens a guest's connection, if the instance has one `left`.
async fn open(grants: &Arc<Grants>, left: bool, address: &str) -> Result<Session, Error> {
    let call = grants.call(Capability::Redis, "open");
    // The interface has one word for what is malformed and for what is not granted.
    let Ok(address) = Address::parse(address) else { return call.end(Err(Error::NotGranted)) };
    let call = call.at(&address.host, address.port);
    call.end_with(connect(grants, left, address).await, Error::is_refusal)
}

async fn connect(grants: &Arc<Grants>, left: bool, address: Address) -> Result<Session, Error> {
    let Address { host, port, .. } = &address;
    if grants.names.hosts().check(address.scheme(), host, *port).is_none() {
        grants.refuse_destination(address.scheme(), host, *port);
        return Err(Error::NotGranted);
    }
    if !left {
        return Err(Error::TooManyConnections);
    }
    let client = grants.redis.client(address).ok_or(Error::TooManyConnections)?;
    match client.connect().await {
        Ok(()) => Ok(Session::new(grants.clone(), client)),
        Err(error) => {
            if matches!(error, Error::TooManyConnections) {
                grants.refusals.note(Refusal::Connection, |unsaid| {
                    let component = &grants.component;
                    tracing::warn!(
                        %component, unsaid, "refused: too many outbound connections are open"
                    );
                });
            }
            Err(error)
        }
    }
}

/// The parameters of a function that names the server.
trait Call: ComponentNamedList + Lift + Send + 'static {
    type Rest;

    fn split(self) -> (String, Self::Rest);
}

impl<A: Lift + Send + 'static> Call for (String, A) {
    type Rest = A;

    fn split(self) -> (String, A) {
        self
    }
}

impl<A: Lift + Send + 'static, B: Lift + Send + 'static> Call for (String, A, B) {
    type Rest = (A, B);

    fn split(self) -> (String, (A, B)) {
        (self.0, (self.1, self.2))
    }
}

/// Defines a function that names the server.
#[allow(clippy::type_complexity, reason = "a function by its types")]
fn function<C: Call, T: Lower + Send + 'static>(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
    run: fn(Arc<Session>, C::Rest) -> Running<Result<T, Error>>,
) -> wasmtime::Result<()>
where
    C::Rest: Send,
{
    linker.func_wrap_async(name, move |mut store: StoreContextMut<'_, HostState>, call: C| {
        let left = store.data_mut().spend_outbound();
        let grants = store.data().shared_grants();
        let (address, rest) = call.split();
        Box::new(async move {
            let outcome = match open(&grants, left, &address).await {
                Ok(session) => run(Arc::new(session), rest).await,
                Err(error) => Err(error),
            };
            Ok((outcome.map_err(|_| OldFailure::Error),))
        })
    })
}

fn link_unversioned(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    function::<(String, String, Vec<u8>), _>(linker, "publish", |session, (channel, payload)| {
        Box::pin(async move { session.publish(channel, payload).await })
    })?;
    function::<(String, String), _>(linker, "get", |session, key| {
        Box::pin(async move { Ok(session.get(key).await?.unwrap_or_default()) })
    })?;
    function::<(String, String, Vec<u8>), _>(linker, "set", |session, (key, value)| {
        Box::pin(async move { session.set(key, value).await })
    })?;
    function::<(String, String), _>(linker, "incr", |session, key| {
        Box::pin(async move { session.incr(key).await })
    })?;
    function::<(String, Vec<String>), _>(linker, "del", |session, keys| {
        Box::pin(async move { session.del(keys).await })
    })?;
    function::<(String, String, Vec<String>), _>(linker, "sadd", |session, (key, values)| {
        Box::pin(async move { session.sadd(key, values).await })
    })?;
    function::<(String, String), _>(linker, "smembers", |session, key| {
        Box::pin(async move { session.smembers(key).await })
    })?;
    function::<(String, String, Vec<String>), _>(linker, "srem", |session, (key, values)| {
        Box::pin(async move { session.srem(key, values).await })
    })?;
    function::<(String, String, Vec<Parameter>), _>(
        linker,
        "execute",
        |session, (command, arguments)| {
            Box::pin(
                async move { session.execute(command, parameters(arguments)).await.map(outcomes) },
            )
        },
    )
}
