//! The engine's tests: all in one binary, which also starts itself again where a test needs a
//! process of its own (`support::child`).

mod cache;
mod corruption;
mod cpu;
mod flavour;
mod hygiene;
mod image;
mod killed;
mod limits;
mod modes;
mod races;
mod support;
mod ticker;
