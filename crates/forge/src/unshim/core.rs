//! Core modules, as far as their instances are connected.

use std::collections::{HashMap, HashSet};

use wasmparser::{
    CompositeInnerType, ElementItems, ElementKind, ExternalKind, FuncType, MemoryType, Operator,
    Payload, TypeRef,
};

use super::{Suited, Unsuited};
use crate::sections::sections;

/// What a module imports, exports and begins with; function bodies only where they are asked for.
#[derive(Default)]
pub(super) struct Core<'a> {
    types: Vec<Option<FuncType>>,
    /// The type of each function, the imported ones first.
    functions: Vec<u32>,
    pub(super) imports: Vec<(&'a str, &'a str, TypeRef)>,
    exports: HashMap<&'a str, (ExternalKind, u32)>,
    pub(super) memories: Vec<MemoryType>,
    elements: Vec<wasmparser::Element<'a>>,
    bodies: Option<wasmparser::CodeSectionReader<'a>>,
    start: Option<u32>,
}

impl<'a> Core<'a> {
    pub(super) fn read(module: &'a [u8]) -> Suited<Self> {
        let mut core = Self::default();
        for section in sections(module) {
            let section = section?;
            match section.payload {
                Payload::TypeSection(types) => {
                    for group in types {
                        for ty in group?.into_types() {
                            core.types.push(match ty.composite_type.inner {
                                CompositeInnerType::Func(ty) => Some(ty),
                                _ => None,
                            });
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(ty) = import.ty {
                            core.functions.push(ty);
                        }
                        core.imports.push((import.module, import.name, import.ty));
                    }
                }
                Payload::FunctionSection(functions) => {
                    for ty in functions {
                        core.functions.push(ty?);
                    }
                }
                Payload::MemorySection(memories) => {
                    core.memories = memories.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        core.exports.insert(export.name, (export.kind, export.index));
                    }
                }
                Payload::StartSection { func, .. } => core.start = Some(func),
                Payload::ElementSection(elements) if module.len() < SMALL => {
                    core.elements = elements.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::CodeSectionStart { range, .. } if module.len() < SMALL => {
                    let reader = wasmparser::BinaryReader::new(&module[range.clone()], range.start);
                    core.bodies = Some(wasmparser::CodeSectionReader::new(reader)?);
                }
                _ => {}
            }
        }
        Ok(core)
    }

    fn imported(&self) -> usize {
        self.imports.iter().filter(|(.., ty)| matches!(ty, TypeRef::Func(_))).count()
    }

    /// Whether it runs when it is instantiated.
    pub(super) fn starts(&self) -> bool {
        self.start.is_some()
    }

    /// Whether that stays within the module, as where an adapter takes itself a stack.
    pub(super) fn starts_alone(&self) -> bool {
        let Some(bodies) = &self.bodies else { return self.start.is_none() };
        let Ok(bodies) = bodies.clone().into_iter().collect::<Result<Vec<_>, _>>() else {
            return false;
        };
        let mut waiting: Vec<u32> = self.start.into_iter().collect();
        let mut seen = HashSet::new();
        while let Some(function) = waiting.pop() {
            if !seen.insert(function) {
                continue;
            }
            let body =
                (function as usize).checked_sub(self.imported()).and_then(|at| bodies.get(at));
            match body.and_then(calls) {
                Some(called) => waiting.extend(called),
                None => return false,
            }
        }
        true
    }

    pub(super) fn export(&self, name: &str) -> Option<(ExternalKind, u32)> {
        self.exports.get(name).copied()
    }

    /// The type of a function that it exports.
    pub(super) fn exported(&self, name: &str) -> Suited<&FuncType> {
        let Some((ExternalKind::Func, index)) = self.export(name) else { return Err(Unsuited) };
        self.ty(index)
    }

    fn ty(&self, function: u32) -> Suited<&FuncType> {
        let ty = self.functions.get(function as usize).ok_or(Unsuited)?;
        self.types.get(*ty as usize).and_then(Option::as_ref).ok_or(Unsuited)
    }

    /// As a shim: the slot of the table that each exported function calls.
    pub(super) fn shimmed(&self) -> Suited<HashMap<&'a str, u32>> {
        if !self.imports.is_empty() || self.starts() {
            return Err(Unsuited);
        }
        let mut slots = Vec::new();
        for (index, body) in self.bodies.clone().ok_or(Unsuited)?.into_iter().enumerate() {
            let ty = self.ty(u32::try_from(index).map_err(|_| Unsuited)?)?;
            slots.push(slot(&body?, ty.params().len())?);
        }
        let mut shimmed = HashMap::new();
        for (name, (kind, index)) in &self.exports {
            match kind {
                ExternalKind::Func => {
                    shimmed.insert(*name, *slots.get(*index as usize).ok_or(Unsuited)?);
                }
                ExternalKind::Table if *name == TABLE => {}
                _ => return Err(Unsuited),
            }
        }
        Ok(shimmed)
    }

