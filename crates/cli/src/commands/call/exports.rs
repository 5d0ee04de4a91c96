//! The functions that a component exports, and which of them a name means.

use std::fmt;

use anyhow::{Result, anyhow};
use dayfly_capabilities::HostState;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Func, Instance};

use super::types;
use crate::report;

/// A function that a component exports, by itself or in an interface.
pub(super) struct Export {
    pub(super) interface: Option<String>,
    pub(super) name: String,
    pub(super) ty: ComponentFunc,
}

/// The whole name: `acme:tools/math@0.1.0#add`.
impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface}#{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// All functions, in the component's own order.
pub(super) fn list(component: &Component) -> Vec<Export> {
    let engine = component.engine();
    let mut exports = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => {
                exports.push(Export { interface: None, name: name.to_owned(), ty });
            }
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty {
                        let interface = Some(name.to_owned());
                        exports.push(Export { interface, name: function.to_owned(), ty });
                    }
                }
            }
            _ => {}
        }
    }
    exports
}

/// The one function that `wanted` means.
///
/// # Errors
/// If there is none, or more than one.
pub(super) fn find<'a>(exports: &'a [Export], wanted: &str) -> Result<&'a Export> {
    let found: Vec<&Export> = exports.iter().filter(|export| export.is_meant(wanted)).collect();
    match found.as_slice() {
        [export] => Ok(export),
        [] => {
            let error = anyhow!("the component exports no function `{wanted}`");
            Err(report::hint(error, Some(format!("it exports {}", names(exports.iter())))))
        }
        several => {
            let error = anyhow!("`{wanted}` means more than one function");
            let all = names(several.iter().copied());
            Err(report::hint(error, Some(format!("name one of {all}"))))
        }
    }
}

fn names<'a>(exports: impl Iterator<Item = &'a Export>) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<String> = exports.map(|export| format!("`{export}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match (names.len(), more) {
        (0, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

impl Export {
    /// Whether `wanted` names this function: whole, without the interface's version, by the
    /// interface's last word, or by its own name alone.
    fn is_meant(&self, wanted: &str) -> bool {
        let (interface, name) = match wanted.rsplit_once('#') {
            Some((interface, name)) => (Some(interface), name),
            None => (None, wanted),
        };
        if name != self.name {
            return false;
        }
        let Some(wanted) = interface else { return true };
        let Some(own) = self.interface.as_deref() else { return false };
        let path = own.split('@').next().unwrap_or(own);
        wanted == own || wanted == path || path.rsplit('/').next() == Some(wanted)
    }

    /// Why it cannot be called with values alone, if so.
    pub(super) fn uncallable(&self) -> Option<String> {
        let parameters = self.ty.params().map(|(_, ty)| ty);
        let handle = parameters.chain(self.ty.results()).find_map(|ty| types::handle(&ty));
        handle.map(|handle| format!("it takes or gives a {handle}, which has no text form"))
    }

    /// The function in an instance.
    pub(super) fn function(
        &self,
        instance: &Instance,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Func> {
        let missing = || wasmtime::format_err!("the instance has no function `{self}`");
        let interface = match &self.interface {
            Some(interface) => {
                let (_, index) =
                    instance.get_export(&mut *store, None, interface).ok_or_else(missing)?;
                Some(index)
            }
            None => None,
        };
        let (_, index) =
            instance.get_export(&mut *store, interface.as_ref(), &self.name).ok_or_else(missing)?;
        instance.get_func(store, index).ok_or_else(missing)
    }
}
