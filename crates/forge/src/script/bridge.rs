//! The bridge: has scripts call what their world imports, by the component model's canonical ABI.
//!
//! No capability is written down here. From the world's WIT come two things: a part of the driver,
//! which calls an import by its number ([`driver`]), and a table for the scripts' own marshallers,
//! which says where in memory each argument stands ([`table`]). A script lays the arguments of one call
//! out in a *block*, as a record of them lies in memory behind [`HEADER`], with room for the result at its end.

mod dispatch;
mod layout;
#[cfg(test)]
mod tests;

use serde_json::json;
use wit_parser::abi::{AbiVariant, WasmSignature};
use wit_parser::{Function, Resolve, SizeAlign, Type, TypeDefKind, WorldId, WorldItem};

use layout::Types;

/// Memory for results, and the call itself.
const MEMORY: &str = include_str!("bridge/memory.wat");

/// How it is reached by interpreters that have nothing but WASI.
const DESCRIPTOR: &str = include_str!("bridge/descriptor.wat");

/// The imports of [`DESCRIPTOR`].
const DESCRIPTOR_IMPORTS: &str = include_str!("bridge/descriptor.imports.wat");

/// One function that scripts may call.
struct Import {
    /// The interface, and its name there, as the component imports them.
    interface: String,
    core_name: String,
    /// What scripts call it: `key-value.store.open`.
    name: String,
    parameters: Vec<Type>,
    result: Option<Type>,
    signature: WasmSignature,
}

/// The part of a driver, its imports apart, that calls the imports of a world.
pub(super) struct Driver {
    pub(super) imports: String,
    pub(super) functions: String,
}

/// Writes the part of a driver; with `descriptor`, the functions of WASI by which it is reached.
pub(super) fn driver(resolve: &Resolve, world: WorldId, descriptor: bool) -> Driver {
    let sizes = sizes(resolve);
    let mut driver = dispatch::write(resolve, &sizes, &imports(resolve, world));
    driver.functions.push_str(MEMORY);
    if descriptor {
        driver.imports.push_str(DESCRIPTOR_IMPORTS);
        driver.functions.push_str(DESCRIPTOR);
    }
    driver
}

/// The table for scripts: the types, each by its place, and the functions, in the order of their
/// numbers. All of it is arrays, texts and numbers, so that it is a literal in every language; -1 stands
/// for no type.
///
/// - a type: its kind, its size, its alignment, and what [`layout`] adds
/// - a function: its name, the block's size, `[type, offset]` of each parameter, the result's type and
///   offset
pub(super) fn table(resolve: &Resolve, world: WorldId) -> String {
    let sizes = sizes(resolve);
    let mut types = Types::new(resolve, &sizes);
    let mut functions = Vec::new();
    for import in imports(resolve, world) {
        let block = Block::of(&import, &sizes);
        let parameters = import.parameters.iter().zip(&block.offsets);
        let parameters = parameters.map(|(ty, offset)| json!([types.index(ty), offset]));
        let parameters: Vec<_> = parameters.collect();
        let result = types.optional(import.result.as_ref());
        functions.push(json!([import.name, block.size, parameters, result, block.result]));
    }
    json!([types.into_table(), functions]).to_string()
}

/// What a block begins with, two numbers: that of the import, and whether what the call before gave back
/// is kept; after the call, where the memory begins and ends that the result refers to.
const HEADER: usize = 8;

/// Where the arguments and the result of a function stand in its block, in bytes.
struct Block {
    offsets: Vec<usize>,
    result: usize,
    size: usize,
}

impl Block {
    fn of(import: &Import, sizes: &SizeAlign) -> Self {
        let offsets = sizes.field_offsets(&import.parameters).into_iter();
        let offsets = offsets.map(|(offset, _)| HEADER + offset.size_wasm32()).collect();
        let parameters = sizes.params(&import.parameters).size.size_wasm32();
        // What is aligned to eight bytes suits every type.
        let result = (HEADER + parameters).next_multiple_of(8);
        let size = import.result.as_ref().map_or(0, |ty| sizes.size(ty).size_wasm32());
        Self { offsets, result, size: (result + size).next_multiple_of(8) }
    }
}

fn sizes(resolve: &Resolve) -> SizeAlign {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    sizes
}

/// What a world imports, in the order of the functions' numbers.
fn imports(resolve: &Resolve, world: WorldId) -> Vec<Import> {
    let mut imports = Vec::new();
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        let (Some(full), Some(short)) = (resolve.id_of(*id), &interface.name) else { continue };
        for (name, ty) in &interface.types {
            if matches!(resolve.types[*ty].kind, TypeDefKind::Resource) {
                imports.push(Import::drop(&full, short, name));
            }
        }
        let functions = interface.functions.values();
        imports.extend(functions.map(|function| Import::of(&full, short, function, resolve)));
    }
    imports
}

impl Import {
    fn of(interface: &str, short: &str, function: &Function, resolve: &Resolve) -> Self {
        let name = match function.name.split_once(']') {
            Some(("[constructor", resource)) => format!("{short}.{resource}.new"),
            Some((_, name)) => format!("{short}.{name}"),
            None => format!("{short}.{}", function.name),
        };
        Self {
            interface: interface.to_owned(),
            core_name: function.name.clone(),
            name,
            parameters: function.params.iter().map(|parameter| parameter.ty).collect(),
            result: function.result,
            signature: resolve.wasm_signature(AbiVariant::GuestImport, function),
        }
    }

    /// What gives a handle back.
    fn drop(interface: &str, short: &str, resource: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            core_name: format!("[resource-drop]{resource}"),
            name: format!("{short}.{resource}.drop"),
            parameters: vec![Type::U32],
            result: None,
            signature: WasmSignature {
                params: vec![wit_parser::abi::WasmType::I32],
                results: Vec::new(),
                indirect_params: false,
                retptr: false,
            },
        }
    }
}
