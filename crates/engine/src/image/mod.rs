//! Code apart from memory: components that differ only in what their memory holds share one
//! compiled *base*, and each has an *image* of its own, which instances map copy-on-write.
//!
//! An interpreter frozen with an app in it, or a component made by componentize-js or
//! componentize-py, is mostly the interpreter's code, the same for every app. `split.rs` takes the
//! initial memory out of such a component: what remains is compiled once for all of them. The image
//! is a file of the pages that are not zero (`file.rs`), which `memory.rs` maps over the front of an
//! instance's linear memory. The values of globals lie in the image's last page; the base's start
//! functions read them from there and zero them.
//!
//! Wasmtime can do that through [`wasmtime::Config::with_host_memory`] alone, whose memories are told
//! nothing of the instance they are for: [`Instantiating`] says it, for as long as an instance is
//! being made. Its pooling allocator takes no memories of others, so these instances have none of
//! its pools; ours keeps mapped memories (`memory.rs`) and stacks (`stacks.rs`) instead.

mod composed;
mod dirty;
mod file;
mod freeze;
mod memory;
mod module;
mod outline;
mod sections;
mod split;
mod stacks;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

pub use freeze::{Freezable, Freezing};

pub(crate) use file::{Image, in_memory};
pub(crate) use memory::Memories;
pub(crate) use split::{SAVE, Shape, Split, Unsuited, split};
pub(crate) use stacks::Stacks;

/// Smaller components have their memory's image compiled in: what their code takes to compile and to
/// keep is not worth an image apart.
const SMALLEST_BYTES: usize = 1 << 20;

/// Whether a component is large enough for its code to be kept apart from its memory's image.
pub const fn is_large(wasm: &[u8]) -> bool {
    wasm.len() >= SMALLEST_BYTES
}

/// The size of a page of WebAssembly, in bytes.
pub(crate) const PAGE_BYTES: u64 = 65_536;

/// What the memory that is being made is to be.
pub(crate) struct Wanted {
    /// What it begins as.
    pub(crate) image: Arc<Image>,
    /// Where it says where it is, for who is to read it.
    pub(crate) place: Option<Arc<Place>>,
}

/// Where a memory is and how long; 0 when it is gone.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) start: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

thread_local! {
    /// The memory of the instance that is being made on this thread, until it is made.
    static WANTED: RefCell<Option<Wanted>> = const { RefCell::new(None) };
}

/// Makes an instance of code, with the memory that belongs to it; see [`crate::Code::instantiating`].
pub struct Instantiating<F> {
    wanted: Option<Wanted>,
    future: F,
}

impl<F> Instantiating<F> {
    pub(crate) fn new(wanted: Option<Wanted>, future: F) -> Self {
        Self { wanted, future }
    }
}

/// Puts what is wanted in its place for one poll, and takes back what was not used, whatever
/// happens.
struct Offer<'a>(&'a mut Option<Wanted>);

impl<'a> Offer<'a> {
    fn new(offered: &'a mut Option<Wanted>) -> Self {
        WANTED.with_borrow_mut(|wanted| std::mem::swap(wanted, offered));
        Self(offered)
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        WANTED.with_borrow_mut(|wanted| std::mem::swap(wanted, self.0));
    }
}

impl<F: Future> Future for Instantiating<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned structurally: nothing moves it out of a pinned `Instantiating`,
        // which has no destructor and is `Unpin` only when `F` is. `wanted` is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: see above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        if this.wanted.is_none() {
            return future.poll(cx);
        }
        let _offer = Offer::new(&mut this.wanted);
        future.poll(cx)
    }
}

/// What the memory that is being made is to be.
fn wanted() -> Option<Wanted> {
    WANTED.with_borrow_mut(Option::take)
}
