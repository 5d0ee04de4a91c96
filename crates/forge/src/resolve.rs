//! The first phase: the source that a manifest names becomes bytes of binary WebAssembly.
//!
//! What is elsewhere was fetched before ([`crate::fetch`]). Of a script it is the
//! component of its language.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dayfly_engine::{ArtifactCache, Digest};
use dayfly_model::Source;

use crate::fetch::{self, Copy, Fetched, digest_of};
use crate::optimise::Optimiser;
use crate::script::{self, Language, ScriptError};

/// The largest source that is read: above any guest known (a CPython with its libraries has
/// 150 MB), below what would hurt a developer's machine.
pub const MAX_SOURCE_BYTES: u64 = 512 << 20;

/// The largest source in text form that is read.
pub const MAX_TEXT_BYTES: usize = 32 << 20;

/// The source could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The file is not there.
    #[error("source `{}` does not exist", path.display())]
    Missing {
        /// The whole path that was tried.
        path: PathBuf,
        /// The commands that build it.
        build_commands: Vec<String>,
    },
    /// The file is there and could not be read.
    #[error("failed to read source `{}`", path.display())]
    Io {
        /// The whole path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder where a file was expected.
    #[error("source `{}` is a folder", path.display())]
    Folder {
        /// The whole path.
        path: PathBuf,
    },
    /// Over [`MAX_SOURCE_BYTES`], or text over [`MAX_TEXT_BYTES`].
    #[error("source is larger than {} MiB", limit_bytes >> 20)]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// No byte in it.
    #[error("source is empty")]
    Empty,
    /// Text that is no WebAssembly text; the cause says line and column.
    #[error("failed to parse WebAssembly text")]
    Text(#[source] wat::Error),
    /// Neither WebAssembly binary nor text.
    #[error("source is not WebAssembly: it {looks}")]
    NotWasm {
        /// What the first bytes look like.
        looks: &'static str,
        /// What to do about it, if that is known.
        advice: Option<&'static str>,
    },
    /// A source that is elsewhere, and no copy of it is here.
    #[error("{what} was not fetched")]
    NotFetched {
        /// What it is.
        what: String,
    },
    /// An interpreter could not be made a component.
    #[error(transparent)]
    Interpreter(Box<ScriptError>),
    /// A copy is no longer what was fetched.
    #[error("the copy of {what} is not what it was when it was fetched")]
    Changed {
        /// What it is.
        what: String,
        /// The copy.
        path: PathBuf,
    },
    /// A kind of source that this version does not serve.
    #[error("source {what} is not served by this version of Dayfly")]
    Unserved {
        /// Which kind, with its name.
        what: String,
    },
}

impl ResolveError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { build_commands, .. } if build_commands.is_empty() => Some(
                "check the component's `source`; it has no `build.command` that would make it"
                    .to_owned(),
            ),
            Self::Missing { build_commands, .. } => {
                let commands = build_commands.join(" && ");
                Some(format!(
                    "build it first: `{commands}`; `dayfly doctor` says what is missing for that"
                ))
            }
            Self::Folder { .. } => Some("name the file of the component".to_owned()),
            Self::NotWasm { advice, .. } => advice.map(str::to_owned),
            Self::Unserved { .. } => Some("name a file instead".to_owned()),
            Self::NotFetched { .. } => Some("`dayfly up` fetches it".to_owned()),
            Self::Changed { path, .. } => {
                Some(format!("remove `{}`, and it is fetched again", path.display()))
            }
            Self::Empty => Some("build it again: the build may have been interrupted".to_owned()),
            Self::Io { .. } | Self::TooLarge { .. } | Self::Text(_) | Self::Interpreter(_) => None,
        }
    }
}

/// Where one source is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location<'a> {
    /// The folder that a relative file is relative to.
    pub(crate) root: &'a Path,
    pub(crate) source: &'a Source,
    /// The commands that build it, for the hint when it is missing.
    pub(crate) build_commands: &'a [String],
    pub(crate) fetched: Option<&'a Fetched>,
    /// Where components of interpreters are kept.
    pub(crate) cache: Option<&'a ArtifactCache>,
    /// What optimises it, and what it is composed with, if that is to be done.
    pub(crate) optimiser: Option<Optimiser<'a>>,
}

impl<'a> Location<'a> {
    /// The copy of a source that is elsewhere.
    fn copy(&self) -> Option<&'a Copy> {
        self.fetched?.get(self.source)
    }
}

/// The file that a source is.
///
/// # Errors
/// When it is no file, or a script.
fn file(location: &Location<'_>) -> Result<PathBuf, ResolveError> {
    let path = match location.source {
        Source::File(path) => location.root.join(path),
        elsewhere => {
            let copy = location.copy();
            let what = || fetch::described(elsewhere);
            return match copy {
                Some(copy) => Ok(copy.path.clone()),
                None => Err(ResolveError::NotFetched { what: what() }),
            };
        }
    };
    if let Some(language) = unserved_language(&path) {
        let what = format!("in {language} (`{}`)", path.display());
        return Err(ResolveError::Unserved { what });
    }
    Ok(path)
}

/// The file that a source is, if it is there; it is not opened.
///
/// # Errors
/// When it is not there, or no file.
pub(crate) fn find(location: &Location<'_>) -> Result<PathBuf, ResolveError> {
    let path = file(location)?;
    let metadata = path.metadata().map_err(failed(&path, location.build_commands))?;
    if metadata.is_dir() { Err(ResolveError::Folder { path }) } else { Ok(path) }
}

