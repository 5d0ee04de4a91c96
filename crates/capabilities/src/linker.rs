//! Linkers: every capability defined once per engine flavour, shared by all components; what a
//! component imports beyond them is refused, in a linker of its own.

use std::sync::OnceLock;

use dayfly_engine::{Code, Flavour};
use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};

use crate::{HostState, candidates, refuse, registry};

/// The linkers of one engine, built when a component of their flavour first needs them.
#[derive(Default)]
pub struct Linkers {
    /// In the order of [`Flavour::ALL`].
    shared: [OnceLock<Linker<HostState>>; Flavour::ALL.len()],
}

impl Linkers {
    /// Links a component: what this build serves to its capabilities, the rest to refusals.
    ///
    /// # Errors
    /// If an import has a shape that its capability does not have, or cannot be defined at all (a
    /// core module, a component).
    pub fn link(&self, code: &Code) -> wasmtime::Result<InstancePre<HostState>> {
        let component = code.component();
        let engine = component.engine();
        let shared = self.shared(engine, code.flavour())?;
        let candidates = candidates::imported(component, engine);
        if !candidates && refuse::unserved(component, engine).is_empty() {
            return shared.instantiate_pre(component);
        }
        let mut own = shared.clone();
        if candidates {
            candidates::define(&mut own, component, engine, code.flavour())?;
        }
        refuse::define(&mut own, component, engine, code.flavour())?;
        own.instantiate_pre(component)
    }

    fn shared(&self, engine: &Engine, flavour: Flavour) -> wasmtime::Result<&Linker<HostState>> {
        let cell = &self.shared[flavour.index()];
        if let Some(linker) = cell.get() {
            return Ok(linker);
        }
        let mut linker = Linker::new(engine);
        for capability in registry::CAPABILITIES {
            (capability.link)(&mut linker, flavour)?;
        }
        Ok(cell.get_or_init(|| linker))
    }
}
