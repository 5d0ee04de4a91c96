//! Source to artifact: turns the file that a manifest names into a component that the engine takes.
//!
//! [`pipeline`] reads as the list of its phases, one file each. Only [`freeze`] runs an app's
//! WebAssembly, and only with next to nothing granted; tools that are WebAssembly themselves run in a
//! sandbox too; all else reads and writes bytes. Before it, [`fetch`] brings what is elsewhere.
#![deny(missing_docs)]

pub mod componentise;
pub mod compose;
pub mod draft;
pub mod fetch;
pub mod freeze;
pub mod inspect;
pub mod optimise;
pub mod package;
pub mod pipeline;
pub mod progress;
pub mod rename;
pub mod resolve;
pub mod script;
pub mod shape;

mod bodies;
mod fuse;
mod join;
mod names;
mod sandbox;
mod sections;
mod splice;

pub use compose::Composition;
pub use draft::{Draft, Drafted, Drafts, draft};
pub use freeze::{FreezeError, FreezeTerms, Freezer, FrozenFolder};
pub use inspect::{InterfaceName, ItemKind, World, inspect};
pub use optimise::{Debug, OptimiseError, OptimiseTerms, Optimised, Optimiser};
pub use pipeline::{
    ForgeError, Job, Prepared, Unshaped, files, prepare, prepare_bytes, prepare_unshaped, source,
};
pub use progress::{Observer, Phase, PhaseReport};
pub use shape::{ShapeError, detect_shape, shapes};
