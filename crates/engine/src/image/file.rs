//! The file of an image: the pages that are not zero, and where in memory they belong.
//!
//! ```text
//! pages of each extent, one extent after the other
//! of each extent: its offset in memory, its length in bytes     u64, u64, little-endian
//! the digest of the base's bytes                                32 bytes
//! the length of the memory in bytes                             u64
//! the number of extents                                         u32
//! the version of this format                                    u32
//! ```

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, OnceLock};

use super::PAGE_BYTES;
use super::memory::{Kept, Pristine};
use super::module::Data;
use crate::Digest;

/// The size of a page of this machine's, or a multiple of it: what can be mapped apart.
const MAP_BYTES: u64 = 4096;
/// Zeros of up to this many bytes between two pieces of memory are kept: each extent costs every
/// instance a mapping, and a process may have some 65,000.
const GAP_BYTES: u64 = 1 << 20;
/// Extents that an image may have; zeros between further ones are kept.
const MAX_EXTENTS: usize = 32;

/// A page that was never written to.
const ZEROS: [u8; MAP_BYTES as usize] = [0; MAP_BYTES as usize];

const VERSION: u32 = 1;
const EXTENT_BYTES: usize = 16;
const TAIL_BYTES: usize = 48;

/// A stretch of memory that is mapped from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where in memory.
    pub(crate) offset: u64,
    /// Where in the file.
    pub(crate) at: u64,
    /// How many bytes.
    pub(crate) length: u64,
}

/// The memory with which instances of a component begin.
pub(crate) struct Image {
    pub(super) file: File,
    pub(super) extents: Vec<Extent>,
    /// The length of the memory in bytes.
    pub(crate) bytes: u64,
    /// The component that is to be instantiated with it.
    pub(crate) base: Digest,
    /// Memories that wait for their next instance.
    pub(super) kept: Mutex<Kept>,
    /// The file as it is, for what has to be as it was; mapped when it is first needed.
    pub(super) pristine: OnceLock<Option<Pristine>>,
}

/// What a file holds.
pub(super) struct Contents<'a> {
    /// The digest of the code that it is for.
    pub(super) base: &'a Digest,
    /// How large the memory is, with the page of globals at its end.
    pub(super) pages: u64,
    /// What is in it; the rest is zero. Later ones go over earlier ones.
    pub(super) data: &'a [Data<'a>],
    /// That page.
    pub(super) last_page: &'a [u8],
}

