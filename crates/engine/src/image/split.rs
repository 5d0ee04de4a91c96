//! Splits a component into the code that it shares with others and the memory that is its own, and
//! puts a component together again whose memory has become another.

use std::io;
use std::ops::Range;

use wasm_encoder::Encode as _;
use wasmparser::{
    CanonicalFunction, Chunk, ComponentAlias, ComponentExternalKind, ComponentTypeRef, Encoding,
    ExternalKind, Instance, Parser, Payload,
};

use super::file::{Contents, pieces};
use super::module::{Data, Grown, Rewriting};
use super::outline::{Outline, Role, changes_tables};
use super::{Image, PAGE_BYTES, composed};
use crate::Digest;

/// Why a component stays whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsuited(pub(crate) &'static str);

impl From<wasmparser::BinaryReaderError> for Unsuited {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self("it is damaged")
    }
}

impl From<wasm_encoder::reencode::Error> for Unsuited {
    fn from(_: wasm_encoder::reencode::Error) -> Self {
        Self("it is damaged")
    }
}

impl From<std::num::TryFromIntError> for Unsuited {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self("it is too large")
    }
}

pub(super) type Suited<T> = Result<T, Unsuited>;

/// The name of the function that a base exports beside its own: it writes the globals behind the end
/// of memory.
pub(crate) const SAVE: &str = "dayfly-save";

/// Globals that an image has room for.
const MAX_GLOBALS: usize = PAGE_BYTES as usize / 8;

/// A component in two parts.
pub(crate) struct Split<'a> {
    halves: Halves<'a>,
    /// The digest of the code.
    pub(crate) digest: Digest,
}

/// The same, as it comes out.
pub(super) struct Halves<'a> {
    /// The code, as a component that does nothing without a memory.
    pub(super) base: Vec<u8>,
    /// How large the memory is, with the page of globals at its end.
    pages: u64,
    /// What the memory holds at first; the rest is zero. Later ones go over earlier ones.
    data: Vec<Data<'a>>,
    globals: Vec<u64>,
}

impl<'a> Split<'a> {
    fn new(halves: Halves<'a>) -> Self {
        let digest = Digest::of(&halves.base);
        Self { halves, digest }
    }

    /// The code, as a component that does nothing without a memory.
    pub(crate) fn base(&self) -> &[u8] {
        &self.halves.base
    }

    /// The same, alone.
    pub(crate) fn into_base(self) -> Vec<u8> {
        self.halves.base
    }

    /// The bytes of the image's file.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.contents(&self.last_page()).encode()
    }

    /// The image, in memory alone.
    pub(crate) fn image_in_memory(&self) -> io::Result<Image> {
        self.contents(&self.last_page()).in_memory()
    }

    fn contents<'b>(&'b self, last_page: &'b [u8]) -> Contents<'b> {
        let Halves { pages, data, .. } = &self.halves;
        Contents { base: &self.digest, pages: *pages, data, last_page }
    }

    /// The last page: the values of globals.
    pub(crate) fn last_page(&self) -> Vec<u8> {
        let mut page: Vec<u8> =
            self.halves.globals.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        page.resize(PAGE_BYTES as usize, 0);
        page
    }
}

/// What is composed of others has no memory of its own.
const COMPOSED: Unsuited = Unsuited("it is composed of others");

/// Splits a component.
///
/// # Errors
/// When it is not of the form that most tools make: one memory, whose owner stands at the root of
/// the component, or of a part that it is composed of. Whatever else is wrong with it, is others' to say.
pub(crate) fn split(component: &[u8]) -> Suited<Split<'_>> {
    match Shape::read(component) {
        Ok(shape) => shape.split(component),
        Err(COMPOSED) => Ok(Split::new(composed::split(component)?)),
        Err(reason) => Err(reason),
    }
}

/// The halves of a component that is a part of another.
pub(super) fn halves(component: &[u8]) -> Suited<Halves<'_>> {
    match Shape::read(component) {
        Ok(shape) => own_halves(component, &shape),
        Err(COMPOSED) => composed::split(component),
        Err(reason) => Err(reason),
    }
}

