//! Optimises components: Binaryen's `wasm-opt` over each core module in them. What comes out takes their
//! place, is validated, and is let go of where it is not better. Nothing of a component runs here;
//! `wasm-opt` itself is WebAssembly, and runs in a sandbox that has no files.
//!
//! A module is optimised before it is frozen or composed, so what is the same in many apps, an
//! interpreter, is optimised once and stays the same.

mod component;
mod features;
mod module;
mod tool;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dayfly_engine::{Digest, Engine, EngineError};
use dayfly_model::Goal;
use wasmparser::BinaryReaderError;

use crate::componentise::ComponentiseError;
use crate::freeze::told;
use crate::script::MergeError;

pub use module::Debug;
pub use tool::OPTIMISER;

/// What decides how a component is optimised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptimiseTerms {
    /// What for.
    pub goal: Goal,
    /// Whether names of functions, and what else serves only people, are kept.
    pub debug: Debug,
    /// The CPU time that all its modules may take.
    pub cpu: Duration,
    /// The memory that each may take, in bytes.
    pub memory_bytes: u64,
}

impl OptimiseTerms {
    /// The usual ones for a goal: who wants bytes gone wants no names.
    pub fn new(goal: Goal) -> Self {
        let debug = match goal {
            Goal::Speed => Debug::Kept,
            Goal::Size => Debug::Stripped,
        };
        Self { goal, debug, cpu: Duration::from_secs(900), memory_bytes: 4 << 30 }
    }
}

/// What optimises components: an engine, the tool, and how.
#[derive(Clone, Copy)]
pub struct Optimiser<'a> {
    /// Where the tool runs.
    pub engine: &'a Engine,
    /// The file of the package [`OPTIMISER`], if it was fetched.
    pub tool: Option<&'a Path>,
    /// How.
    pub terms: &'a OptimiseTerms,
}

impl fmt::Debug for Optimiser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimiser").field("terms", self.terms).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optimised {
    /// The component, or core module, as it is to be used: the one that came in where the other is not
    /// better.
    pub wasm: Vec<u8>,
    /// What decided, before and after.
    pub measured: Measured,
}

/// What tells whether a component is better than it was. Bytes are those of WebAssembly; code is what
/// Cranelift makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Bytes before and after.
    pub bytes: [u64; 2],
    /// Bytes of code before and after, where these decide.
    pub code_bytes: Option<[u64; 2]>,
}

impl Measured {
    /// Whether the result was taken: for size if it has fewer bytes, for speed if there is less code
    /// to be loaded and run.
    pub fn is_better(&self) -> bool {
        let [before, after] = self.code_bytes.unwrap_or(self.bytes);
        after < before
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([before, after], of) = match self.code_bytes {
            Some(code) => (code, "bytes of code"),
            None => (self.bytes, "bytes"),
        };
        match self.is_better() {
            true => write!(f, "{before} {of} became {after}"),
            false => write!(f, "dropped, because {before} {of} became {after}"),
        }
    }
}

