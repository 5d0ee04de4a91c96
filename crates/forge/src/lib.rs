//! Source to artifact: turns the file that a manifest names into a component that the engine takes.
//!
//! [`pipeline`] reads as the list of its phases, one file each. Only [`freeze`] runs WebAssembly, in
//! the engine and with next to nothing granted; all else reads and writes bytes. Before it, [`fetch`]
//! brings what is elsewhere.
#![deny(missing_docs)]

pub mod componentise;
pub mod compose;
pub mod fetch;
pub mod freeze;
pub mod inspect;
pub mod package;
pub mod pipeline;
pub mod progress;
pub mod rename;
pub mod resolve;
pub mod script;
pub mod shape;

mod names;
mod sandbox;
mod sections;
mod splice;
mod unshim;

pub use compose::Composition;
pub use freeze::{FreezeError, FreezeTerms, Freezer, FrozenFolder};
pub use inspect::{InterfaceName, ItemKind, World, inspect};
pub use pipeline::{
    ForgeError, Job, Prepared, Unshaped, files, prepare, prepare_bytes, prepare_unshaped,
};
pub use progress::{Phase, PhaseReport};
pub use shape::{ShapeError, detect_shape, shapes};
