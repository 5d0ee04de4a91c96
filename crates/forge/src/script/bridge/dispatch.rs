//! Writes, in WebAssembly's text, what calls an import with what stands in a block of memory.

use std::fmt::Write as _;

use wit_parser::abi::WasmType;
use wit_parser::{Int, Resolve, SizeAlign, Type, TypeDefKind};

use super::layout::{Cases, cases};
use super::{Block, Driver, Import};

/// The imports' declarations, and a function `$bridge` that takes the number of an import and the
/// address of its block.
pub(super) fn write(resolve: &Resolve, sizes: &SizeAlign, imports: &[Import]) -> Driver {
    let mut declared = String::new();
    let mut arms = String::new();
    for (number, import) in imports.iter().enumerate() {
        declared.push_str(&declaration(number, import));
        let call = call(number, import, &Loads { resolve, sizes });
        // Behind the end of the block that this number leads out of.
        let _ = writeln!(arms, "  end\n  {call}\n  return");
    }
    let numbers: Vec<_> = (0..=imports.len()).map(|number| number.to_string()).collect();
    let functions = format!(
        "(func $bridge (param $number i32) (param $block i32)\n  \
         block\n{}  (br_table {} (local.get $number))\n{arms}  end\n  unreachable)\n",
        "  block\n".repeat(imports.len()),
        numbers.join(" ")
    );
    Driver { imports: declared, functions }
}

fn declaration(number: usize, import: &Import) -> String {
    let list = |word: &str, types: &[WasmType]| {
        let names: Vec<_> = types.iter().map(|ty| Core::of(*ty).name()).collect();
        if names.is_empty() { String::new() } else { format!(" ({word} {})", names.join(" ")) }
    };
    let parameters = list("param", &import.signature.params);
    let results = list("result", &import.signature.results);
    let (interface, name) = (&import.interface, &import.core_name);
    format!("(import \"{interface}\" \"{name}\" (func $import{number}{parameters}{results}))\n")
}

/// The call itself, which leaves the result in the block.
fn call(number: usize, import: &Import, loads: &Loads<'_>) -> String {
    let block = Block::of(import, loads.sizes);
    let mut arguments = Vec::new();
    for (ty, offset) in import.parameters.iter().zip(&block.offsets) {
        arguments.extend(loads.of(ty, *offset).into_iter().map(|slot| slot.text));
    }
    let result = block.result;
    if import.signature.retptr {
        arguments.push(format!("(i32.add (local.get $block) (i32.const {result}))"));
    }
    let call = format!("(call $import{number} {})", arguments.join(" "));
    let Some(core) = import.signature.results.first().map(|ty| Core::of(*ty)) else { return call };
    let size = import.result.as_ref().map_or(0, |ty| loads.sizes.size(ty).size_wasm32());
    let store = match (core, size) {
        (Core::I32, 1) => "i32.store8",
        (Core::I32, 2) => "i32.store16",
        (Core::I32, _) => "i32.store",
        (Core::I64, _) => "i64.store",
        (Core::F32, _) => "f32.store",
        (Core::F64, _) => "f64.store",
    };
    format!("({store} offset={result} (local.get $block) {call})")
}

/// A type of core WebAssembly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    I32,
    I64,
    F32,
    F64,
}

impl Core {
    fn of(ty: WasmType) -> Self {
        match ty {
            WasmType::I32 | WasmType::Pointer | WasmType::Length => Self::I32,
            WasmType::I64 | WasmType::PointerOrI64 => Self::I64,
            WasmType::F32 => Self::F32,
            WasmType::F64 => Self::F64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// What holds a value of either, as cases of a variant share a place.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::I32, Self::F32) | (Self::F32, Self::I32) => Self::I32,
            _ => Self::I64,
        }
    }
}

/// An expression, and the type of its value.
struct Slot {
    core: Core,
    text: String,
}

impl Slot {
    /// The same bits in what [`Core::join`] made of its type and others.
    fn widened(&self, to: Core) -> String {
        let text = &self.text;
        match (self.core, to) {
            (Core::F32, Core::I32) => format!("(i32.reinterpret_f32 {text})"),
            (Core::I32, Core::I64) => format!("(i64.extend_i32_u {text})"),
            (Core::F32, Core::I64) => format!("(i64.extend_i32_u (i32.reinterpret_f32 {text}))"),
            (Core::F64, Core::I64) => format!("(i64.reinterpret_f64 {text})"),
            _ => text.clone(),
        }
    }
}

