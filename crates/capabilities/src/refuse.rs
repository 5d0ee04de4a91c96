//! Refusals: what a component imports and nobody granted is defined all the same, so that it
//! starts, and answers with the interface's own error. Guests built by some SDKs import a whole
//! platform and use little of it. What a part of a composition may not use is refused likewise: its
//! name says that it is denied.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_model::DENIED;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{
    Component, Linker, LinkerInstance, ResourceAny, ResourceType, Type, Val,
};
use wasmtime::{Engine, bail};

use crate::refusals::Refusal;
use crate::{HostState, opened_by, registry};

/// The names of error cases that say "you may not", best first.
const NOT_ALLOWED: &[&str] = &[
    "access-denied",
    "destination-not-allowed",
    "not-permitted",
    "permission-denied",
    "HTTP-request-denied",
    "forbidden",
];

/// The names of error cases that take a text, best first.
const OTHER: &[&str] =
    &["other", "other-error", "unexpected", "internal-error", "runtime-error", "io", "provider"];

/// A resource that nobody can hold, because nothing hands one out.
struct Refused;

/// The interfaces that a component imports and no capability of this build serves.
pub fn unserved(component: &Component, engine: &Engine) -> Vec<String> {
    component
        .component_type()
        .imports(engine)
        .filter(|(name, import)| is_code(&import.ty, engine) && registry::serving(name).is_none())
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Whether an import needs a definition at all: an interface of types alone does not.
fn is_code(item: &ComponentItem, engine: &Engine) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).any(|(_, export)| is_code(&export.ty, engine))
        }
        ComponentItem::Type(_) => false,
        _ => true,
    }
}

/// Defines a refusal for everything in [`unserved`].
///
/// # Errors
/// If an import is a core module or a component, which cannot be made up.
pub fn define(
    linker: &mut Linker<HostState>,
    component: &Component,
    engine: &Engine,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    let mut refusals = Definitions { engine, flavour, known: Vec::new() };
    for (name, import) in component.component_type().imports(engine) {
        if registry::serving(name).is_some() {
            refusals.know(&import.ty);
            continue;
        }
        let full = name.strip_prefix(DENIED).unwrap_or(name);
        match &import.ty {
            ComponentItem::ComponentInstance(instance) => {
                refusals.instance(&mut linker.instance(name)?, full, instance)?;
            }
            item => refusals.item(&mut linker.root(), name, full, item)?,
        }
    }
    Ok(())
}

/// Defines a refusal for one function: `name` in `linker`, `full` in the log.
pub(crate) fn define_item(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
    full: &str,
    item: &ComponentItem,
    engine: &Engine,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    Definitions { engine, flavour, known: Vec::new() }.item(linker, name, full, item)
}

/// The definitions of one component's refusals.
struct Definitions<'a> {
    engine: &'a Engine,
    flavour: Flavour,
    /// The resources of the imports before: who uses them later must not define them anew.
    known: Vec<ResourceType>,
}

impl Definitions<'_> {
    /// Learns the resources of an import that is served.
    fn know(&mut self, item: &ComponentItem) {
        match item {
            ComponentItem::Resource(resource) => self.known.push(*resource),
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(self.engine).for_each(|(_, export)| self.know(&export.ty));
            }
            _ => {}
        }
    }

    fn instance(
        &mut self,
        linker: &mut LinkerInstance<'_, HostState>,
        interface: &str,
        instance: &ComponentInstance,
    ) -> wasmtime::Result<()> {
        for (name, export) in instance.exports(self.engine) {
            let full = format!("{interface}#{name}");
            self.item(linker, name, &full, &export.ty)?;
        }
        Ok(())
    }

    fn item(
        &mut self,
        linker: &mut LinkerInstance<'_, HostState>,
        name: &str,
        full: &str,
        item: &ComponentItem,
    ) -> wasmtime::Result<()> {
        match item {
            ComponentItem::ComponentFunc(func) => {
                define_func(linker, name, full, func, self.flavour)
            }
            ComponentItem::Resource(resource) if self.known.contains(resource) => Ok(()),
            ComponentItem::Resource(resource) => {
                self.known.push(*resource);
                linker.resource(name, ResourceType::host::<Refused>(), |_, _| Ok(()))
            }
            ComponentItem::ComponentInstance(instance) => {
                self.instance(&mut linker.instance(name)?, full, instance)
            }
            ComponentItem::Type(_) => Ok(()),
            _ => bail!("the import `{full}` is neither a function nor an interface"),
        }
    }
}

