//! The stacks of instances whose memory is an image. Wasmtime's own are mapped for each instance and
//! unmapped with it, and each touches its pages anew; these wait for their next instance.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap,
};
use wasmtime::{StackCreator, StackMemory};

/// Stacks that wait for their next instance.
const MAX_KEPT: usize = 64;

/// What of a stack stays in memory while it waits: what most instances use of it.
const KEPT_BYTES: usize = 32 << 10;

/// Below each stack lies what ends who overflows it.
const GUARD_BYTES: usize = 64 << 10;

/// Makes stacks, and keeps them.
#[derive(Default)]
pub(crate) struct Stacks {
    kept: Arc<Mutex<Vec<Mapping>>>,
}

// SAFETY: a stack is as large as asked for, lies over an inaccessible guard, and belongs to one fiber
// until that drops it. It is zero when it must be.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, bytes: usize, zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let bytes = bytes.next_multiple_of(GUARD_BYTES);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = if zeroed { None } else { kept.pop() };
        drop(kept);
        let mapping = match found.filter(|mapping| mapping.bytes == bytes) {
            Some(mapping) => mapping,
            None => Mapping::new(bytes)?,
        };
        Ok(Box::new(Stack { mapping: Some(mapping), kept: Arc::clone(&self.kept) }))
    }
}

/// A guard, and above it a stack.
struct Mapping {
    start: NonNull<c_void>,
    /// Without the guard.
    bytes: usize,
}

// SAFETY: it is an address range that it owns.
unsafe impl Send for Mapping {}
// SAFETY: as above; nothing is written through a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Mapping> {
        // SAFETY: the kernel chooses where; nothing there is in use.
        let start = unsafe {
            let (access, flags) = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
            mmap_anonymous(ptr::null_mut(), GUARD_BYTES + bytes, access, flags)?
        };
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping { start, bytes };
        // SAFETY: the range lies within the mapping.
        unsafe {
            mprotect(mapping.bottom().cast(), bytes, MprotectFlags::READ | MprotectFlags::WRITE)?
        };
        Ok(mapping)
    }

    fn bottom(&self) -> *mut u8 {
        // SAFETY: the guard is a part of the mapping.
        unsafe { self.start.as_ptr().cast::<u8>().add(GUARD_BYTES) }
    }

    /// Gives up what lies below what most instances use.
    fn forget(&self) -> io::Result<()> {
        let deep = self.bytes.saturating_sub(KEPT_BYTES);
        // SAFETY: the range lies within the mapping, and no fiber uses it any more.
        unsafe { Ok(madvise(self.bottom().cast(), deep, Advice::LinuxDontNeed)?) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nobody uses it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr(), GUARD_BYTES + self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The stack of one instance.
struct Stack {
    mapping: Option<Mapping>,
    kept: Arc<Mutex<Vec<Mapping>>>,
}

impl Stack {
    fn mapping(&self) -> &Mapping {
        // It is taken out only when the stack is dropped.
        self.mapping.as_ref().unwrap_or_else(|| unreachable!("a stack has its mapping"))
    }
}

// SAFETY: the addresses never change, and the guard is never accessible.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        let mapping = self.mapping();
        // SAFETY: it is the mapping's end.
        unsafe { mapping.bottom().add(mapping.bytes) }
    }

    fn range(&self) -> Range<usize> {
        let bottom = self.mapping().bottom() as usize;
        bottom..bottom + self.mapping().bytes
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let mapping = self.mapping();
        mapping.start.as_ptr().cast()..mapping.bottom()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mapping) = self.mapping.take() else { return };
        if mapping.forget().is_ok() {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MAX_KEPT {
                kept.push(mapping);
            }
        }
    }
}
