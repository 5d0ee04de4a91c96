//! Linear memories that begin as an image, mapped copy-on-write from its file.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use super::{Image, PAGE_BYTES, Place, Wanted, dirty, wanted};

/// Memories of one image that wait for their next instance. One that waits holds address space, page
/// tables, and the pages that were its last instance's own, as the image has them.
const MAX_KEPT: usize = 64;

/// Pages of an instance's own that are written over as they were; with more it is faster to give them
/// up, and let the next instance fault them in again.
const MAX_REWRITTEN_BYTES: usize = 4 << 20;

/// What all memories of one image that wait may hold of such pages. Those that go beyond give theirs up.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// What Wasmtime asks for memories.
pub(crate) struct Memories {
    rewrites: bool,
}

impl Memories {
    /// What memories are made by, and whether few pages that an instance changed are written over. It
    /// opens what that takes.
    pub(crate) fn new(may_scan_pages: bool) -> Memories {
        Memories { rewrites: may_scan_pages && dirty::can_be_listed() }
    }
}

// SAFETY: the memories are reserved as large as asked for, with inaccessible guards on both sides,
// belong to the instance alone until it drops them, and are zero but for the image that the
// instance is to begin with.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved_bytes: Option<usize>,
        guard_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        // A base's memory is empty; one with a minimum, or with small pages, is something else's.
        let wanted = match minimum == 0 && ty.page_size() == PAGE_BYTES {
            true => wanted(),
            false => None,
        };
        let reserved_bytes = reserved_bytes.unwrap_or(4 << 30);
        let shape = Shape { reserved_bytes, guard_bytes };
        let memory = match wanted {
            Some(wanted) => Memory::of(wanted, shape, self.rewrites),
            None => Memory::empty(minimum, shape),
        };
        let memory = memory.map_err(|error| format!("failed to map a memory: {error}"))?;
        Ok(Box::new(memory))
    }
}

/// The address space of a memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    reserved_bytes: usize,
    guard_bytes: usize,
}

/// Memories of one image that wait for their next instance.
#[derive(Default)]
pub(super) struct Kept {
    slots: Vec<Slot>,
    /// What they hold of pages that instances made their own.
    bytes: usize,
}

impl Kept {
    fn take(&mut self) -> Option<Slot> {
        let slot = self.slots.pop()?;
        self.bytes -= slot.own_bytes;
        Some(slot)
    }

    fn put(&mut self, slot: Slot) {
        if self.slots.len() < MAX_KEPT {
            self.bytes += slot.own_bytes;
            self.slots.push(slot);
        }
    }
}

/// Reserved address space: a guard, room for the memory, a guard.
pub(super) struct Slot {
    start: NonNull<c_void>,
    shape: Shape,
    /// What it holds of pages that instances made their own, while it waits.
    own_bytes: usize,
}

// SAFETY: it is an address range that it owns.
unsafe impl Send for Slot {}
// SAFETY: as above; nothing is written through a shared reference.
unsafe impl Sync for Slot {}

impl Slot {
    fn new(shape: Shape) -> io::Result<Slot> {
        let length = shape.reserved_bytes + 2 * shape.guard_bytes;
        // SAFETY: the kernel chooses where; nothing there is in use.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Slot { start, shape, own_bytes: 0 })
    }

    /// Address space whose front is an image.
    fn mapped(image: &Image, shape: Shape) -> io::Result<Slot> {
        let slot = Slot::new(shape)?;
        if usize::try_from(image.bytes).is_ok_and(|bytes| bytes > shape.reserved_bytes) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        slot.open(0..image.bytes as usize)?;
        for extent in &image.extents {
            let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
            let access = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: the extent lies within the image, which lies within this slot's own address
            // space. The file is never written or truncated while it is mapped: it is renamed into
            // its place when it is whole, and only ever removed.
            unsafe {
                let to = slot.memory().add(extent.offset as usize).cast();
                mmap(to, extent.length as usize, access, flags, &image.file, extent.at)?;
            }
        }
        Ok(slot)
    }

    fn memory(&self) -> *mut u8 {
        // SAFETY: the guard is a part of the slot.
        unsafe { self.start.as_ptr().cast::<u8>().add(self.shape.guard_bytes) }
    }

    /// Lets a stretch of the memory be used.
    fn open(&self, range: std::ops::Range<usize>) -> io::Result<()> {
        self.protect(range, MprotectFlags::READ | MprotectFlags::WRITE)
    }

    fn protect(&self, range: std::ops::Range<usize>, access: MprotectFlags) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: the range lies within the slot, as callers see to.
        unsafe { Ok(mprotect(self.memory().add(range.start).cast(), range.len(), access)?) }
    }

    /// Gives up what was written to a stretch of memory: it is what it was mapped as.
    fn forget(&self, range: std::ops::Range<usize>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: the range lies within the slot, and no instance uses it any more.
        unsafe {
            let start = self.memory().add(range.start).cast();
            Ok(madvise(start, range.len(), Advice::LinuxDontNeed)?)
        }
    }
}

