//! What commands write, line by line, and the end of it.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// What is kept of it, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// A longer line is told in pieces, in bytes.
const LINE_BYTES: usize = 16 << 10;

/// Text that commands wrote.
#[derive(Debug, Default)]
pub(super) struct Output {
    kept: Vec<u8>,
    /// What was let go of, in bytes.
    gone: usize,
    /// The line that has no end yet.
    line: Vec<u8>,
}

impl Output {
    /// Reads until nobody can write any more.
    pub(super) async fn read(
        &mut self,
        pipe: &mut Receiver,
        says: &mut impl FnMut(&str),
    ) -> io::Result<()> {
        let mut piece = vec![0; LINE_BYTES];
        loop {
            let count = pipe.read(&mut piece).await?;
            if count == 0 {
                return Ok(());
            }
            self.take(&piece[..count], says);
        }
    }

    fn take(&mut self, piece: &[u8], says: &mut impl FnMut(&str)) {
        self.kept.extend_from_slice(piece);
        if self.kept.len() > 2 * KEPT_BYTES {
            let gone = self.kept.len() - KEPT_BYTES;
            self.kept.drain(..gone);
            self.gone += gone;
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LINE_BYTES {
                self.tell(says);
            }
        }
    }

    fn tell(&mut self, says: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.line);
        says(line.trim_end_matches(['\n', '\r']));
        self.line.clear();
    }

    /// The text.
    pub(super) fn finish(mut self, mut says: impl FnMut(&str)) -> String {
        if !self.line.is_empty() {
            self.tell(&mut says);
        }
        let begins = self.kept.len().saturating_sub(KEPT_BYTES);
        let (gone, kept) = self.kept.split_at(begins);
        let gone = self.gone + gone.len();
        let text = String::from_utf8_lossy(kept);
        if gone == 0 { text.into_owned() } else { format!("… {gone} bytes before …\n{text}") }
    }
}