fn define_func(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
    full: &str,
    func: &ComponentFunc,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    let full = full.to_owned();
    if func.async_() && flavour.is_concurrent() {
        return linker.func_new_concurrent(name, move |accessor, ty, _, results| {
            let answer = answer(&full, &ty, results);
            accessor.with(|mut access| note(access.get(), &full));
            Box::pin(std::future::ready(answer))
        });
    }
    if !func.params().any(|(_, ty)| is_handle(&ty)) {
        return linker.func_new(name, move |store, ty, _, results| {
            note(store.data(), &full);
            answer(&full, &ty, results)
        });
    }
    let full: Arc<str> = full.into();
    linker.func_new_async(name, move |mut store, ty, arguments, results| {
        let full = full.clone();
        Box::new(async move {
            note(store.data(), &full);
            // What is lent has to be given back, and what is given would be kept for nothing.
            for handle in arguments.iter().filter_map(handle) {
                handle.resource_drop_async(&mut store).await?;
            }
            answer(&full, &ty, results)
        })
    })
}

/// Whether an argument is a resource, as the functions of interfaces take them.
fn is_handle(ty: &Type) -> bool {
    match ty {
        Type::Own(_) | Type::Borrow(_) => true,
        Type::Option(option) => is_handle(&option.ty()),
        _ => false,
    }
}

fn handle(argument: &Val) -> Option<ResourceAny> {
    match argument {
        Val::Resource(resource) => Some(*resource),
        Val::Option(Some(argument)) => handle(argument),
        _ => None,
    }
}

fn note(state: &HostState, full: &str) {
    let grants = state.grants();
    let interface = full.split('#').next().unwrap_or_default();
    grants.refusals.note(Refusal::Import, |unsaid| {
        let component = &grants.component;
        // Only what a part does not inherit is refused although it is served.
        let told = match opened_by(interface) {
            Some(key) => {
                tracing::warn!(%component, import = full, key, unsaid, "refused: not inherited");
                format!("`inherit_configuration = [{key:?}]` of the dependency would grant it")
            }
            None => {
                tracing::warn!(%component, import = full, unsaid, "refused: not served");
                "this version of Dayfly does not serve it".to_owned()
            }
        };
        grants.log.host(&format!("dayfly refused `{full}`: {told}"));
    });
}

/// Answers with the function's own error, with nothing where it answers with what there is (the
/// environment, folders), or traps.
fn answer(full: &str, func: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    let refusal = func.results().next().and_then(|ty| match ty {
        Type::Result(result) => match result.err() {
            None => Some(Val::Result(Err(None))),
            Some(err) => Some(Val::Result(Err(Some(Box::new(refusal(&err)?))))),
        },
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Option(_) => Some(Val::Option(None)),
        _ => None,
    });
    match (refusal, results) {
        (Some(refusal), [result]) => *result = refusal,
        _ => bail!("`{full}` is not granted, and it has no error to answer with"),
    }
    Ok(())
}

const MESSAGE: &str = "not granted";

/// The value of an error type that says best that something is not granted.
fn refusal(ty: &Type) -> Option<Val> {
    match ty {
        Type::String => Some(Val::String(MESSAGE.to_owned())),
        Type::Enum(cases) => {
            let names: Vec<&str> = cases.names().collect();
            let denied = NOT_ALLOWED.iter().find(|name| names.contains(*name)).copied();
            let error = names.iter().find(|name| name.contains("error")).copied();
            let name = denied.or(error).or(names.last().copied())?;
            Some(Val::Enum(name.to_owned()))
        }
        Type::Variant(variant) => {
            let value = |name: &str| {
                let case = variant.cases().find(|case| case.name == name)?;
                let payload = match case.ty {
                    None => None,
                    Some(ty) => Some(Box::new(refusal(&ty)?)),
                };
                Some(Val::Variant(name.to_owned(), payload))
            };
            let preferred = NOT_ALLOWED.iter().chain(OTHER).find_map(|name| value(name));
            preferred.or_else(|| variant.cases().find_map(|case| value(case.name)))
        }
        Type::Option(option) => Some(Val::Option(refusal(&option.ty()).map(Box::new))),
        Type::Record(record) => {
            let fields = record
                .fields()
                .map(|field| Some((field.name.to_owned(), refusal(&field.ty)?)))
                .collect::<Option<Vec<_>>>()?;
            Some(Val::Record(fields))
        }
        Type::U8 => Some(Val::U8(0)),
        Type::U16 => Some(Val::U16(0)),
        Type::U32 => Some(Val::U32(0)),
        Type::U64 => Some(Val::U64(0)),
        Type::Bool => Some(Val::Bool(false)),
        _ => None,
    }
}
