//! The host's side of `wasi:config`: the release candidate, and the draft that Spin's SDKs carry,
//! which differ in nothing but their names.

use dayfly_engine::Flavour;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use crate::HostState;

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] =
    &["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft-2024-09-27"];

/// The interface's error. Values are here from the start, so that none ever occurs.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "upstream")]
    #[allow(dead_code, reason = "the interface has it")]
    Upstream(String),
    #[component(name = "io")]
    #[allow(dead_code, reason = "the interface has it")]
    Io(String),
}

type State<'a> = StoreContextMut<'a, HostState>;
type Found = Result<Option<String>, StoreError>;
type All = Result<Vec<(String, String)>, StoreError>;

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    for interface in INTERFACES {
        let mut store = linker.instance(interface)?;
        store.func_wrap("get", |state: State<'_>, (key,): (String,)| {
            let found: Found = Ok(state.data().grants().variables.values.get(&key).cloned());
            Ok((found,))
        })?;
        store.func_wrap("get-all", |state: State<'_>, (): ()| {
            let values = &state.data().grants().variables.values;
            let all: All = Ok(values.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
            Ok((all,))
        })?;
    }
    Ok(())
}
