//! What is asked of a core module before it is made a component.

use wasmparser::{
    BinaryReaderError, Encoding, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

use super::imports::{CoreImport, CoreItem};
use crate::sections::sections;

/// Whether `wasm` is a core module or a component, by its header.
pub(super) fn encoding(wasm: &[u8]) -> Result<Encoding, BinaryReaderError> {
    match sections(wasm).next() {
        Some(Ok(section)) => match section.payload {
            Payload::Version { encoding, .. } => Ok(encoding),
            _ => Ok(Encoding::Module),
        },
        Some(Err(error)) => Err(error),
        None => Ok(Encoding::Module),
    }
}

/// An export of a core module.
pub(super) struct CoreExport {
    pub(super) name: String,
    pub(super) kind: ExternalKind,
    /// Whether it is a function without parameters and results.
    pub(super) is_procedure: bool,
}

/// The facts of a core module.
pub(super) struct CoreModule {
    pub(super) imports: Vec<CoreImport>,
    pub(super) exports: Vec<CoreExport>,
    /// Whether it carries `component-type` sections.
    pub(super) embeds_world: bool,
    /// The names of its custom sections.
    pub(super) custom_sections: Vec<String>,
}

impl CoreModule {
    /// Reads the module and validates its structure; the engine validates function bodies when it
    /// compiles them.
    pub(super) fn read(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut module = Self {
            imports: Vec::new(),
            exports: Vec::new(),
            embeds_world: false,
            custom_sections: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            validator.payload(&payload)?;
            match payload {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        module.imports.push(CoreImport {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            item: item(import.ty),
                        });
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        let is_procedure = export.kind == ExternalKind::Func
                            && is_procedure(&validator, export.index);
                        module.exports.push(CoreExport {
                            name: export.name.to_owned(),
                            kind: export.kind,
                            is_procedure,
                        });
                    }
                }
                Payload::CustomSection(section) => {
                    module.embeds_world |= section.name().starts_with("component-type");
                    module.custom_sections.push(section.name().to_owned());
                }
                _ => {}
            }
        }
        Ok(module)
    }

    /// The number of functions that it imports.
    pub(super) fn imported_functions(&self) -> u32 {
        let is_function = |import: &&CoreImport| matches!(import.item, CoreItem::Function);
        u32::try_from(self.imports.iter().filter(is_function).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn export(&self, name: &str) -> Option<&CoreExport> {
        self.exports.iter().find(|export| export.name == name)
    }

    /// Whether `entrypoint` can be run as a command.
    pub(super) fn is_command(&self, entrypoint: &str) -> bool {
        self.export(entrypoint).is_some_and(|export| export.is_procedure)
    }

    /// Whether the memory that the adapter writes to is there.
    pub(super) fn exports_memory(&self) -> bool {
        self.export("memory").is_some_and(|export| export.kind == ExternalKind::Memory)
    }

    /// Whether it was built by wit-bindgen 0.2, whose canonical ABI is not that of components.
    pub(super) fn is_before_components(&self) -> bool {
        !self.embeds_world && self.export("canonical_abi_realloc").is_some()
    }
}

fn item(ty: TypeRef) -> CoreItem {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => CoreItem::Function,
        TypeRef::Memory(_) => CoreItem::Memory,
        TypeRef::Table(_) => CoreItem::Table,
        TypeRef::Global(_) => CoreItem::Global,
        TypeRef::Tag(_) => CoreItem::Tag,
    }
}

/// Whether function `index` takes and gives nothing. The validator has accepted the export, so the
/// index is in range.
fn is_procedure(validator: &Validator, index: u32) -> bool {
    let Some(types) = validator.types(0) else {
        return false;
    };
    let ty = types[types.core_function_at(index)].unwrap_func();
    ty.params().is_empty() && ty.results().is_empty()
}