/// Reads a source; says whether it had to be translated from text.
///
/// # Errors
/// When it cannot be had, or is no WebAssembly.
pub(crate) fn resolve(location: &Location<'_>) -> Result<(Vec<u8>, bool), ResolveError> {
    let path = file(location)?;
    if let Some(language) = Language::of(&path) {
        return Ok((interpreter(language, location.fetched, location.cache)?, true));
    }
    let bytes = read(&path, location.build_commands)?;
    if let Some(copy) = location.copy().filter(|copy| !copy.is(&bytes)) {
        let what = fetch::described(location.source);
        return Err(ResolveError::Changed { what, path: copy.path.clone() });
    }
    let (bytes, translated) = binary(bytes).map_err(|error| match error {
        ResolveError::Text(mut error) => {
            error.set_path(&path);
            ResolveError::Text(error)
        }
        other => other,
    })?;
    Ok((bytes, translated))
}

/// The component of a language's interpreter, which is the same for all of its scripts.
///
/// # Errors
/// When it was not fetched, or is another one now.
pub(crate) fn interpreter(
    language: Language,
    fetched: Option<&Fetched>,
    cache: Option<&ArtifactCache>,
) -> Result<Vec<u8>, ResolveError> {
    let package = language.interpreter();
    // The interpreter and this program decide what it is.
    let name = Digest::of(package.digest.as_bytes());
    if let Some(kept) = cache.and_then(|cache| cache.made(&name)) {
        return Ok(kept);
    }
    let what = || package.purpose.to_owned();
    let path = fetched.and_then(|fetched| fetched.package(package));
    let path = path.ok_or_else(|| ResolveError::NotFetched { what: what() })?;
    let module = read(path, &[])?;
    if digest_of(&module) != package.digest {
        return Err(ResolveError::Changed { what: what(), path: path.to_owned() });
    }
    let component = script::component(language, &module)
        .map_err(|error| ResolveError::Interpreter(Box::new(error)))?;
    if let Some(cache) = cache {
        cache.keep_made(&name, &component);
    }
    Ok(component)
}

fn failed(path: &Path, build_commands: &[String]) -> impl Fn(io::Error) -> ResolveError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => ResolveError::Missing {
            path: path.to_owned(),
            build_commands: build_commands.to_owned(),
        },
        _ => ResolveError::Io { path: path.to_owned(), source },
    }
}

fn read(path: &Path, build_commands: &[String]) -> Result<Vec<u8>, ResolveError> {
    let failed = failed(path, build_commands);
    let file = File::open(path).map_err(&failed)?;
    let metadata = file.metadata().map_err(&failed)?;
    if metadata.is_dir() {
        return Err(ResolveError::Folder { path: path.to_owned() });
    }
    if metadata.len() > MAX_SOURCE_BYTES {
        return Err(ResolveError::TooLarge { limit_bytes: MAX_SOURCE_BYTES });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow, or be a pipe: the bound holds for what is read, too.
    file.take(MAX_SOURCE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SOURCE_BYTES {
        return Err(ResolveError::TooLarge { limit_bytes: MAX_SOURCE_BYTES });
    }
    Ok(bytes)
}

/// Binary WebAssembly as it is, text translated; says which.
///
/// # Errors
/// When the bytes are neither.
pub fn binary(bytes: Vec<u8>) -> Result<(Vec<u8>, bool), ResolveError> {
    if bytes.starts_with(b"\0asm") {
        return Ok((bytes, false));
    }
    if bytes.is_empty() {
        return Err(ResolveError::Empty);
    }
    if !looks_like_text(&bytes) {
        return Err(not_wasm(&bytes));
    }
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(ResolveError::TooLarge { limit_bytes: MAX_TEXT_BYTES as u64 });
    }
    let wasm = wat::parse_bytes(&bytes).map_err(ResolveError::Text)?.into_owned();
    Ok((wasm, true))
}

/// WebAssembly text begins with a parenthesis or a comment.
fn looks_like_text(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(b"(") || text.starts_with(b";;")
}

/// The language of a script that this version does not serve.
fn unserved_language(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "php" => "PHP",
        "lua" => "Lua",
        _ => return None,
    })
}

fn not_wasm(bytes: &[u8]) -> ResolveError {
    const REBUILD: &str = "build it for a WebAssembly target, such as `wasm32-wasip2`";
    let (looks, advice) = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => (
            "is native code (ELF)",
            Some(
                "build it for a WebAssembly target, such as `wasm32-wasip2`; Dayfly compiles \
                 itself and never loads native code that others compiled",
            ),
        ),
        [b'M', b'Z', ..] => ("is a Windows program", Some(REBUILD)),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => ("is a macOS program", Some(REBUILD)),
        [0x1f, 0x8b, ..] => ("is compressed (gzip)", Some("unpack it first")),
        [b'P', b'K', 3, 4, ..] => ("is an archive (zip)", Some("unpack it first")),
        [b'#', b'!', ..] => ("is a script", None),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            ("is a Git LFS pointer", Some("fetch what it points to: `git lfs pull`"))
        }
        _ if bytes.trim_ascii_start().starts_with(b"<") => {
            ("is a web page or XML", Some("check where it was downloaded from"))
        }
        _ => ("begins with neither `\\0asm` nor WebAssembly text", None),
    };
    ResolveError::NotWasm { looks, advice }
}
