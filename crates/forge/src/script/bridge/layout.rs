//! How values lie in memory, for those who read and write them there.
//!
//! What a type's entry in the table adds to its kind, size and alignment:
//! - `list`: its items' type
//! - `record`: `[name, type, offset]` of each field; `tuple`: `[type, offset]`
//! - `variant`: the size of its discriminant, the offset of its payload, `[name, type]` of each case
//! - `enum`: the size of its discriminant, the names of its cases
//! - `option`: the offset of its payload, its type
//! - `result`: the offset of its payload, the type of what went well, the type of the error

use std::collections::HashMap;

use serde_json::{Value, json};
use wit_parser::{Int, Resolve, SizeAlign, Type, TypeDefKind};

/// What a variant, or what is like one, can be.
pub(super) struct Cases<'a> {
    pub(super) tag: Int,
    types: Vec<Option<&'a Type>>,
}

impl Cases<'_> {
    pub(super) fn types(&self) -> impl Iterator<Item = Option<&Type>> {
        self.types.iter().copied()
    }

    pub(super) fn payload_offset(&self, sizes: &SizeAlign) -> usize {
        sizes.payload_offset(self.tag, self.types()).size_wasm32()
    }
}

/// The cases of a kind of types that has some.
pub(super) fn cases(kind: &TypeDefKind) -> Option<Cases<'_>> {
    let (tag, types) = match kind {
        TypeDefKind::Variant(variant) => {
            (variant.tag(), variant.cases.iter().map(|case| case.ty.as_ref()).collect())
        }
        TypeDefKind::Enum(all) => (all.tag(), vec![None; all.cases.len()]),
        TypeDefKind::Option(ty) => (Int::U8, vec![None, Some(ty)]),
        TypeDefKind::Result(result) => (Int::U8, vec![result.ok.as_ref(), result.err.as_ref()]),
        _ => return None,
    };
    Some(Cases { tag, types })
}

/// The table's types, each of which is in it once.
pub(super) struct Types<'a> {
    resolve: &'a Resolve,
    sizes: &'a SizeAlign,
    table: Vec<Value>,
    known: HashMap<String, usize>,
}

impl<'a> Types<'a> {
    pub(super) fn new(resolve: &'a Resolve, sizes: &'a SizeAlign) -> Self {
        Self { resolve, sizes, table: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn into_table(self) -> Vec<Value> {
        self.table
    }

    pub(super) fn optional(&mut self, ty: Option<&Type>) -> Value {
        ty.map_or(json!(-1), |ty| json!(self.index(ty)))
    }

    /// A type's place in the table.
    pub(super) fn index(&mut self, ty: &Type) -> usize {
        let Type::Id(id) = ty else { return self.add(ty, primitive(ty), Vec::new()) };
        let kind = &self.resolve.types[*id].kind;
        if let Some(cases) = cases(kind) {
            return self.add_cases(ty, kind, &cases);
        }
        match kind {
            TypeDefKind::Type(ty) => self.index(ty),
            TypeDefKind::List(item) => {
                let item = self.index(item);
                self.add(ty, "list", vec![json!(item)])
            }
            TypeDefKind::Record(record) => {
                let fields = self.fields(record.fields.iter().map(|field| &field.ty));
                let names = record.fields.iter().map(|field| &field.name);
                let fields = names.zip(fields).map(|(name, (ty, at))| json!([name, ty, at]));
                let fields = fields.collect();
                self.add(ty, "record", vec![fields])
            }
            TypeDefKind::Tuple(tuple) => {
                let fields = self.fields(&tuple.types).into_iter();
                let fields = fields.map(|(ty, at)| json!([ty, at])).collect();
                self.add(ty, "tuple", vec![fields])
            }
            // A handle is a number.
            _ => self.add(ty, "u32", Vec::new()),
        }
    }

    fn fields<'t>(&mut self, types: impl IntoIterator<Item = &'t Type>) -> Vec<(usize, usize)> {
        let fields = self.sizes.field_offsets(types).into_iter();
        fields.map(|(at, ty)| (self.index(ty), at.size_wasm32())).collect()
    }

    fn add_cases(&mut self, ty: &Type, kind: &TypeDefKind, cases: &Cases<'_>) -> usize {
        let offset = json!(cases.payload_offset(self.sizes));
        let tag = json!(match cases.tag {
            Int::U8 => 1,
            Int::U16 => 2,
            Int::U32 | Int::U64 => 4,
        });
        let types: Vec<_> = cases.types().map(|ty| self.optional(ty)).collect();
        match (kind, &types[..]) {
            (TypeDefKind::Option(_), [_, some]) => {
                self.add(ty, "option", vec![offset, some.clone()])
            }
            (TypeDefKind::Result(_), [ok, err]) => {
                self.add(ty, "result", vec![offset, ok.clone(), err.clone()])
            }
            (TypeDefKind::Enum(all), _) => {
                let names: Vec<_> = all.cases.iter().map(|case| &case.name).collect();
                self.add(ty, "enum", vec![tag, json!(names)])
            }
            (TypeDefKind::Variant(variant), _) => {
                let names = variant.cases.iter().map(|case| &case.name);
                let named = names.zip(&types).map(|(name, ty)| json!([name, ty])).collect();
                self.add(ty, "variant", vec![tag, offset, named])
            }
            _ => unreachable!("only these have cases"),
        }
    }

    fn add(&mut self, ty: &Type, kind: &str, more: Vec<Value>) -> usize {
        let size = self.sizes.size(ty).size_wasm32();
        let align = self.sizes.align(ty).align_wasm32();
        let entry: Vec<_> =
            [json!(kind), json!(size), json!(align)].into_iter().chain(more).collect();
        let entry = Value::from(entry);
        *self.known.entry(entry.to_string()).or_insert_with(|| {
            self.table.push(entry);
            self.table.len() - 1
        })
    }
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 | Type::ErrorContext | Type::Id(_) => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
    }
}
