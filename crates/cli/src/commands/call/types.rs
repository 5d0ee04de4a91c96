//! Types as WIT spells them; records and the like in full, because a compiled component does not
//! keep their names.

use std::fmt;

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// `func(a: u32) -> string`.
pub(super) struct Signature<'a>(pub(super) &'a ComponentFunc);

impl fmt::Display for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.async_() { "async func(" } else { "func(" })?;
        let parameters = self.0.params().map(|(name, ty)| (Some(name.to_owned()), Some(ty)));
        list(f, parameters)?;
        f.write_str(")")?;
        match self.0.results().next() {
            Some(result) => write!(f, " -> {}", Wit(&result)),
            None => Ok(()),
        }
    }
}

/// One type.
struct Wit<'a>(&'a Type);

impl fmt::Display for Wit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = primitive(self.0) {
            return f.write_str(name);
        }
        let unnamed = |ty| (None, Some(ty));
        match self.0 {
            Type::List(list) => write!(f, "list<{}>", Wit(&list.ty())),
            Type::FixedLengthList(list) => write!(f, "list<{}, {}>", Wit(&list.ty()), list.len()),
            Type::Map(map) => write!(f, "map<{}, {}>", Wit(&map.key()), Wit(&map.value())),
            Type::Option(option) => write!(f, "option<{}>", Wit(&option.ty())),
            Type::Tuple(tuple) => {
                f.write_str("tuple<")?;
                list(f, tuple.types().map(unnamed))?;
                f.write_str(">")
            }
            Type::Record(record) => {
                let fields =
                    record.fields().map(|field| (Some(field.name.to_owned()), Some(field.ty)));
                braced(f, "record", fields)
            }
            Type::Variant(variant) => {
                let cases = variant.cases().map(|case| match case.ty {
                    Some(ty) => format!("{}({})", case.name, Wit(&ty)),
                    None => case.name.to_owned(),
                });
                braced(f, "variant", cases.map(|case| (Some(case), None)))
            }
            Type::Enum(cases) => {
                braced(f, "enum", cases.names().map(|name| (Some(name.to_owned()), None)))
            }
            Type::Flags(flags) => {
                braced(f, "flags", flags.names().map(|name| (Some(name.to_owned()), None)))
            }
            Type::Result(result) => match (result.ok(), result.err()) {
                (None, None) => f.write_str("result"),
                (Some(ok), None) => write!(f, "result<{}>", Wit(&ok)),
                (None, Some(err)) => write!(f, "result<_, {}>", Wit(&err)),
                (Some(ok), Some(err)) => write!(f, "result<{}, {}>", Wit(&ok), Wit(&err)),
            },
            Type::Stream(stream) => generic(f, "stream", stream.ty()),
            Type::Future(future) => generic(f, "future", future.ty()),
            _ => f.write_str("resource"),
        }
    }
}

fn generic(f: &mut fmt::Formatter<'_>, name: &str, of: Option<Type>) -> fmt::Result {
    match of {
        Some(ty) => write!(f, "{name}<{}>", Wit(&ty)),
        None => f.write_str(name),
    }
}

fn braced(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    items: impl Iterator<Item = (Option<String>, Option<Type>)>,
) -> fmt::Result {
    write!(f, "{keyword} {{ ")?;
    list(f, items)?;
    f.write_str(" }")
}

/// Names, types, or both, with commas between them.
fn list(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = (Option<String>, Option<Type>)>,
) -> fmt::Result {
    for (number, item) in items.enumerate() {
        if number > 0 {
            f.write_str(", ")?;
        }
        match item {
            (Some(name), Some(ty)) => write!(f, "{name}: {}", Wit(&ty))?,
            (Some(name), None) => f.write_str(&name)?,
            (None, Some(ty)) => write!(f, "{}", Wit(&ty))?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn primitive(ty: &Type) -> Option<&'static str> {
    Some(match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        _ => return None,
    })
}

/// What is in a type that no text can stand for.
pub(super) fn handle(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some("resource"),
        Type::Stream(_) => Some("stream"),
        Type::Future(_) => Some("future"),
        Type::ErrorContext => Some("error context"),
        Type::Map(_) => Some("map"),
        Type::List(list) => handle(&list.ty()),
        Type::FixedLengthList(list) => handle(&list.ty()),
        Type::Option(option) => handle(&option.ty()),
        Type::Tuple(tuple) => tuple.types().find_map(|ty| handle(&ty)),
        Type::Record(record) => record.fields().find_map(|field| handle(&field.ty)),
        Type::Variant(variant) => variant.cases().find_map(|case| handle(&case.ty?)),
        Type::Result(result) => {
            [result.ok(), result.err()].into_iter().flatten().find_map(|ty| handle(&ty))
        }
        _ => None,
    }
}