    /// As a fixup: the import, its module and its name, that each slot of the table gets.
    pub(super) fn fixed(&self) -> Suited<Vec<(&'a str, &'a str)>> {
        let functions: Vec<(&str, &str)> = self
            .imports
            .iter()
            .filter(|(.., ty)| matches!(ty, TypeRef::Func(_)))
            .map(|(module, name, _)| (*module, *name))
            .collect();
        let tables = self.imports.len() - functions.len();
        let [element] = &self.elements[..] else { return Err(Unsuited) };
        let ElementKind::Active { table_index: None | Some(0), offset_expr } = &element.kind else {
            return Err(Unsuited);
        };
        let at_zero = constant(offset_expr) == Some(0);
        // Nothing else: no function of its own, no start, no other import.
        if tables != 1 || !at_zero || self.imported() != self.functions.len() || self.starts() {
            return Err(Unsuited);
        }
        let ElementItems::Functions(slots) = element.items.clone() else { return Err(Unsuited) };
        slots
            .into_iter()
            .map(|function| functions.get(function? as usize).copied().ok_or(Unsuited))
            .collect()
    }
}

/// The export by which shims hand their table to fixups.
pub(super) const TABLE: &str = "$imports";

/// Shims and fixups are small; larger modules' functions are not looked at, in bytes.
const SMALL: usize = 1 << 20;

/// The functions that one calls; `None` if it cannot be known.
fn calls(body: &wasmparser::FunctionBody<'_>) -> Option<Vec<u32>> {
    let mut operators = body.get_operators_reader().ok()?;
    let mut called = Vec::new();
    while !operators.eof() {
        match operators.read().ok()? {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                called.push(function_index);
            }
            Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => return None,
            _ => {}
        }
    }
    Some(called)
}

/// The slot that a function calls with its own parameters, if that is all it does.
fn slot(body: &wasmparser::FunctionBody<'_>, params: usize) -> Suited<u32> {
    if body.get_locals_reader()?.get_count() != 0 {
        return Err(Unsuited);
    }
    let mut operators = body.get_operators_reader()?;
    for param in 0..params {
        match operators.read()? {
            Operator::LocalGet { local_index } if local_index as usize == param => {}
            _ => return Err(Unsuited),
        }
    }
    let Operator::I32Const { value } = operators.read()? else { return Err(Unsuited) };
    let Operator::CallIndirect { table_index: 0, .. } = operators.read()? else {
        return Err(Unsuited);
    };
    let Operator::End = operators.read()? else { return Err(Unsuited) };
    if operators.eof() { Ok(value.cast_unsigned()) } else { Err(Unsuited) }
}

/// The value of an expression that is one 32-bit constant.
pub(super) fn constant(expression: &wasmparser::ConstExpr<'_>) -> Option<i32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value),
        _ => None,
    }
}
