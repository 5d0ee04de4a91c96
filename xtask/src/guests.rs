//! The guests that tests and benchmarks run: one line a guest here, one file a toolchain beside.
//! A guest is built again when its sources, its recipe, or what the recipe draws on changed.

mod assemblyscript;
mod build;
mod c;
mod fingerprint;
mod go;
mod javascript;
mod python;
pub mod rust;
mod wit;
mod zig;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};

pub use build::Job;

use crate::tree::Tree;

/// How a guest takes an event, in DESIGN.md's words.
#[derive(Clone, Copy)]
pub enum Shape {
    /// wasi:http 0.2.
    Http02,
    /// wasi:http 0.3.
    Http03,
    /// A core module with a `_start`, or a component with `wasi:cli/run`.
    Command,
    /// Spin 1's handler.
    SpinHttp,
    /// A handler of one kind of event: Redis messages, or what is scheduled.
    Event,
    /// Typed functions of a world of its own.
    Typed,
}

/// How a toolchain builds its guests.
pub struct Recipe {
    /// The language, for the list.
    pub language: &'static str,
    /// Counted up when the recipe changes what comes out.
    pub version: u32,
    /// Files and folders beside the guest's own that the outcome depends on, from the root.
    pub inputs: &'static [&'static str],
    /// Writes the guest to the job's output.
    pub build: fn(&Job) -> Result<()>,
}

/// One guest, whose sources lie in `guests/NAME`.
pub struct Guest {
    pub name: &'static str,
    pub shape: Shape,
    pub recipe: &'static Recipe,
}

const fn guest(name: &'static str, shape: Shape, recipe: &'static Recipe) -> Guest {
    Guest { name, shape, recipe }
}

/// All guests, in the order in which they are built.
pub const GUESTS: &[Guest] = &[
    guest("rust-hello", Shape::Http02, &rust::COMPONENT),
    guest("rust-http", Shape::Http02, &rust::COMPONENT),
    guest("rust-interfaces", Shape::Http02, &rust::COMPONENT),
    guest("rust-wstd", Shape::Http02, &rust::COMPONENT),
    guest("rust-spin-1", Shape::SpinHttp, &rust::COMPONENT),
    guest("rust-spin-2", Shape::Http02, &rust::MODULE),
    guest("rust-spin-3", Shape::Http02, &rust::MODULE),
    guest("rust-spin-5", Shape::Http02, &rust::SPIN_5),
    guest("rust-spin-6", Shape::Http03, &rust::SPIN_6),
    guest("rust-spin-7", Shape::Http03, &rust::SPIN_5),
    guest("rust-events", Shape::Http02, &rust::COMPONENT),
    guest("rust-websocket", Shape::Http02, &rust::WEBSOCKET),
    guest("rust-chat", Shape::Http02, &rust::WEBSOCKET),
    guest("rust-redis-3", Shape::Event, &rust::MODULE),
    guest("rust-redis-7", Shape::Event, &rust::COMPONENT),
    guest("rust-cron", Shape::Event, &rust::COMPONENT),
    guest("rust-messaging", Shape::Event, &rust::COMPONENT),
    guest("rust-p3-echo", Shape::Http03, &rust::COMPONENT),
    guest("hostile", Shape::Http02, &rust::COMPONENT),
    guest("hostile-p3", Shape::Http03, &rust::COMPONENT),
    guest("rust-typed", Shape::Typed, &rust::COMPONENT),
    guest("rust-library", Shape::Typed, &rust::COMPONENT),
    guest("rust-composed", Shape::Http02, &rust::COMPOSED),
    guest("rust-composed-p3", Shape::Http03, &rust::COMPOSED),
    guest("rust-gate", Shape::Http02, &rust::COMPONENT),
    guest("rust-middleware", Shape::Http03, &rust::COMPONENT),
    guest("rust-pages", Shape::Http03, &rust::COMPONENT),
    guest("rust-p2-command", Shape::Command, &rust::COMMAND_COMPONENT),
    guest("rust-p3-command", Shape::Command, &rust::COMPONENT),
    guest("rust-command", Shape::Command, &rust::MODULE),
    guest("c-command", Shape::Command, &c::COMMAND),
    guest("c-frozen", Shape::Command, &c::COMMAND),
    guest("c-http", Shape::Http02, &c::MODULE),
    guest("zig-command", Shape::Command, &zig::COMMAND),
    guest("go-command", Shape::Command, &go::COMMAND),
    guest("assemblyscript-command", Shape::Command, &assemblyscript::COMMAND),
    guest("js-componentize", Shape::Http02, &javascript::COMPONENTIZE),
    guest("js-websocket", Shape::Http02, &javascript::WEBSOCKET),
    guest("js-spin", Shape::Http02, &javascript::SPIN),
    guest("python-http", Shape::Http02, &python::PLAIN),
    guest("python-spin-3", Shape::Http02, &python::SPIN_3),
    guest("python-spin-5", Shape::Http03, &python::SPIN_5),
];

/// Prints each guest with its language and shape.
pub fn list() {
    for guest in GUESTS {
        println!("{:<24} {:<16} {}", guest.name, guest.recipe.language, guest.shape);
    }
}

/// Builds the named guests, or all, as far as they changed. One that fails does not keep the
/// others from being built. Two are built at once, one from each end of the list: Rust's, which stand
/// at its beginning, share a folder that only one of them can build in.
pub fn build(tree: &Tree, names: &[String], force: bool) -> Result<()> {
    let chosen = choose(names)?;
    let _one_at_a_time = tree.lock()?;
    let waiting: Mutex<VecDeque<_>> = Mutex::new(chosen.iter().copied().collect());
    let first = || lock(&waiting).pop_front();
    let last = || lock(&waiting).pop_back();
    let (from_front, from_back) = std::thread::scope(|scope| {
        let back = scope.spawn(|| build_all(tree, last, force));
        let front = build_all(tree, first, force);
        (front, back.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let failed = [from_front.failed, from_back.failed].concat();
    if !failed.is_empty() {
        bail!("failed to build {} of {} guests: {}", failed.len(), chosen.len(), failed.join(" "));
    }
    let built = from_front.built + from_back.built;
    eprintln!("guests: {} ready, {built} of them built now", chosen.len());
    Ok(())
}

/// What became of some guests.
#[derive(Default)]
struct Outcome {
    built: usize,
    failed: Vec<&'static str>,
}

fn build_all(tree: &Tree, next: impl Fn() -> Option<&'static Guest>, force: bool) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(guest) = next() {
        match build::refresh(tree, guest, force) {
            Ok(fresh) => outcome.built += usize::from(fresh),
            Err(error) => {
                eprintln!("guest {}: {error:#}", guest.name);
                outcome.failed.push(guest.name);
            }
        }
    }
    outcome
}

/// The lock is never held while something can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn choose(names: &[String]) -> Result<Vec<&'static Guest>> {
    if names.is_empty() {
        return Ok(GUESTS.iter().collect());
    }
    names.iter().map(|name| find(name)).collect()
}

fn find(name: &str) -> Result<&'static Guest> {
    match GUESTS.iter().find(|guest| guest.name == name) {
        Some(guest) => Ok(guest),
        None => bail!("there is no guest `{name}`: `cargo xtask guests --list` names them"),
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Shape::Http02 => "wasi:http 0.2",
            Shape::Http03 => "wasi:http 0.3",
            Shape::Command => "command",
            Shape::SpinHttp => "fermyon:spin/inbound-http",
            Shape::Event => "handler of events",
            Shape::Typed => "typed exports",
        })
    }
}
