//! The forge's tests: one module a phase, then what goes wrong, then real files.

mod componentise;
mod compose;
mod examples;
mod fuse;
mod guests;
mod hostile;
mod optimise;
mod rename;
mod resolve;
mod script;
mod shape;
mod support;