/// An image's file, mapped to be read.
pub(super) struct Pristine {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: it is only read, and nobody writes to the file.
unsafe impl Send for Pristine {}
// SAFETY: as above.
unsafe impl Sync for Pristine {}

impl Pristine {
    fn map(image: &Image) -> io::Result<Pristine> {
        let bytes = image.file_bytes() as usize;
        // SAFETY: the kernel chooses where; the file is never written or truncated.
        let start = unsafe {
            mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, &image.file, 0)?
        };
        Ok(Pristine { start: NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?, bytes })
    }
}

impl Drop for Pristine {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Writes over the pages that an instance made its own, as they were, if they are few; says how many bytes
/// these come to.
fn rewrite(slot: &Slot, image: &Image) -> Option<usize> {
    let memory = slot.memory();
    let (first, bytes) = (memory as usize, image.bytes as usize);
    let pristine = image.pristine.get_or_init(|| Pristine::map(image).ok());
    let pristine = pristine.as_ref()?;
    let kept = image.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes;
    let most_bytes = MAX_KEPT_BYTES.saturating_sub(kept).min(MAX_REWRITTEN_BYTES);
    dirty::pages(first..first + bytes, most_bytes, |pages| {
        let pages = pages.start - first..pages.end - first;
        let mut at = pages.start;
        for extent in &image.extents {
            let (start, end) = (extent.offset as usize, (extent.offset + extent.length) as usize);
            let (start, end) = (start.max(pages.start), end.min(pages.end));
            if start >= end {
                continue;
            }
            let from = extent.at as usize + start - extent.offset as usize;
            // SAFETY: the pages lie within the memory, which no instance uses any more; what is
            // copied lies within the image's file. What lies between extents is zero.
            unsafe {
                ptr::write_bytes(memory.add(at), 0, start - at);
                let from = pristine.start.as_ptr().cast::<u8>().add(from);
                ptr::copy_nonoverlapping(from, memory.add(start), end - start);
            }
            at = end;
        }
        // SAFETY: see above.
        unsafe { ptr::write_bytes(memory.add(at), 0, pages.end - at) };
    })
}

impl Drop for Slot {
    fn drop(&mut self) {
        let length = self.shape.reserved_bytes + 2 * self.shape.guard_bytes;
        // SAFETY: the slot is this one's own, and nobody uses it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr(), length) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The memory of one instance.
struct Memory {
    slot: Option<Slot>,
    bytes: usize,
    image: Option<Arc<Image>>,
    place: Option<Arc<Place>>,
    /// Whether its pages may be written over for the next instance.
    rewrites: bool,
}

impl Memory {
    fn empty(bytes: usize, shape: Shape) -> io::Result<Memory> {
        let slot = Slot::new(shape)?;
        slot.open(0..bytes)?;
        Ok(Memory { slot: Some(slot), bytes, image: None, place: None, rewrites: false })
    }

    fn of(wanted: Wanted, shape: Shape, rewrites: bool) -> io::Result<Memory> {
        let Wanted { image, place } = wanted;
        let kept = image.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let slot = match kept.filter(|slot| slot.shape == shape) {
            Some(slot) => slot,
            None => Slot::mapped(&image, shape)?,
        };
        let bytes = image.bytes as usize;
        let memory = Memory { slot: Some(slot), bytes, image: Some(image), place, rewrites };
        memory.tell();
        Ok(memory)
    }

    /// Says where it is and how long.
    fn tell(&self) {
        if let Some(place) = &self.place {
            place.start.store(self.as_ptr() as usize, Relaxed);
            place.bytes.store(self.bytes, Relaxed);
        }
    }

    fn slot(&self) -> &Slot {
        // It is taken out only when the memory is dropped.
        self.slot.as_ref().unwrap_or_else(|| unreachable!("a memory has its address space"))
    }
}

// SAFETY: the address never changes, and all that Wasmtime may reach is open or a guard.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.slot().shape.reserved_bytes
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        if new_size > self.byte_capacity() {
            return Err(wasmtime::Error::msg("the memory has no more room"));
        }
        self.slot().open(self.bytes..new_size)?;
        self.bytes = new_size;
        self.tell();
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.slot().memory()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.bytes.store(0, Relaxed);
        }
        let (Some(mut slot), Some(image)) = (self.slot.take(), &self.image) else { return };
        let first = image.bytes as usize;
        let rewritten = if self.rewrites { rewrite(&slot, image) } else { None };
        slot.own_bytes = rewritten.unwrap_or(0);
        let forgotten = if rewritten.is_some() { first..self.bytes } else { 0..self.bytes };
        let clean = slot
            .forget(forgotten)
            .and_then(|()| slot.protect(first..self.bytes, MprotectFlags::empty()));
        if clean.is_ok() {
            image.kept.lock().unwrap_or_else(PoisonError::into_inner).put(slot);
        }
    }
}
