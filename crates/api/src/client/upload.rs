//! Bodies that are sent piece by piece, and counted as the connection takes them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::ClientError;

/// How much is handed to the connection at once.
const PIECE_BYTES: usize = 64 << 10;

/// What is sent.
#[derive(Debug, Clone)]
pub enum Upload<'a> {
    /// Bytes.
    Bytes(Bytes),
    /// A file, which is read as it is sent.
    File(&'a Path),
}

/// An upload under way.
pub(super) struct Payload {
    content: Content,
    left: u64,
    sent: Arc<AtomicU64>,
}

enum Content {
    Bytes(Bytes),
    File(File),
}

impl Upload<'_> {
    pub(super) fn open(&self) -> Result<Payload, ClientError> {
        let sent = Arc::default();
        Ok(match self {
            Self::Bytes(bytes) => {
                Payload { left: bytes.len() as u64, content: Content::Bytes(bytes.clone()), sent }
            }
            Self::File(path) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (left, file) = opened
                    .map_err(|source| ClientError::File { path: (*path).to_owned(), source })?;
                Payload { content: Content::File(file), left, sent }
            }
        })
    }
}

impl Payload {
    /// Counts the bytes that the connection took.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    fn piece(&mut self) -> io::Result<Bytes> {
        let most = PIECE_BYTES.min(usize::try_from(self.left).unwrap_or(PIECE_BYTES));
        let piece = match &mut self.content {
            Content::Bytes(bytes) => bytes.split_to(most.min(bytes.len())),
            Content::File(file) => {
                let mut piece = vec![0; most];
                let read = file.read(&mut piece)?;
                piece.truncate(read);
                piece.into()
            }
        };
        if piece.is_empty() {
            return Err(io::Error::other("the file became shorter while it was sent"));
        }
        self.left -= piece.len() as u64;
        self.sent.fetch_add(piece.len() as u64, Relaxed);
        Ok(piece)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.piece().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
