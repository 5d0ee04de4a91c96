//! Source to artifact: turns the file that a manifest names into a component that the engine takes.
//!
//! [`pipeline`] reads as the list of its phases, one file each. Nothing here runs or compiles
//! WebAssembly: this crate reads and writes bytes, so it is safe on untrusted input and needs no
//! engine. Before it, [`fetch`] brings what is elsewhere.
#![deny(missing_docs)]

pub mod componentise;
pub mod compose;
pub mod fetch;
pub mod inspect;
pub mod pipeline;
pub mod progress;
pub mod rename;
pub mod resolve;
pub mod script;
pub mod shape;

mod names;
mod sections;
mod splice;
mod unshim;

pub use compose::Composition;
pub use inspect::{InterfaceName, ItemKind, World, inspect};
pub use pipeline::{
    ForgeError, Job, Prepared, Unshaped, files, prepare, prepare_bytes, prepare_unshaped,
};
pub use progress::{Phase, PhaseReport};
pub use shape::{ShapeError, detect_shape, shapes};
