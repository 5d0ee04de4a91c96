//! Which of the Wasmtime engines runs a component.

use wasmparser::{
    CanonicalFunction, CanonicalOption, Chunk, ComponentDefinedType, ComponentType,
    ComponentTypeDeclaration, Encoding, InstanceTypeDeclaration, Parser, Payload,
};

use crate::EngineError;

/// Which of the Wasmtime engines runs a component.
///
/// They differ in Wasmtime's concurrency support: WASI 0.2 guests start measurably faster without
/// it, WASI 0.3 guests need it. They differ in whether their code counts its instructions, for
/// guests with a bound on them: the count is the same in every mode and on every machine. And they
/// differ in where memory comes from: a pool, or an image that lies apart from the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flavour {
    concurrent: bool,
    counted: bool,
    imaged: bool,
}

impl Flavour {
    /// For guests that block: WASI 0.2.
    pub const SEQUENTIAL: Flavour = Flavour { concurrent: false, counted: false, imaged: false };

    /// For guests that use the component model's async functions, streams and futures: WASI 0.3.
    pub const CONCURRENT: Flavour = Flavour { concurrent: true, ..Flavour::SEQUENTIAL };

    /// All of them.
    pub const ALL: [Flavour; 8] = {
        let mut all = [Flavour::SEQUENTIAL; 8];
        let mut i = 0;
        while i < all.len() {
            all[i] = Flavour { concurrent: i & 1 > 0, counted: i & 2 > 0, imaged: i & 4 > 0 };
            i += 1;
        }
        all
    };

    /// Whether it supports the component model's async functions, streams and futures.
    pub fn is_concurrent(self) -> bool {
        self.concurrent
    }

    /// Whether its code counts instructions.
    pub fn is_counted(self) -> bool {
        self.counted
    }

    /// Whether its instances begin with an image that lies apart from the code.
    pub fn is_imaged(self) -> bool {
        self.imaged
    }

    /// The same, counting instructions or not.
    #[must_use]
    pub fn counted(self, counted: bool) -> Flavour {
        Flavour { counted, ..self }
    }

    /// The same, with an image apart or not.
    #[must_use]
    pub(crate) fn imaged(self, imaged: bool) -> Flavour {
        Flavour { imaged, ..self }
    }

    /// Its place in [`Flavour::ALL`].
    pub fn index(self) -> usize {
        usize::from(self.concurrent) + 2 * usize::from(self.counted) + 4 * usize::from(self.imaged)
    }

    /// Decides from a component's outline: [`Flavour::CONCURRENT`] when it names an interface of
    /// WASI 0.3, or uses an async function, a stream or a future anywhere. Core modules inside are
    /// not looked at, so it takes microseconds.
    ///
    /// # Errors
    /// [`EngineError::NotAComponent`] and [`EngineError::Invalid`]. What it accepts may still be
    /// invalid.
    pub fn of(component: &[u8]) -> Result<Flavour, EngineError> {
        let mut rest = component;
        let mut parser = Parser::new(0);
        let mut outer = Vec::new();
        loop {
            let chunk = parser.parse(rest, true).map_err(invalid)?;
            let Chunk::Parsed { consumed, payload } = chunk else {
                return Err(EngineError::NotAComponent { found: "a truncated file" });
            };
            rest = &rest[consumed..];
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if outer.is_empty() => {
                    return Err(EngineError::NotAComponent { found: "a core module" });
                }
                Payload::ModuleSection { unchecked_range, .. } => {
                    rest = rest.get(unchecked_range.len()..).unwrap_or_default();
                }
                Payload::ComponentSection { parser: inner, .. } => {
                    outer.push(std::mem::replace(&mut parser, inner));
                }
                Payload::End(_) => match outer.pop() {
                    Some(parent) => parser = parent,
                    None => return Ok(Flavour::SEQUENTIAL),
                },
                payload => {
                    if is_concurrent(payload).map_err(invalid)? {
                        return Ok(Flavour::CONCURRENT);
                    }
                }
            }
        }
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> EngineError {
    EngineError::Invalid(wasmtime::Error::msg(error.to_string()))
}

fn is_concurrent(payload: Payload<'_>) -> wasmparser::Result<bool> {
    Ok(match payload {
        Payload::ComponentImportSection(imports) => {
            any(imports, |i| is_concurrent_name(i.name.name))?
        }
        Payload::ComponentExportSection(exports) => {
            any(exports, |e| is_concurrent_name(e.name.name))?
        }
        Payload::ComponentTypeSection(types) => any(types, |ty| is_concurrent_type(&ty))?,
        Payload::ComponentCanonicalSection(canonicals) => any(canonicals, is_concurrent_canonical)?,
        _ => false,
    })
}

fn any<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    test: impl Fn(T) -> bool,
) -> wasmparser::Result<bool> {
    for item in section {
        if test(item?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `wasi:http/handler@0.3.0`, and also the release candidates of 0.3.
fn is_concurrent_name(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

fn is_concurrent_type(ty: &ComponentType<'_>) -> bool {
    match ty {
        ComponentType::Defined(ty) => {
            matches!(ty, ComponentDefinedType::Future(_) | ComponentDefinedType::Stream(_))
        }
        ComponentType::Func(ty) => ty.async_,
        ComponentType::Component(declarations) => declarations.iter().any(|d| match d {
            ComponentTypeDeclaration::Type(ty) => is_concurrent_type(ty),
            ComponentTypeDeclaration::Import(import) => is_concurrent_name(import.name.name),
            ComponentTypeDeclaration::Export { name, .. } => is_concurrent_name(name.name),
            _ => false,
        }),
        ComponentType::Instance(declarations) => declarations.iter().any(|d| match d {
            InstanceTypeDeclaration::Type(ty) => is_concurrent_type(ty),
            InstanceTypeDeclaration::Export { name, .. } => is_concurrent_name(name.name),
            _ => false,
        }),
        _ => false,
    }
}

fn is_concurrent_canonical(function: CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options
                .iter()
                .any(|o| matches!(o, CanonicalOption::Async | CanonicalOption::Callback(_)))
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        // Tasks, waitables, streams, futures, error contexts and threads.
        _ => true,
    }
}