/// The halves of a component with a memory of its own.
fn own_halves<'a>(component: &'a [u8], shape: &Shape) -> Suited<Halves<'a>> {
    let owner = &shape.modules[shape.owner];
    // A start function may grow the memory, and others would look for their globals at its end.
    let only_owner = shape.modules.iter().any(|module| module.outline.has_start);
    let mut base = component[..HEADER_BYTES].to_vec();
    let (mut data, mut globals) = (Vec::new(), Vec::new());
    let mut copied = HEADER_BYTES;
    let mut first_slot = slots(owner)?;
    for (i, module) in shape.modules.iter().enumerate() {
        let outline = &module.outline;
        base.extend_from_slice(&component[copied..module.section.start]);
        copied = module.section.end;
        let content = &component[module.content.clone()];
        let is_owner = i == shape.owner;
        if !is_owner && (only_owner || outline.role == Role::Stranger) {
            if has_active_data(content)? {
                return Err(Unsuited("a module without the memory has data for it"));
            }
            base.extend_from_slice(&component[module.section.clone()]);
            continue;
        }
        let rewriting = Rewriting {
            outline,
            first_slot: if is_owner { 0 } else { first_slot },
            save_as: is_owner.then_some(SAVE),
        };
        let (rewritten, pieces) = rewriting.rewrite(content)?;
        base.push(CORE_MODULE);
        rewritten.encode(&mut base);
        data.extend(pieces);
        if !is_owner {
            first_slot += slots(module)?;
        }
    }
    base.extend_from_slice(&component[copied..]);
    let others = shape.modules.iter().enumerate().filter(|(i, _)| *i != shape.owner && !only_owner);
    for module in std::iter::once(owner).chain(others.map(|(_, module)| module)) {
        globals.extend(module.outline.globals.iter().map(|global| global.bits));
    }
    if globals.len() > MAX_GLOBALS {
        return Err(Unsuited("it has too many globals"));
    }
    let end = owner.outline.pages * PAGE_BYTES;
    if data.iter().any(|data| data.offset + data.bytes.len() as u64 > end) {
        return Err(Unsuited("its data does not fit its memory"));
    }
    Ok(Halves { base, pages: owner.outline.pages + 1, data, globals })
}

fn slots(module: &Module) -> Suited<u32> {
    Ok(u32::try_from(module.outline.globals.len())?)
}

/// The bytes before a component's first section.
const HEADER_BYTES: usize = 8;
/// The number of the section of a core module.
const CORE_MODULE: u8 = 1;

/// A core module at the root of a component.
struct Module {
    /// Where its section stands.
    section: Range<usize>,
    /// Where it stands itself.
    content: Range<usize>,
    outline: Outline,
}

/// What has to be known of a component that has a memory of its own.
pub(crate) struct Shape {
    modules: Vec<Module>,
    /// Which of them has the memory.
    owner: usize,
    /// The instance of it.
    instance: u32,
    core_functions: u32,
    functions: u32,
    types: u32,
}

/// How far an instance has come: its memory, and the globals of the memory's owner.
pub(crate) struct Reached<'a> {
    /// How large the memory is.
    pages: u64,
    data: Vec<Data<'a>>,
    globals: Vec<u64>,
    last_page: Vec<u8>,
}

impl Reached<'_> {
    /// The bytes of the file of an image for instances that begin there. `base` is the digest of their
    /// code.
    pub(crate) fn image(&self, base: &Digest) -> Vec<u8> {
        self.contents(base).encode()
    }

    /// The same image, in memory alone.
    pub(crate) fn image_in_memory(&self, base: &Digest) -> io::Result<Image> {
        self.contents(base).in_memory()
    }

    fn contents<'b>(&'b self, base: &'b Digest) -> Contents<'b> {
        let Self { pages, data, last_page, .. } = self;
        Contents { base, pages: pages + 1, data, last_page }
    }
}

