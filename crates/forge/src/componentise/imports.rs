//! Finds what a core module imports that neither WASI preview 1 nor its embedded world provides,
//! and tells what it was made for.

use std::fmt;
use std::sync::LazyLock;

use wasmparser::{Parser, Payload};

use super::module::CoreModule;
use super::{ADAPTER_NAME, ComponentiseError, EmbeddedWorld, REACTOR_ADAPTER};

/// An import of a core module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreImport {
    /// The module that it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub item: CoreItem,
}

/// What a core import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreItem {
    /// A function.
    Function,
    /// A memory.
    Memory,
    /// A table.
    Table,
    /// A global.
    Global,
    /// An exception tag.
    Tag,
}

impl fmt::Display for CoreImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = match self.item {
            CoreItem::Function => "function",
            CoreItem::Memory => "memory",
            CoreItem::Table => "table",
            CoreItem::Global => "global",
            CoreItem::Tag => "tag",
        };
        write!(f, "{item} `{}` from `{}`", self.name, self.module)
    }
}

/// What a module that is not for WASI was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignHost {
    /// Emscripten's JavaScript.
    Emscripten,
    /// wasm-bindgen's JavaScript.
    WasmBindgen,
    /// Go's JavaScript (`GOOS=js`).
    GoJs,
    /// AssemblyScript's own host functions.
    AssemblyScript,
    /// WASI before preview 1.
    WasiUnstable,
    /// WASI with threads.
    WasiThreads,
    /// Wasmer's extension of WASI.
    Wasix,
    /// WASI preview 1, with a function that it does not have.
    WasiExtended,
    /// A component's interface, without the world that says its types.
    WorldMissing,
    /// A program of its own.
    Private,
}

impl ForeignHost {
    /// What the author of the module can do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Emscripten => {
                "it was built by Emscripten for JavaScript: build it with wasi-sdk, `zig cc \
                 -target wasm32-wasi` or `emcc -sSTANDALONE_WASM`"
            }
            Self::WasmBindgen => {
                "it was built by wasm-bindgen for JavaScript: build it for `wasm32-wasip2`"
            }
            Self::GoJs => "it was built by Go for JavaScript: build it with `GOOS=wasip1`",
            Self::AssemblyScript => {
                "it asks for AssemblyScript's host functions: build it with \
                 `@assemblyscript/wasi-shim`"
            }
            Self::WasiUnstable => {
                "it asks for WASI before preview 1 (2019): build it with a current toolchain"
            }
            Self::WasiThreads => "threads are not served: build it without them",
            Self::Wasix => "it asks for Wasmer's WASIX: build it for `wasm32-wasip1`",
            Self::WasiExtended => {
                "WASI preview 1 has no such function: build it with a current toolchain"
            }
            Self::WorldMissing => {
                "the module lost its `component-type` section, which says what these are: do not \
                 strip it, or turn it into a component where it is built"
            }
            Self::Private => {
                "it was made for a program that provides these; Dayfly provides WASI. Satisfy \
                 them inside the module, or compose it with a component that does"
            }
        }
    }
}

/// Refuses what nothing provides.
pub(super) fn check(
    module: &CoreModule,
    world: Option<&EmbeddedWorld>,
) -> Result<(), ComponentiseError> {
    let unknown: Vec<_> =
        module.imports.iter().filter(|import| !is_provided(import, world)).cloned().collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let host = foreign_host(&unknown, module);
    Err(ComponentiseError::UnknownImports { imports: unknown, host })
}

fn is_provided(import: &CoreImport, world: Option<&EmbeddedWorld>) -> bool {
    if import.item != CoreItem::Function {
        return false;
    }
    if import.module == ADAPTER_NAME {
        return PREVIEW1.iter().any(|name| *name == import.name);
    }
    // Which interfaces and functions there are, and with which signatures, the encoder checks.
    world.is_some_and(|world| {
        import.module.contains(':')
            || import.module.starts_with('$')
            || import.module.starts_with('[')
            || import.module.starts_with("cm32p2")
            || world.imports.contains(&import.module)
    })
}

/// The functions of WASI preview 1, as the adapter exports them.
static PREVIEW1: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(REACTOR_ADAPTER).flatten() {
        if let Payload::ExportSection(exports) = payload {
            names.extend(exports.into_iter().flatten().map(|export| export.name));
        }
    }
    names
});

fn foreign_host(unknown: &[CoreImport], module: &CoreModule) -> ForeignHost {
    let from = |name: &str| unknown.iter().any(|import| import.module == name);
    let starts = |start: &str| unknown.iter().any(|import| import.module.starts_with(start));
    let env = |test: fn(&str) -> bool| {
        unknown.iter().any(|import| import.module == "env" && test(&import.name))
    };
    let emscripten = |name: &str| {
        name.contains("emscripten") || name.starts_with("invoke_") || name.starts_with("__syscall_")
    };
    if env(emscripten) || is_minified(unknown) || module.export("emscripten_stack_init").is_some() {
        ForeignHost::Emscripten
    } else if starts("__wbindgen") || from("wbg") || starts("./") {
        ForeignHost::WasmBindgen
    } else if from("gojs") || from("go") {
        ForeignHost::GoJs
    } else if from("wasi_unstable") {
        ForeignHost::WasiUnstable
    } else if starts("wasix") {
        ForeignHost::Wasix
    } else if from("wasi") || unknown.iter().any(|import| import.item == CoreItem::Memory) {
        ForeignHost::WasiThreads
    } else if env(|name| matches!(name, "abort" | "seed" | "trace")) {
        ForeignHost::AssemblyScript
    } else if unknown.iter().all(|import| import.module == ADAPTER_NAME) {
        ForeignHost::WasiExtended
    } else if unknown.iter().any(|import| import.module.contains(':')) {
        ForeignHost::WorldMissing
    } else {
        ForeignHost::Private
    }
}

/// Emscripten's optimised builds import all from a module `a` under names of one or two letters.
fn is_minified(unknown: &[CoreImport]) -> bool {
    unknown.iter().all(|import| import.module == "a" && import.name.len() <= 2)
}

/// The first few imports and how many more.
pub(super) fn list(imports: &[CoreImport]) -> String {
    const SHOWN: usize = 5;
    let mut text =
        imports.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if imports.len() > SHOWN {
        text += &format!(" and {} more", imports.len() - SHOWN);
    }
    text
}