impl Contents<'_> {
    /// The bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (extents, total) = self.extents();
        let mut out = vec![0; usize::try_from(total).unwrap_or(usize::MAX)];
        for (at, piece) in self.placed(&extents) {
            let to = usize::try_from(at).unwrap_or(usize::MAX);
            out[to..to + piece.len()].copy_from_slice(piece);
        }
        out.extend(self.tail(&extents));
        out
    }

    /// The image, in a file in memory alone.
    pub(super) fn in_memory(&self) -> io::Result<Image> {
        let (extents, total) = self.extents();
        let file = new_in_memory()?;
        for (at, piece) in self.placed(&extents) {
            file.write_all_at(piece, at)?;
        }
        let tail = self.tail(&extents);
        file.write_all_at(&tail, total)?;
        Image::open(file, total + tail.len() as u64)
    }

    /// Where its memory is in pieces that are not zero.
    fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let data = self.data.iter().map(|data| (data.offset, data.bytes));
        let all = data.chain([((self.pages - 1) * PAGE_BYTES, self.last_page)]);
        all.filter(|it| !it.1.is_empty())
    }

    /// The extents, and the bytes of all.
    fn extents(&self) -> (Vec<Extent>, u64) {
        let extents = extents(self.pieces().map(|(at, piece)| at..at + piece.len() as u64));
        let total = extents.iter().map(|extent| extent.length).sum();
        (extents, total)
    }

    /// Each piece, and where in the file it belongs.
    fn placed(&self, extents: &[Extent]) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces().filter_map(|(at, piece)| {
            // Each piece lies in one extent: that is how they were made.
            let extent = extents.iter().rfind(|extent| extent.offset <= at)?;
            Some((extent.at + at - extent.offset, piece))
        })
    }

    /// What follows the pages.
    fn tail(&self, extents: &[Extent]) -> Vec<u8> {
        let mut out = Vec::with_capacity(extents.len() * EXTENT_BYTES + TAIL_BYTES);
        for extent in extents {
            out.extend_from_slice(&extent.offset.to_le_bytes());
            out.extend_from_slice(&extent.length.to_le_bytes());
        }
        out.extend_from_slice(self.base.as_bytes());
        out.extend_from_slice(&(self.pages * PAGE_BYTES).to_le_bytes());
        out.extend_from_slice(&u32::try_from(extents.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out
    }
}

impl Image {
    /// Opens an image whose file's first `length` bytes are what [`Contents::encode`] gave.
    pub(crate) fn open(file: File, length: u64) -> io::Result<Image> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is no image");
        let mut tail = [0; TAIL_BYTES];
        let tail_at = length.checked_sub(TAIL_BYTES as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut tail, tail_at)?;
        let (base, rest) = tail.split_first_chunk::<32>().ok_or_else(damaged)?;
        let (bytes, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (count, version) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (bytes, count) = (u64::from_le_bytes(*bytes), u32::from_le_bytes(*count) as usize);
        if version != VERSION.to_le_bytes() || count > MAX_EXTENTS {
            return Err(damaged());
        }
        let mut table = vec![0; count * EXTENT_BYTES];
        let table_at = tail_at.checked_sub(table.len() as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut table, table_at)?;
        let mut at = 0;
        let mut extents = Vec::with_capacity(count);
        for words in table.as_chunks::<8>().0.chunks_exact(2) {
            let (offset, length) = (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
            extents.push(Extent { offset, at, length });
            at += length;
        }
        let base = (*base).into();
        let (kept, pristine) = (Mutex::default(), OnceLock::new());
        let image = Image { file, extents, bytes, base, kept, pristine };
        if image.is_sound(at, table_at) { Ok(image) } else { Err(damaged()) }
    }

    /// Whether extents are in order, apart, within memory and within the file.
    fn is_sound(&self, end: u64, file_end: u64) -> bool {
        let mut free = 0;
        let ordered = self.extents.iter().all(|extent| {
            let sound = extent.offset >= free
                && extent.offset % MAP_BYTES == 0
                && extent.length % MAP_BYTES == 0
                && extent.length > 0;
            free = extent.offset.saturating_add(extent.length);
            sound
        });
        ordered && free <= self.bytes && self.bytes <= 1 << 32 && end <= file_end
    }

    /// What it takes in its file, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }
}

/// A file in memory alone, where there is no folder for it.
pub(crate) fn in_memory(image: &[u8]) -> io::Result<File> {
    let mut file = new_in_memory()?;
    file.write_all(image)?;
    Ok(file)
}

fn new_in_memory() -> io::Result<File> {
    let file = rustix::fs::memfd_create("dayfly-image", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}

/// The stretches of memory that hold these pieces, in order.
fn extents(pieces: impl Iterator<Item = Range<u64>>) -> Vec<Extent> {
    let mut ranges: Vec<Range<u64>> = pieces
        .map(|piece| piece.start / MAP_BYTES * MAP_BYTES..piece.end.next_multiple_of(MAP_BYTES))
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let merged = |gap: u64| {
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in &ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
                _ => merged.push(range.clone()),
            }
        }
        merged
    };
    let mut gap = GAP_BYTES;
    let mut found = merged(gap);
    while found.len() > MAX_EXTENTS {
        gap *= 2;
        found = merged(gap);
    }
    let mut at = 0;
    let place = |range: Range<u64>| {
        let extent = Extent { offset: range.start, at, length: range.end - range.start };
        at += extent.length;
        extent
    };
    found.into_iter().map(place).collect()
}

/// The pieces of a memory that are not zero, page by page, without the zeros at their ends.
pub(super) fn pieces(memory: &[u8]) -> Vec<Range<usize>> {
    let page = MAP_BYTES as usize;
    let mut found: Vec<Range<usize>> = Vec::new();
    for (i, bytes) in memory.chunks(page).enumerate() {
        // Most pages of a large memory are zero, and compared at once.
        if *bytes == ZEROS[..bytes.len()] {
            continue;
        }
        let Some(first) = bytes.iter().position(|byte| *byte != 0) else { continue };
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(first);
        let at = i * page;
        match found.last_mut() {
            // One that goes on from page to page is one.
            Some(piece) if piece.end > at - page.min(at) => piece.end = at + last + 1,
            _ => found.push(at + first..at + last + 1),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_runs_of_pages_that_are_not_zero() {
        let mut memory = vec![0; 10 * 4096];
        assert_eq!(pieces(&memory), []);
        memory[5] = 1;
        memory[4096 + 7] = 1;
        memory[4 * 4096] = 1;
        memory[10 * 4096 - 1] = 1;
        assert_eq!(pieces(&memory), [5..4096 + 8, 4 * 4096..4 * 4096 + 1, 40959..40960]);
    }

    #[test]
    fn extents_are_few() {
        let at = |offset: u64| offset..offset + 1;
        let far = 2 << 20;
        let found = extents([at(far * 3), at(0), at(5000)].into_iter());
        let first = Extent { offset: 0, at: 0, length: 8192 };
        let second = Extent { offset: far * 3, at: 8192, length: 4096 };
        assert_eq!(found, [first, second]);
        assert!(extents((0..1000).map(|i| at(i * far))).len() <= MAX_EXTENTS);
    }
}
