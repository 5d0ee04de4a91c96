//! Release candidates of WASI 0.2: what they had and the release has not, or has otherwise.
//!
//! The forge gives a candidate's interfaces names that link to the release's, and its differing
//! functions names of their own (`docs/release-candidates.md` lists them all). Those are defined
//! here, in the release's interfaces, for the components that import a candidate.

mod http;
mod io;
mod refused;

use dayfly_engine::Flavour;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker, LinkerInstance};

use crate::HostState;

/// What the names of candidates' interfaces end with: build metadata in place of a pre-release.
const MARK: &str = "@0.2.0+rc.";

/// Whether a component imports a candidate's interfaces.
pub(crate) fn imported(component: &Component, engine: &Engine) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.contains(MARK))
}

/// Defines the candidates' own functions beside the release's.
///
/// # Errors
/// If the linker lacks the release's interfaces, or has the functions already.
pub(crate) fn define(
    linker: &mut Linker<HostState>,
    component: &Component,
    engine: &Engine,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    http::define(linker)?;
    io::define(linker)?;
    refused::define(linker, component, engine, flavour)
}

/// An interface of the release, open for more functions.
fn release<'a>(
    linker: &'a mut Linker<HostState>,
    interface: &str,
) -> wasmtime::Result<LinkerInstance<'a, HostState>> {
    // The version by which wasmtime-wasi defines it: another one would hide the release's own.
    linker.instance(&format!("{interface}@0.2.12"))
}
