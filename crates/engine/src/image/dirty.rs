//! Which pages of a memory an instance has made its own, as the kernel lists them: Linux' `PAGEMAP_SCAN`
//! (6.7), `Documentation/admin-guide/mm/pagemap.rst`.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::LazyLock;

use rustix::ioctl::{Opcode, ioctl, opcode};

/// Stretches of pages that one call lists: 6 KiB of the caller's stack.
const MOST: usize = 256;

const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;

const SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);

/// The kernel's `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// The kernel's `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

static PAGEMAP: LazyLock<Option<File>> = LazyLock::new(|| {
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    // Older kernels do not know the call.
    scan(&pagemap, 0..0, &mut []).ok()?;
    Some(pagemap)
});

/// Whether pages can be listed here; the first call finds out, and opens what it takes.
pub(super) fn can_be_listed() -> bool {
    PAGEMAP.is_some()
}

/// Lists the pages in a range of addresses that are this process's own: written to where a file is
/// mapped, or used where none is; says how many bytes these come to. `None` if they cannot be listed, or
/// are more than `most_bytes`: then those that were listed are not all.
pub(super) fn pages(
    range: Range<usize>,
    most_bytes: usize,
    mut each: impl FnMut(Range<usize>),
) -> Option<usize> {
    let pagemap = PAGEMAP.as_ref()?;
    let mut regions = [const { MaybeUninit::uninit() }; MOST];
    let (mut from, mut bytes) = (range.start, 0);
    while from < range.end {
        let (found, walk_end) = scan(pagemap, from..range.end, &mut regions).ok()?;
        let found = found.iter().map(|region| region.start as usize..region.end as usize);
        bytes += found.clone().map(|range| range.len()).sum::<usize>();
        if bytes > most_bytes || walk_end <= from {
            return None;
        }
        found.for_each(&mut each);
        from = walk_end;
    }
    Some(bytes)
}

fn scan<'a>(
    pagemap: &File,
    range: Range<usize>,
    regions: &'a mut [MaybeUninit<Region>],
) -> io::Result<(&'a [Region], usize)> {
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: 0,
        start: range.start as u64,
        end: range.end as u64,
        walk_end: 0,
        vec: regions.as_mut_ptr() as u64,
        vec_len: regions.len() as u64,
        max_pages: 0,
        // Not a file's, and somewhere: swapped pages and those that are being moved count.
        category_inverted: IS_FILE,
        category_mask: IS_FILE,
        category_anyof_mask: IS_PRESENT | IS_SWAPPED,
        return_mask: IS_PRESENT,
    };
    let count = call(pagemap, &mut scan)?;
    // SAFETY: the kernel has written as many regions as it says, from the first on.
    let found = unsafe {
        std::slice::from_raw_parts(regions.as_ptr().cast::<Region>(), count.min(regions.len()))
    };
    Ok((found, scan.walk_end as usize))
}

/// Makes the call; says how many regions it has written.
fn call(pagemap: &File, scan: &mut Scan) -> io::Result<usize> {
    struct Counted<'a>(&'a mut Scan);

    // SAFETY: the opcode, its argument and what it gives are those of the kernel's documentation.
    unsafe impl rustix::ioctl::Ioctl for Counted<'_> {
        type Output = usize;

        const IS_MUTATING: bool = true;

        fn opcode(&self) -> Opcode {
            SCAN
        }

        fn as_ptr(&mut self) -> *mut c_void {
            std::ptr::from_mut(self.0).cast()
        }

        unsafe fn output_from_ptr(
            output: rustix::ioctl::IoctlOutput,
            _: *mut c_void,
        ) -> rustix::io::Result<usize> {
            usize::try_from(output).map_err(|_| rustix::io::Errno::OVERFLOW)
        }
    }

    // SAFETY: the kernel writes to `scan` and to the regions that it names, which are borrowed.
    Ok(unsafe { ioctl(pagemap, Counted(scan)) }?)
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    use super::*;

    const PAGE: usize = 4096;
    const PAGES: usize = 4 * MOST;

    /// Which pages of an area are listed, of which every other one was written to.
    fn listed(most_bytes: usize) -> (Option<usize>, Vec<usize>) {
        let bytes = PAGES * PAGE;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses where; nothing there is in use.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, flags) }.unwrap();
        for page in (0..PAGES).step_by(2) {
            // SAFETY: the page lies within the area.
            unsafe { start.cast::<u8>().add(page * PAGE).write(1) };
        }
        let first = start as usize;
        let mut found = Vec::new();
        let outcome = pages(first..first + bytes, most_bytes, |pages| {
            found.extend(pages.step_by(PAGE).map(|page| (page - first) / PAGE));
        });
        // SAFETY: the area is this test's own.
        unsafe { munmap(start, bytes) }.unwrap();
        (outcome, found)
    }

    #[test]
    fn more_stretches_than_one_call_lists_are_all_listed() {
        if !can_be_listed() {
            eprintln!("this kernel lists no pages");
            return;
        }
        let (outcome, found) = listed(PAGES / 2 * PAGE);
        assert_eq!(outcome, Some(PAGES / 2 * PAGE));
        assert_eq!(found, (0..PAGES).step_by(2).collect::<Vec<_>>());
        let (outcome, found) = listed(PAGES / 2 * PAGE - 1);
        assert_eq!(outcome, None, "one page too many: {} were listed", found.len());
    }
}
