//! Which core instances become one: as many as need nothing that itself needs one of them.

use std::collections::HashSet;

use wasm_encoder::CanonicalFunctionSection;
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasmparser::CanonicalFunction;

use super::component::{Component, InstanceOf, Item, Source};
use super::{Suited, Unsuited};
use crate::join::{Each, Kind};

/// Instances that are looked at: each may lead to one more look at all.
const MOST: usize = 100;

/// The instances, in their order.
pub(super) fn choose(component: &Component<'_>) -> Suited<Vec<u32>> {
    let mut chosen = alone(component);
    if chosen.len() > MOST {
        return Err(Unsuited);
    }
    while let Some(needy) = needy(component, &chosen)? {
        chosen.remove(&needy);
    }
    if chosen.len() < 2 {
        return Err(Unsuited);
    }
    let mut chosen: Vec<u32> = chosen.into_iter().collect();
    chosen.sort_unstable();
    Ok(chosen)
}

/// The instances of modules that are instantiated once.
fn alone(component: &Component<'_>) -> HashSet<u32> {
    let mut times = vec![0; component.modules.len()];
    let module_of = |instance: &InstanceOf<'_>| match instance {
        InstanceOf::Module { module, .. } => Some(*module),
        InstanceOf::Exports(_) => None,
    };
    for module in component.instances.iter().filter_map(module_of) {
        if let Some(times) = times.get_mut(module) {
            *times += 1;
        }
    }
    let is_alone =
        |instance| module_of(instance).is_some_and(|module| times.get(module) == Some(&1));
    let instances = (0..).zip(&component.instances);
    instances.filter(|(_, instance)| is_alone(instance)).map(|(index, _)| index).collect()
}

/// What there is only once the chosen ones are there.
#[derive(Default)]
struct Late {
    definitions: Each<HashSet<u32>>,
    instances: HashSet<u32>,
}

/// One of the chosen that needs something that another one of them is needed for.
fn needy(component: &Component<'_>, chosen: &HashSet<u32>) -> Suited<Option<u32>> {
    let mut late = Late::default();
    for item in &component.items {
        match item {
            Item::Whole(_) | Item::Alias(_) | Item::Module(_) | Item::Canonical(_, None) => {}
            Item::CoreAlias(kind, index) => {
                let Source::Export(instance, _) = component.source(*kind, *index)? else {
                    return Err(Unsuited);
                };
                if chosen.contains(&instance) || late.instances.contains(&instance) {
                    late.definitions[*kind].insert(*index);
                }
            }
            Item::Canonical(canonical, Some(index)) => {
                let needed = named_by(canonical)?;
                if needed.iter().any(|(kind, it)| late.definitions[*kind].contains(it)) {
                    late.definitions[Kind::Function].insert(*index);
                }
            }
            Item::Instance(index) if chosen.contains(index) => {
                if is_needy(component, chosen, &late, *index)? {
                    return Ok(Some(*index));
                }
            }
            Item::Instance(index) => {
                let is_late = match component.core_instance(*index)? {
                    InstanceOf::Module { args, .. } => args
                        .values()
                        .any(|arg| chosen.contains(arg) || late.instances.contains(arg)),
                    InstanceOf::Exports(exports) => {
                        exports.values().any(|(kind, it)| late.definitions[*kind].contains(it))
                    }
                };
                if is_late {
                    late.instances.insert(*index);
                }
            }
        }
    }
    Ok(None)
}

/// Whether a chosen instance needs what is late, other than directly of a chosen one.
fn is_needy(
    component: &Component<'_>,
    chosen: &HashSet<u32>,
    late: &Late,
    instance: u32,
) -> Suited<bool> {
    let InstanceOf::Module { args, .. } = component.core_instance(instance)? else {
        return Err(Unsuited);
    };
    for arg in args.values() {
        match component.core_instance(*arg)? {
            InstanceOf::Module { .. } => {
                if !chosen.contains(arg) && late.instances.contains(arg) {
                    return Ok(true);
                }
            }
            InstanceOf::Exports(exports) => {
                for (kind, index) in exports.values() {
                    let direct = match component.source(*kind, *index)? {
                        Source::Export(of, _) => chosen.contains(&of),
                        Source::Made => false,
                    };
                    if !direct && late.definitions[*kind].contains(index) {
                        return Ok(true);
                    }
                }
            }
        }
    }
    Ok(false)
}

/// The core definitions that a canonical function names.
pub(super) fn named_by(canonical: &CanonicalFunction) -> Suited<Vec<(Kind, u32)>> {
    let mut named = Named(Vec::new());
    named.parse_component_canonical(&mut CanonicalFunctionSection::new(), canonical.clone())?;
    Ok(named.0)
}

/// Collects what is named.
struct Named(Vec<(Kind, u32)>);

impl Named {
    fn push(&mut self, kind: Kind, index: u32) -> Result<u32, Error<std::convert::Infallible>> {
        self.0.push((kind, index));
        Ok(index)
    }
}

impl Reencode for Named {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.push(Kind::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.push(Kind::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.push(Kind::Memory, index)
    }
}

impl ReencodeComponent for Named {}