/// A component could not be optimised.
#[derive(Debug, thiserror::Error)]
pub enum OptimiseError {
    /// It is no component, no module, or not valid.
    #[error("what is to be optimised is not valid WebAssembly")]
    Invalid(#[source] BinaryReaderError),
    /// Components are in it so deep that nobody made them by hand or by a tool.
    #[error("components are nested in it more than {} deep", component::DEEPEST)]
    TooDeep,
    /// The tool is not there.
    #[error("{} was not fetched", OPTIMISER.purpose)]
    NotFetched,
    /// The tool is no longer what was fetched.
    #[error("the copy of {} is not what it was when it was fetched", OPTIMISER.purpose)]
    Changed {
        /// The copy.
        path: PathBuf,
    },
    /// The tool cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The tool is not what its driver is for.
    #[error("failed to make a component of {}", OPTIMISER.purpose)]
    Join(#[from] MergeError),
    /// The tool cannot be run.
    #[error("failed to make a component of {}", OPTIMISER.purpose)]
    Componentise(#[from] ComponentiseError),
    /// The tool cannot be run, or what it made does not compile.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no runtime to run it in.
    #[error("failed to start a runtime")]
    Runtime(#[source] std::io::Error),
    /// It refused a module.
    #[error("wasm-opt refuses core module {module}{}", told(None, said))]
    Refused {
        /// Which one, in the order in which they stand.
        module: usize,
        /// What it said.
        said: String,
    },
    /// It used up its time.
    #[error("wasm-opt used more than {} s of CPU time, at core module {module}", cpu.as_secs())]
    Cpu {
        /// Which one, in the order in which they stand.
        module: usize,
        /// The bound.
        cpu: Duration,
    },
    /// It wanted more memory than it may have.
    #[error("wasm-opt wanted more than {} MiB of memory for core module {module}", memory_bytes >> 20)]
    Memory {
        /// Which one, in the order in which they stand.
        module: usize,
        /// The bound.
        memory_bytes: u64,
    },
    /// It, or the host, failed.
    #[error("wasm-opt trapped at core module {module}{}", told(None, said))]
    Trapped {
        /// Which one, in the order in which they stand.
        module: usize,
        /// What it said before.
        said: String,
        /// How.
        #[source]
        source: wasmtime::Error,
    },
    /// What it made is not valid, or not what others expect.
    #[error("what wasm-opt made of core module {module} is {what}")]
    Wrong {
        /// Which one, in the order in which they stand.
        module: usize,
        /// What is wrong with it.
        what: &'static str,
        /// The validator's word, if it is that.
        #[source]
        source: Option<BinaryReaderError>,
    },
}

impl OptimiseError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        const LEAVE: &str = "leave `optimize` out of its `build`";
        match self {
            Self::Invalid(_) => Some("the file looks damaged: build or copy it again".to_owned()),
            Self::NotFetched => Some("`dayfly build` fetches it".to_owned()),
            Self::Changed { path } => {
                Some(format!("remove `{}`, and it is fetched again", path.display()))
            }
            Self::Cpu { .. } => {
                Some(format!("`dayfly optimize` takes a longer `--timeout`; or {LEAVE}"))
            }
            Self::Memory { .. }
            | Self::Refused { .. }
            | Self::Trapped { .. }
            | Self::Wrong { .. } => Some(LEAVE.to_owned()),
            _ => None,
        }
    }
}

/// Optimises a component or a core module. It blocks, for as long as that takes: some ten seconds for
/// each MB of code. What was made before is taken from the engine's artifact cache.
///
/// # Errors
/// [`OptimiseError`]; there is no partial result.
pub fn optimise(optimiser: &Optimiser<'_>, wasm: Vec<u8>) -> Result<Optimised, OptimiseError> {
    let name = name(optimiser.terms, &wasm);
    let cache = optimiser.engine.cache().and_then(Result::ok);
    if let Some(kept) = cache.and_then(|cache| cache.made(&name))
        && let Some(optimised) = Optimised::read(&kept, &wasm)
    {
        return Ok(optimised);
    }
    let optimised = anew(optimiser, wasm)?;
    if let Some(cache) = cache {
        cache.keep_made(&name, &optimised.written());
    }
    Ok(optimised)
}

/// The name of what comes out, which all decides that decides it.
fn name(terms: &OptimiseTerms, wasm: &[u8]) -> Digest {
    let OptimiseTerms { goal, debug, cpu: _, memory_bytes: _ } = terms;
    let decides = format!("optimised {} {goal:?} {debug:?} {}", OPTIMISER.digest, Digest::of(wasm));
    Digest::of(decides.as_bytes())
}

fn anew(optimiser: &Optimiser<'_>, wasm: Vec<u8>) -> Result<Optimised, OptimiseError> {
    features::validate(&wasm).map_err(OptimiseError::Invalid)?;
    let tool = tool::Tool::new(optimiser)?;
    let until = Instant::now() + optimiser.terms.cpu;
    let new = component::rewrite(&wasm, optimiser.terms.debug, &mut |module, at| {
        tool.optimise(module, at, optimiser.terms, until)
    })?;
    let whole = features::validate(&new);
    whole.map_err(|error| OptimiseError::Wrong {
        module: 0,
        what: "not valid",
        source: Some(error),
    })?;
    let bytes = [wasm.len() as u64, new.len() as u64];
    let code_bytes = match optimiser.terms.goal {
        Goal::Size => None,
        Goal::Speed if component::is_module(&wasm) => None,
        Goal::Speed => Some([code_bytes(optimiser, &wasm)?, code_bytes(optimiser, &new)?]),
    };
    let measured = Measured { bytes, code_bytes };
    let wasm = if measured.is_better() { new } else { wasm };
    Ok(Optimised { wasm, measured })
}

fn code_bytes(optimiser: &Optimiser<'_>, component: &[u8]) -> Result<u64, EngineError> {
    let engine = tool::engine(optimiser.engine)?;
    Ok(engine.load(component)?.artifact_bytes())
}

/// How many bytes of a kept result are numbers: bytes before, and code before and after.
const NUMBERS: usize = 24;

impl Optimised {
    /// As it is kept: numbers, and the component if it is another one.
    fn written(&self) -> Vec<u8> {
        let Measured { bytes, code_bytes } = self.measured;
        let [before, after] = code_bytes.unwrap_or_default();
        let mut written: Vec<u8> = [bytes[1], before, after].map(u64::to_le_bytes).concat();
        if self.measured.is_better() {
            written.extend_from_slice(&self.wasm);
        }
        written
    }

    /// What was kept of what `wasm` became.
    fn read(kept: &[u8], wasm: &[u8]) -> Option<Self> {
        let (numbers, new) = kept.split_at_checked(NUMBERS)?;
        let mut numbers = numbers.chunks_exact(8).map(|it| it.try_into().map(u64::from_le_bytes));
        let mut number = || numbers.next()?.ok();
        let [after, code_before, code_after] = [number()?, number()?, number()?];
        let measured = Measured {
            bytes: [wasm.len() as u64, after],
            code_bytes: Some([code_before, code_after]).filter(|it| it != &[0, 0]),
        };
        let new = if measured.is_better() { new } else { wasm };
        Some(Self { wasm: new.to_vec(), measured })
    }
}

/// Takes bytes apart and puts them together again, as optimising does, without `wasm-opt`: what is
/// valid has to stay so.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(wasm: &[u8]) {
    let is_valid = features::validate(wasm).is_ok();
    for debug in [Debug::Kept, Debug::Stripped] {
        let again = component::rewrite(wasm, debug, &mut |module, _| {
            let again = || {
                let parts = module::Parts::of(module, debug)?;
                let _ = module::only_connects(module)?;
                let again = parts.with(&parts.code);
                Ok(module::Face::of(&again)?.replaces(&module::Face::of(module)?).then_some(again))
            };
            let again: Option<Vec<u8>> = again().map_err(OptimiseError::Invalid)?;
            Ok(again.expect("its exports and imports stay"))
        });
        match again {
            Ok(again) if is_valid => features::validate(&again).expect("it stays valid"),
            Ok(_) | Err(OptimiseError::TooDeep) => {}
            Err(error) => assert!(!is_valid, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let better = Optimised {
            wasm: b"new".to_vec(),
            measured: Measured { bytes: [5, 3], code_bytes: None },
        };
        assert_eq!(Optimised::read(&better.written(), b"older"), Some(better));
        let worse = Optimised {
            wasm: b"older".to_vec(),
            measured: Measured { bytes: [5, 3], code_bytes: Some([7, 8]) },
        };
        assert_eq!(worse.written().len(), NUMBERS);
        assert_eq!(Optimised::read(&worse.written(), b"older"), Some(worse));
        assert_eq!(Optimised::read(b"short", b"older"), None);
    }

    #[test]
    fn all_that_decides_is_in_the_name() {
        let size = OptimiseTerms::new(Goal::Size);
        let longer = OptimiseTerms { cpu: Duration::from_secs(1), ..size.clone() };
        let named = OptimiseTerms { debug: Debug::Kept, ..size.clone() };
        assert_eq!(name(&size, b"a"), name(&longer, b"a"));
        assert!(name(&size, b"a") != name(&size, b"b"));
        assert!(name(&size, b"a") != name(&named, b"a"));
        assert!(name(&size, b"a") != name(&OptimiseTerms::new(Goal::Speed), b"a"));
    }

    #[test]
    fn what_is_not_better_says_so() {
        let same = Measured { bytes: [9, 9], code_bytes: None };
        assert_eq!(same.to_string(), "dropped, because 9 bytes became 9");
        let less = Measured { bytes: [9, 10], code_bytes: Some([20, 15]) };
        assert_eq!(less.to_string(), "20 bytes of code became 15");
    }
}
