//! Bodies of requests, and a pattern by which a long one is recognised without being kept.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or of an upstream's answer.
pub struct Body;

pub(crate) type Boxed = UnsyncBoxBody<Bytes, BoxError>;

impl Body {
    /// No body.
    pub fn empty() -> Boxed {
        Self::full("")
    }

    /// A body of known length.
    pub fn full(bytes: impl Into<Bytes>) -> Boxed {
        Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
    }

    /// A body of unknown length.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Boxed {
        Self::frames(pieces.map(Frame::data))
    }

    /// A body of unknown length that may end in trailers.
    pub fn frames(frames: impl Stream<Item = Frame<Bytes>> + Send + 'static) -> Boxed {
        StreamBody::new(frames.map(Ok::<_, BoxError>)).boxed_unsync()
    }
}

/// Blocks of 64 KiB, each filled with its number modulo 251.
pub struct Pattern {
    position: u64,
    /// The block at the position, whole: comparing slices is fast in a debug build too.
    block: Vec<u8>,
}

impl Pattern {
    const BLOCK: usize = 64 << 10;
    const NUMBERS: u64 = 251;

    /// A check that has seen nothing yet.
    pub fn new() -> Self {
        Self { position: 0, block: vec![0; Self::BLOCK] }
    }

    /// `bytes` bytes of the pattern, as a stream that makes each block when it is asked for.
    pub fn stream(bytes: u64) -> impl Stream<Item = Bytes> + Send {
        let blocks: Vec<Bytes> =
            (0..Self::NUMBERS as u8).map(|number| vec![number; Self::BLOCK].into()).collect();
        let count = bytes.div_ceil(Self::BLOCK as u64);
        futures_util::stream::iter((0..count).map(move |index| {
            let left = bytes - index * Self::BLOCK as u64;
            let block = &blocks[(index % Self::NUMBERS) as usize];
            block.slice(..block.len().min(usize::try_from(left).unwrap_or(usize::MAX)))
        }))
    }

    /// Takes the next bytes of what should be the pattern.
    ///
    /// # Panics
    /// If they are not the pattern's.
    pub fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let block = self.position / Self::BLOCK as u64;
            let in_block = (self.position % Self::BLOCK as u64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(Self::BLOCK - in_block));
            let number = (block % Self::NUMBERS) as u8;
            if self.block[0] != number {
                self.block.fill(number);
            }
            let same = now == &self.block[..now.len()];
            assert!(same, "the bytes at {} are not what was sent", self.position);
            self.position += now.len() as u64;
            bytes = later;
        }
    }

    /// How many bytes were checked.
    pub fn checked(&self) -> u64 {
        self.position
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}