/// Expressions that load the flat values of what stands in a block.
struct Loads<'a> {
    resolve: &'a Resolve,
    sizes: &'a SizeAlign,
}

impl Loads<'_> {
    fn of(&self, ty: &Type, offset: usize) -> Vec<Slot> {
        let one = |core, instruction| vec![load(core, instruction, offset)];
        match ty {
            Type::Bool | Type::U8 => one(Core::I32, "i32.load8_u"),
            Type::S8 => one(Core::I32, "i32.load8_s"),
            Type::U16 => one(Core::I32, "i32.load16_u"),
            Type::S16 => one(Core::I32, "i32.load16_s"),
            Type::U32 | Type::S32 | Type::Char | Type::ErrorContext => one(Core::I32, "i32.load"),
            Type::U64 | Type::S64 => one(Core::I64, "i64.load"),
            Type::F32 => one(Core::F32, "f32.load"),
            Type::F64 => one(Core::F64, "f64.load"),
            Type::String => pair(offset),
            Type::Id(id) => self.of_kind(&self.resolve.types[*id].kind, offset),
        }
    }

    fn of_kind(&self, kind: &TypeDefKind, offset: usize) -> Vec<Slot> {
        if let Some(cases) = cases(kind) {
            return self.of_cases(&cases, offset);
        }
        match kind {
            TypeDefKind::Type(ty) => self.of(ty, offset),
            TypeDefKind::List(_) => pair(offset),
            TypeDefKind::Record(record) => {
                self.of_fields(record.fields.iter().map(|field| &field.ty), offset)
            }
            TypeDefKind::Tuple(tuple) => self.of_fields(&tuple.types, offset),
            _ => vec![load(Core::I32, "i32.load", offset)],
        }
    }

    fn of_fields<'a>(&self, types: impl IntoIterator<Item = &'a Type>, offset: usize) -> Vec<Slot> {
        let fields = self.sizes.field_offsets(types).into_iter();
        fields.flat_map(|(at, ty)| self.of(ty, offset + at.size_wasm32())).collect()
    }

    /// A discriminant, and the values of whichever case it names, in places that all cases share.
    fn of_cases(&self, cases: &Cases<'_>, offset: usize) -> Vec<Slot> {
        let discriminant = match cases.tag {
            Int::U8 => load(Core::I32, "i32.load8_u", offset),
            Int::U16 => load(Core::I32, "i32.load16_u", offset),
            Int::U32 | Int::U64 => load(Core::I32, "i32.load", offset),
        };
        let payload = offset + cases.payload_offset(self.sizes);
        let values: Vec<_> =
            cases.types().map(|ty| ty.map_or(Vec::new(), |ty| self.of(ty, payload))).collect();
        let width = values.iter().map(Vec::len).max().unwrap_or(0);
        let mut slots = Vec::with_capacity(width + 1);
        for place in 0..width {
            let there = values.iter().filter_map(|slots| slots.get(place));
            let core = there.map(|slot| slot.core).reduce(Core::join).unwrap_or(Core::I32);
            let mut text = format!("({}.const 0)", core.name());
            for (number, slots) in values.iter().enumerate() {
                let Some(slot) = slots.get(place) else { continue };
                text = format!(
                    "(if (result {}) (i32.eq {} (i32.const {number})) (then {}) (else {text}))",
                    core.name(),
                    discriminant.text,
                    slot.widened(core)
                );
            }
            slots.push(Slot { core, text });
        }
        slots.insert(0, discriminant);
        slots
    }
}

fn load(core: Core, instruction: &str, offset: usize) -> Slot {
    Slot { core, text: format!("({instruction} offset={offset} (local.get $block))") }
}

/// An address and a length.
fn pair(offset: usize) -> Vec<Slot> {
    vec![load(Core::I32, "i32.load", offset), load(Core::I32, "i32.load", offset + 4)]
}
