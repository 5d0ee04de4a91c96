//! The host's side of `wasi:config`.

use dayfly_engine::Flavour;
use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

use crate::HostState;

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    wasmtime_wasi_config::add_to_linker(linker, |state: &mut HostState| {
        WasiConfig::from(&state.grants().variables.values)
    })
}
