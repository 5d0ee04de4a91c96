//! Why a component could not be frozen.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_engine::{CpuLimitExceeded, EngineError};

use super::{Ended, FreezeTerms, INITIALISERS};

/// A component could not be frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// Nothing that it exports initialises it.
    #[error("it exports no function `{}`", .wanted.join("`, `"))]
    NoInitialiser {
        /// The names that were looked for.
        wanted: Vec<String>,
    },
    /// What should initialise it is no function without parameters.
    #[error("its initialiser `{name}` takes parameters")]
    Parameters {
        /// The function.
        name: String,
    },
    /// Its exports could not be read.
    #[error("failed to read its exports")]
    Malformed(#[source] wasmparser::BinaryReaderError),
    /// The engine cannot freeze it.
    #[error(transparent)]
    Engine(EngineError),
    /// A folder that it is granted could not be opened.
    #[error("failed to open the granted folder `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// There is no runtime to run it in.
    #[error("failed to start a runtime")]
    Runtime(#[source] io::Error),
    /// The initialiser said that it failed.
    #[error("its initialiser `{initialiser}` failed{}", told(reason.as_deref(), output))]
    Refused {
        /// The function.
        initialiser: String,
        /// What it said.
        reason: Option<String>,
        /// What it wrote.
        output: String,
    },
    /// The initialiser trapped, or called what it may not.
    #[error("its initialiser `{initialiser}` trapped{}", told(None, output))]
    Trapped {
        /// The function.
        initialiser: String,
        /// The trap.
        #[source]
        source: wasmtime::Error,
        /// What it wrote.
        output: String,
    },
    /// The initialiser ended the program.
    #[error("its initialiser `{initialiser}` ended with status {status}{}", told(None, output))]
    Exited {
        /// The function.
        initialiser: String,
        /// The status.
        status: i32,
        /// What it wrote.
        output: String,
    },
    /// The initialiser used up its CPU time.
    #[error(
        "its initialiser `{initialiser}` used more than {} s of CPU time{}",
        cpu.as_secs_f64(),
        told(None, output)
    )]
    Cpu {
        /// The function.
        initialiser: String,
        /// The bound.
        cpu: Duration,
        /// What it wrote.
        output: String,
    },
    /// The initialiser did not come to an end.
    #[error(
        "its initialiser `{initialiser}` took more than {} s{}",
        time.as_secs_f64(),
        told(None, output)
    )]
    TooLong {
        /// The function.
        initialiser: String,
        /// The bound.
        time: Duration,
        /// What it wrote.
        output: String,
    },
    /// The initialiser wanted more memory than it may have.
    #[error(
        "its initialiser `{initialiser}` wanted more than {} MiB of memory{}",
        memory_bytes >> 20,
        told(None, output)
    )]
    Memory {
        /// The function.
        initialiser: String,
        /// The bound.
        memory_bytes: u64,
        /// What it wrote.
        output: String,
    },
}

/// How many lines of what a guest says are told, and how many characters of each.
const TOLD_LINES: usize = 40;
const TOLD_CHARACTERS: usize = 400;

/// The reason that the guest gave, and the last of what it wrote, on lines of their own.
pub(crate) fn told(reason: Option<&str>, output: &str) -> String {
    let lines = |text: &str| -> Vec<String> {
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(TOLD_LINES));
        last.map(|line| format!("\n  | {}", clean(line))).collect()
    };
    let all = [lines(reason.unwrap_or_default()), lines(output)].concat();
    if all.is_empty() { String::new() } else { format!(":{}", all.concat()) }
}

/// The beginning of a line, without what could move a terminal's cursor.
fn clean(line: &str) -> String {
    let shown = line.chars().take(TOLD_CHARACTERS);
    shown.map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

impl FreezeError {
    pub(super) fn of_call(
        ended: Ended,
        initialiser: &str,
        terms: &FreezeTerms,
        output: String,
    ) -> Self {
        let initialiser = initialiser.to_owned();
        match ended {
            Ended::Refused(reason) => Self::Refused { initialiser, reason, output },
            Ended::Parameters => Self::Parameters { name: initialiser },
            Ended::OutOfMemory => {
                Self::Memory { initialiser, memory_bytes: terms.memory_bytes, output }
            }
            Ended::Failed(source) if source.is::<CpuLimitExceeded>() => {
                Self::Cpu { initialiser, cpu: terms.cpu, output }
            }
            Ended::Failed(source) => match source.downcast_ref::<wasmtime_wasi::I32Exit>() {
                Some(exit) => Self::Exited { initialiser, status: exit.0, output },
                None => Self::Trapped { initialiser, source, output },
            },
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInitialiser { .. } => Some(format!(
                "export a function without parameters that does the start-up work, named one of \
                 `{}`, or name it by `--init`",
                INITIALISERS.join("`, `")
            )),
            Self::Parameters { .. } => {
                Some("an initialiser takes nothing, and gives nothing or a `result`".to_owned())
            }
            Self::Trapped { .. } => Some(
                "an initialiser may compute and read the files it is granted; sockets, requests, \
                 stores and writing wait until an instance handles an event"
                    .to_owned(),
            ),
            Self::Cpu { .. } | Self::TooLong { .. } => {
                Some("look for a loop that never ends, or for work that waits".to_owned())
            }
            Self::Memory { .. } => {
                Some("raise the component's `limits.memory`, if it needs as much".to_owned())
            }
            Self::Exited { .. } => Some("an initialiser returns".to_owned()),
            Self::Engine(EngineError::Unfreezable { .. }) => Some(
                "what is prepared has to be in the component's one memory, or in globals that are \
                 numbers"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
