//! The host's side of `fermyon:spin/mqtt` and `spin:mqtt`, which differ in nothing but that the
//! latter's functions are asynchronous.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use rumqttc::mqttbytes::QoS;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::link::{Error, Login};
use super::session::{PublishError, Session, TEXT_BYTES};
use crate::endpoint::Endpoint;
use crate::refusals::Refusal;
use crate::sessions::{self, Functions};
use crate::{Grants, HostState};

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] = &["fermyon:spin/mqtt@2.0.0", "spin:mqtt/mqtt@3.0.0"];

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "invalid-address")]
    InvalidAddress,
    #[component(name = "too-many-connections")]
    TooManyConnections,
    #[component(name = "connection-failed")]
    ConnectionFailed(String),
    #[component(name = "other")]
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyConnections => Self::TooManyConnections,
            error => Self::ConnectionFailed(error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Link(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "guests make them")]
#[allow(clippy::enum_variant_names, reason = "the interface's names")]
enum Quality {
    #[component(name = "at-most-once")]
    AtMostOnce,
    #[component(name = "at-least-once")]
    AtLeastOnce,
    #[component(name = "exactly-once")]
    ExactlyOnce,
}

impl From<Quality> for QoS {
    fn from(quality: Quality) -> Self {
        match quality {
            Quality::AtMostOnce => Self::AtMostOnce,
            Quality::AtLeastOnce => Self::AtLeastOnce,
            Quality::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    let [plain, concurrent] = INTERFACES else { return Ok(()) };
    define(Functions { linker: linker.instance(plain)?, concurrent: false })?;
    if flavour.is_concurrent() {
        define(Functions { linker: linker.instance(concurrent)?, concurrent: true })?;
    }
    Ok(())
}

/// The parameters of `publish`.
type Publish = (sessions::Session<Session>, String, Vec<u8>, Quality);

fn define(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    functions.resource::<Session>("connection")?;
    functions.open(
        "[static]connection.open",
        |grants, left, (address, username, password, keep_alive): (_, _, _, u64)| {
            Box::pin(async move {
                let login = login(address, username, password, keep_alive)?;
                open(grants, left, login).await
            })
        },
        || Failure::TooManyConnections,
    )?;
    functions.method::<_, Publish, _>(
        "[method]connection.publish",
        |session, (topic, payload, quality)| {
            Box::pin(async move {
                Ok::<_, Failure>(session.publish(&topic, payload, quality.into()).await?)
            })
        },
    )
}

fn login(
    address: String,
    username: String,
    password: String,
    keep_alive: u64,
) -> Result<Login, Failure> {
    let Endpoint { url, host, secure, port } =
        Endpoint::parse(&address, ["mqtt", "mqtts"]).ok_or(Failure::InvalidAddress)?;
    // The parameters say who logs in.
    let plain = url.username().is_empty() && url.password().is_none();
    if !plain || !matches!(url.path(), "" | "/") {
        return Err(Failure::InvalidAddress);
    }
    if username.len() > TEXT_BYTES || password.len() > TEXT_BYTES {
        let what = format!("a username may have {TEXT_BYTES} bytes, and a password as many");
        return Err(Failure::Other(what));
    }
    if username.is_empty() && !password.is_empty() {
        return Err(Failure::Other("a password needs a username".to_owned()));
    }
    let keep_alive = u16::try_from(keep_alive).unwrap_or(u16::MAX);
    let port = port.unwrap_or(if secure { 8883 } else { 1883 });
    Ok(Login { secure, host, port, username, password, keep_alive })
}

/// Opens a guest's connection, if the instance has one `left`.
async fn open(grants: Arc<Grants>, left: bool, login: Login) -> Result<Session, Failure> {
    let call = grants.call(Capability::Mqtt, "open").at(&login.host, login.port);
    let opened = connect(grants, left, login).await;
    Ok(call.end_with(opened, Error::is_refusal)?)
}

async fn connect(grants: Arc<Grants>, left: bool, login: Login) -> Result<Session, Error> {
    if grants.names.hosts().check(login.scheme(), &login.host, login.port).is_none() {
        grants.refuse_destination(login.scheme(), &login.host, login.port);
        return Err(Error::NotGranted);
    }
    if !left {
        return Err(Error::TooManyConnections);
    }
    let opened = Session::open(grants.clone(), login).await;
    if matches!(opened, Err(Error::TooManyConnections)) {
        grants.refusals.note(Refusal::Connection, |unsaid| {
            let component = &grants.component;
            tracing::warn!(%component, unsaid, "refused: too many outbound connections are open");
        });
    }
    opened
}
