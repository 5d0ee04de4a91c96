//! The host's side of every interface by which guests read variables: they differ in their names,
//! in how they say that there is none, and in whether a guest may do something else meanwhile.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, ComponentType, Lift, Linker, Lower};

use super::ReadError;
use crate::refusals::{Refusal, shortened};
use crate::{Grants, HostState};

/// `wasi:config`: the release candidate, and the draft that Spin's SDKs carry.
const WASI: [&str; 2] =
    ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft-2024-09-27"];

const CONFIG: &str = "fermyon:spin/config";
const VARIABLES_2: &str = "fermyon:spin/variables@2.0.0";
const VARIABLES_3: &str = "spin:variables/variables@3.0.0";

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] = &[WASI[0], WASI[1], CONFIG, VARIABLES_2, VARIABLES_3];

/// The error of `wasi:config`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    #[allow(dead_code, reason = "the interface has it")]
    Io(String),
}

/// The error of Spin's interface since 2.0.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum VariableError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    #[allow(dead_code, reason = "the interface has it")]
    Other(String),
}

/// The error of Spin's first interface.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum ConfigError {
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "invalid-key")]
    InvalidKey(String),
    #[component(name = "invalid-schema")]
    #[allow(dead_code, reason = "the interface has it")]
    InvalidSchema(String),
    #[component(name = "other")]
    #[allow(dead_code, reason = "the interface has it")]
    Other(String),
}

type State<'a> = StoreContextMut<'a, HostState>;
type Found = Result<Option<String>, StoreError>;
type All = Result<Vec<(String, String)>, StoreError>;
type Variable = Result<String, VariableError>;
type Config = Result<String, ConfigError>;

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    for interface in WASI {
        let mut store = linker.instance(interface)?;
        store.func_wrap_async("get", |state: State<'_>, (key,): (String,)| {
            let grants = state.data().shared_grants();
            Box::new(async move { Ok((found(read(&grants, &key).await),)) })
        })?;
        store.func_wrap_async("get-all", |state: State<'_>, (): ()| {
            let grants = state.data().shared_grants();
            Box::new(async move { Ok((all(&grants).await,)) })
        })?;
    }
    linker.instance(CONFIG)?.func_wrap_async(
        "get-config",
        |state: State<'_>, (key,): (String,)| {
            let grants = state.data().shared_grants();
            Box::new(async move {
                let value: Config = read(&grants, &key).await.map_err(ConfigError::from);
                Ok((value,))
            })
        },
    )?;
    linker.instance(VARIABLES_2)?.func_wrap_async(
        "get",
        |state: State<'_>, (name,): (String,)| {
            let grants = state.data().shared_grants();
            Box::new(async move {
                let value: Variable = read(&grants, &name).await.map_err(VariableError::from);
                Ok((value,))
            })
        },
    )?;
    if flavour.is_concurrent() {
        linker.instance(VARIABLES_3)?.func_wrap_concurrent(
            "get",
            |accessor: &Accessor<HostState>, (name,): (String,)| {
                let grants = accessor.with(|mut access| access.get().shared_grants());
                Box::pin(async move {
                    let value: Variable = read(&grants, &name).await.map_err(VariableError::from);
                    Ok((value,))
                })
            },
        )?;
    }
    Ok(())
}

/// Reads a variable; the operator is told why one could not be had.
async fn read(grants: &Arc<Grants>, name: &str) -> Result<String, ReadError> {
    let call = grants.call(Capability::Variables, "get");
    let read = call.end(grants.variables.read(name).await);
    if let Err(ReadError::Provider { cause, .. }) = &read {
        grants.refusals.note(Refusal::Variable, |unsaid| {
            let component = &grants.component;
            tracing::warn!(%component, name = shortened(name), unsaid, "no variable: {cause}");
        });
    }
    read
}

fn found(read: Result<String, ReadError>) -> Found {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::InvalidName(_) | ReadError::Undefined(_)) => Ok(None),
        Err(error @ ReadError::Provider { .. }) => Err(StoreError::Upstream(error.to_string())),
    }
}

async fn all(grants: &Arc<Grants>) -> All {
    let mut all = Vec::new();
    for name in grants.variables.names() {
        if let Some(value) = found(read(grants, name).await)? {
            all.push((name.to_owned(), value));
        }
    }
    Ok(all)
}

impl From<ReadError> for VariableError {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        match error {
            ReadError::InvalidName(_) => Self::InvalidName(text),
            ReadError::Undefined(_) => Self::Undefined(text),
            ReadError::Provider { .. } => Self::Provider(text),
        }
    }
}

impl From<ReadError> for ConfigError {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        match error {
            ReadError::InvalidName(_) => Self::InvalidKey(text),
            // It has no other word for it.
            ReadError::Undefined(_) | ReadError::Provider { .. } => Self::Provider(text),
        }
    }
}
