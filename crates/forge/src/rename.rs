//! Rewrites the names of release candidates that a release serves, in place.
//!
//! Only the outermost component's imports, exports, aliases and instance types are touched, and of
//! these only names: what is nested is bound by index or by argument names of its own, so every
//! other byte stays. `wasi:http/types@0.3.0-rc-2026-03-15` becomes
//! `wasi:http/types@0.3.0+rc.2026.03.15`: build metadata, which linking by semantic version ignores.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, InstanceTypeDeclaration, Payload,
    SectionLimited,
};

use crate::names::{self, Candidate};
use crate::sections::{Section, sections};
use crate::splice::{Edit, splice};

/// The component's names could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the component's names")]
pub struct RenameError(#[from] wasmparser::BinaryReaderError);

/// Gives `wasm` names that link; says whether any changed. Bytes that need nothing are handed back
/// as they came.
///
/// # Errors
/// When the component is damaged.
pub fn rename(wasm: Vec<u8>) -> Result<(Vec<u8>, bool), RenameError> {
    let edits = edits(&wasm)?;
    if edits.is_empty() {
        return Ok((wasm, false));
    }
    Ok((splice(&wasm, edits), true))
}

fn edits(wasm: &[u8]) -> Result<Vec<Edit>, RenameError> {
    // Reading every type of a large component takes a hundred times longer than reading its names,
    // and hardly any component needs it.
    if !names_candidate(wasm)? {
        return Ok(Vec::new());
    }
    let mut names = Names { wasm, ..Names::default() };
    for section in sections(wasm) {
        names.section(&section?)?;
    }
    Ok(names.finish())
}

/// Whether any import or export is named after a candidate.
fn names_candidate(wasm: &[u8]) -> Result<bool, RenameError> {
    let mut found = false;
    for section in sections(wasm) {
        match &section?.payload {
            Payload::ComponentImportSection(imports) => {
                each(imports, |it| found |= names::candidate(it.name.name).is_some())?;
            }
            Payload::ComponentExportSection(exports) => {
                each(exports, |it| found |= names::candidate(it.name.name).is_some())?;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// A candidate's interface that the component imports.
#[derive(Clone, Copy)]
struct Served<'a> {
    candidate: &'static Candidate,
    interface: &'a str,
}

/// The walk over a component: its index spaces as far as names need them, and the edits found.
#[derive(Default)]
struct Names<'a> {
    wasm: &'a [u8],
    types: u32,
    instances: u32,
    /// Of each instance type, the functions that some candidate calls differently.
    suspects: HashMap<u32, Vec<(Range<usize>, &'a str)>>,
    /// Imported instances of served candidates.
    served: HashMap<u32, Served<'a>>,
    /// Instances that are handed on whole to a nested component, which knows the old names.
    handed_on: HashSet<u32>,
    edits: Vec<Edit>,
    /// Edits of functions, dropped when their instance is handed on.
    function_edits: Vec<(u32, Edit)>,
}

type Read = wasmparser::Result<()>;

impl<'a> Names<'a> {
    fn section(&mut self, section: &Section<'a>) -> Read {
        let range = &section.range;
        match &section.payload {
            Payload::ComponentTypeSection(types) => {
                each(types, |ty| self.ty(range, &ty))?;
            }
            Payload::ComponentImportSection(imports) => {
                each(imports, |import| self.import(range, &import))?;
            }
            Payload::ComponentAliasSection(aliases) => {
                each(aliases, |alias| self.alias(range, &alias))?;
            }
            Payload::ComponentInstanceSection(instances) => {
                each(instances, |instance| self.instance(&instance))?;
            }
            Payload::ComponentExportSection(exports) => {
                each(exports, |export| self.export(range, &export))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn ty(&mut self, section: &Range<usize>, ty: &ComponentType<'a>) {
        if let ComponentType::Instance(declarations) = ty {
            let suspects: Vec<_> = declarations
                .iter()
                .filter_map(|declaration| match declaration {
                    InstanceTypeDeclaration::Export { name, .. } if is_suspect(name.name) => {
                        Some((section.clone(), name.name))
                    }
                    _ => None,
                })
                .collect();
            if !suspects.is_empty() {
                self.suspects.insert(self.types, suspects);
            }
        }
        self.types += 1;
    }

    fn import(&mut self, section: &Range<usize>, import: &ComponentImport<'a>) {
        let name = import.name.name;
        let found = names::candidate(name);
        if let Some((candidate, interface)) = found {
            let to = format!("{interface}@{}", candidate.served_as);
            self.edits.push(Edit::new(self.wasm, section, name, to));
        }
        match import.ty {
            ComponentTypeRef::Instance(ty) => {
                if let Some((candidate, interface)) = found {
                    self.serve(ty, Served { candidate, interface });
                }
                self.instances += 1;
            }
            ComponentTypeRef::Type(_) => self.types += 1,
            _ => {}
        }
    }

    fn serve(&mut self, ty: u32, served: Served<'a>) {
        let instance = self.instances;
        for (section, name) in self.suspects.get(&ty).into_iter().flatten() {
            if let Some(to) = served.candidate.function(served.interface, name) {
                let edit = Edit::new(self.wasm, section, name, to.to_owned());
                self.function_edits.push((instance, edit));
            }
        }
        self.served.insert(instance, served);
    }

    fn alias(&mut self, section: &Range<usize>, alias: &ComponentAlias<'a>) {
        match *alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => {
                let served = self.served.get(&instance_index);
                if let Some(to) = served.and_then(|it| it.candidate.function(it.interface, name)) {
                    let edit = Edit::new(self.wasm, section, name, to.to_owned());
                    self.function_edits.push((instance_index, edit));
                }
                self.count(kind);
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => self.types += 1,
            ComponentAlias::Outer { .. } | ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    fn instance(&mut self, instance: &ComponentInstance<'a>) {
        match instance {
            ComponentInstance::Instantiate { args, .. } => {
                let whole = args.iter().filter(|arg| arg.kind == ComponentExternalKind::Instance);
                self.handed_on.extend(whole.map(|arg| arg.index));
            }
            ComponentInstance::FromExports(exports) => {
                let whole = exports.iter().filter(|e| e.kind == ComponentExternalKind::Instance);
                self.handed_on.extend(whole.map(|export| export.index));
            }
        }
        self.instances += 1;
    }

    fn export(&mut self, section: &Range<usize>, export: &ComponentExport<'a>) {
        let name = export.name.name;
        if let Some((candidate, interface)) = names::candidate(name) {
            let to = format!("{interface}@{}", candidate.served_as);
            self.edits.push(Edit::new(self.wasm, section, name, to));
        }
        if export.kind == ComponentExternalKind::Instance {
            self.handed_on.insert(export.index);
        }
        self.count(export.kind);
    }

    fn count(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Instance => self.instances += 1,
            _ => {}
        }
    }

    fn finish(self) -> Vec<Edit> {
        let Self { mut edits, function_edits, handed_on, .. } = self;
        let kept = function_edits.into_iter().filter(|(at, _)| !handed_on.contains(at));
        edits.extend(kept.map(|(_, edit)| edit));
        edits
    }
}

/// Calls `visit` with each item of a section.
fn each<'a, T: wasmparser::FromReader<'a>>(
    items: &SectionLimited<'a, T>,
    mut visit: impl FnMut(T),
) -> Read {
    for item in items.clone() {
        visit(item?);
    }
    Ok(())
}

fn is_suspect(function: &str) -> bool {
    names::CANDIDATES
        .iter()
        .flat_map(|candidate| candidate.functions)
        .any(|renamed| renamed.from == function)
}