impl Shape {
    /// Splits the component that this is of; its base exports [`SAVE`].
    ///
    /// # Errors
    /// As [`split`].
    pub(crate) fn split<'a>(&self, component: &'a [u8]) -> Suited<Split<'a>> {
        let mut halves = own_halves(component, self)?;
        self.export_save(&mut halves.base);
        Ok(Split::new(halves))
    }

    /// Reads what an instance has become: its memory ends with the page that [`SAVE`] adds. `last_page`
    /// is the one that the component was split into.
    ///
    /// # Errors
    /// As [`split`].
    pub(crate) fn reached<'a>(&self, memory: &'a [u8], last_page: &[u8]) -> Suited<Reached<'a>> {
        let gone = Unsuited("its memory has gone");
        let end = memory.len().checked_sub(PAGE_BYTES as usize).ok_or(gone)?;
        let (memory, saved) = memory.split_at(end);
        let own = self.modules[self.owner].outline.globals.len();
        let globals: Vec<u64> =
            saved.as_chunks::<8>().0.iter().take(own).map(|it| u64::from_le_bytes(*it)).collect();
        let data: Vec<Data<'_>> = pieces(memory)
            .into_iter()
            .map(|range| Data { offset: range.start as u64, bytes: &memory[range] })
            .collect();
        // The owner's globals come first; those of others begin as they did.
        let last_page = [&saved[..own * 8], &last_page[own * 8..]].concat();
        Ok(Reached { pages: memory.len() as u64 / PAGE_BYTES, data, globals, last_page })
    }

    /// The component as if its instances began there.
    ///
    /// # Errors
    /// As [`split`].
    pub(crate) fn grown(&self, component: &[u8], reached: &Reached<'_>) -> Suited<Vec<u8>> {
        let owner = &self.modules[self.owner];
        let Reached { pages, data, globals, .. } = reached;
        let grown = Grown { pages: *pages, globals, data };
        let module = grown.rewrite(&owner.outline, &component[owner.content.clone()])?;
        let mut wasm = Vec::with_capacity(component.len() + module.len());
        wasm.extend_from_slice(&component[..owner.section.start]);
        wasm.push(CORE_MODULE);
        module.encode(&mut wasm);
        wasm.extend_from_slice(&component[owner.section.end..]);
        Ok(wasm)
    }

    /// Whether all is kept that can change, where the component is frozen: memory and globals are. Those of
    /// a module that imports the memory, as the adapter of WASI does, begin anew, because what the host
    /// holds for an instance is gone.
    ///
    /// # Errors
    /// When something would be lost without a word.
    pub(crate) fn keeps_all(&self, component: &[u8]) -> Suited<()> {
        for Module { content, outline, .. } in &self.modules {
            if outline.loses_globals && outline.role != Role::Guest {
                return Err(Unsuited("a global that is no number, or another module's, changes"));
            }
            if changes_tables(&component[content.clone()])? {
                return Err(Unsuited("its code changes a table, which would begin as it was"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// When the component is not of the form that [`split`] wants.
    pub(crate) fn read(component: &[u8]) -> Suited<Shape> {
        let mut parser = Parser::new(0);
        let mut modules = Vec::new();
        let (mut core_functions, mut functions, mut types) = (0, 0, 0);
        // Of each core instance, the module that it is of.
        let mut instances = Vec::new();
        let mut at = 0;
        loop {
            let Chunk::Parsed { consumed, payload } = parser.parse(&component[at..], true)? else {
                return Err(Unsuited("it is damaged"));
            };
            let start = at;
            at += consumed;
            match payload {
                Payload::Version { encoding: Encoding::Component, .. } => {}
                Payload::Version { .. } => return Err(Unsuited("it is no component")),
                Payload::ModuleSection { unchecked_range: content, .. } => {
                    let bytes = component.get(content.clone()).ok_or(Unsuited("it is damaged"))?;
                    let outline = Outline::read(bytes)?;
                    at = content.end;
                    modules.push(Module { section: start..at, content, outline });
                }
                Payload::ComponentSection { unchecked_range: content, .. } => {
                    let bytes = component.get(content.clone()).ok_or(Unsuited("it is damaged"))?;
                    if has_modules(bytes)? {
                        return Err(COMPOSED);
                    }
                    at = content.end;
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        instances.push(match instance? {
                            Instance::Instantiate { module_index, .. } => Some(module_index),
                            Instance::FromExports(_) => None,
                        });
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        match function? {
                            CanonicalFunction::Lift { .. } => functions += 1,
                            _ => core_functions += 1,
                        }
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        match alias? {
                            ComponentAlias::CoreInstanceExport {
                                kind: ExternalKind::Func | ExternalKind::FuncExact,
                                ..
                            } => core_functions += 1,
                            ComponentAlias::InstanceExport { kind, .. } => match kind {
                                ComponentExternalKind::Func => functions += 1,
                                ComponentExternalKind::Type => types += 1,
                                _ => {}
                            },
                            ComponentAlias::Outer {
                                kind: wasmparser::ComponentOuterAliasKind::Type,
                                ..
                            } => types += 1,
                            _ => {}
                        }
                    }
                }
                Payload::ComponentTypeSection(section) => types += section.count(),
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        match import?.ty {
                            ComponentTypeRef::Func(_) => functions += 1,
                            ComponentTypeRef::Type(_) => types += 1,
                            _ => {}
                        }
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.name.name == SAVE {
                            return Err(Unsuited("it exports what Dayfly would add"));
                        }
                        match export.kind {
                            ComponentExternalKind::Func => functions += 1,
                            ComponentExternalKind::Type => types += 1,
                            _ => {}
                        }
                    }
                }
                Payload::ComponentStartSection { .. } => {
                    return Err(Unsuited("it has a start function"));
                }
                Payload::End(_) => break,
                _ => {}
            }
        }
        let owners = |module: &&Module| module.outline.role == Role::Owner;
        let owner = modules.iter().position(|module| owners(&module));
        let owner = owner.ok_or(Unsuited("it has no memory"))?;
        if modules.iter().filter(owners).count() > 1 {
            return Err(Unsuited("it has several memories"));
        }
        let mut of_owner =
            (0..).zip(&instances).filter(|(_, it)| it.is_some_and(|it| it as usize == owner));
        let (Some((instance, _)), None) = (of_owner.next(), of_owner.next()) else {
            return Err(Unsuited("its memory is made more than once"));
        };
        Ok(Shape { modules, owner, instance, core_functions, functions, types })
    }

    /// Appends what exports the owner's function [`SAVE`] from the component.
    fn export_save(&self, component: &mut Vec<u8>) {
        use wasm_encoder as enc;
        let mut aliases = enc::ComponentAliasSection::new();
        aliases.alias(enc::Alias::CoreInstanceExport {
            instance: self.instance,
            kind: enc::ExportKind::Func,
            name: SAVE,
        });
        let mut types = enc::ComponentTypeSection::new();
        types.function().params([] as [(&str, enc::ComponentValType); 0]).result(None);
        let mut functions = enc::CanonicalFunctionSection::new();
        functions.lift(self.core_functions, self.types, []);
        let mut exports = enc::ComponentExportSection::new();
        exports.export(SAVE, enc::ComponentExportKind::Func, self.functions, None);
        enc::ComponentSection::append_to_component(&aliases, component);
        enc::ComponentSection::append_to_component(&types, component);
        enc::ComponentSection::append_to_component(&functions, component);
        enc::ComponentSection::append_to_component(&exports, component);
    }
}

fn has_modules(component: &[u8]) -> Suited<bool> {
    for payload in Parser::new(0).parse_all(component) {
        if matches!(payload?, Payload::ModuleSection { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_active_data(module: &[u8]) -> Suited<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::DataSection(section) = payload? {
            for segment in section {
                if matches!(segment?.kind, wasmparser::DataKind::Active { .. }) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
