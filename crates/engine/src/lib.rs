//! Everything Wasmtime: the only crate of Dayfly that builds a Wasmtime configuration, compiles,
//! loads native code, and bounds what an instance may use.
//!
//! What it leaves out: what guests may call (`dayfly-capabilities`) and who calls them
//! (`dayfly-host`).
//!
//! Start at [`Engine`]: [`Engine::load`] makes [`Code`] of a component's bytes, [`Code::store`]
//! makes the store of one instance, and [`Metered`] runs it under a CPU budget.

#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

#[doc(hidden)]
pub mod artifact {
    //! The artifact's format, for fuzzing.
    pub use crate::cache::ArtifactKey;
    pub use crate::cache::format::{Reject, TRAILER_BYTES, parse, trailer};
}
mod budget;
mod cache;
mod code;
mod compile;
mod config;
mod engine;
mod error;
mod flavour;
mod image;
mod limiter;
mod metered;
mod mode;
mod native;
mod pool;
mod stamp;
pub mod ticker;
mod weigh;

pub use budget::CpuBudget;
pub use cache::{ArtifactCache, CacheError, CacheStats};
pub use code::{Code, Digest, Origin};
pub use config::EngineConfig;
pub use engine::{Engine, Hold};
pub use error::EngineError;
pub use flavour::Flavour;
pub use image::{Freezable, Freezing, Instantiating, is_large};
pub use limiter::{Bounds, Exceeded, MemoryLimiter, StoreData};
pub use metered::{CpuLimitExceeded, Metered, metered_blocking};
pub use mode::{Mode, ParseModeError};
pub use stamp::Stamp;
pub use weigh::Weight;
