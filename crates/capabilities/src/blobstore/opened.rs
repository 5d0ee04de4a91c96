//! An object that is being read, from wherever it is.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::io::StreamReader;

use super::Error;
use super::folder::blocking;
use super::value::new_file;

/// What may be read at once, in bytes.
pub(super) const WHOLE_BYTES: u64 = 8 << 20;

/// Pieces of an object.
pub(super) type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// An object, opened where a range of it begins.
pub(super) struct Opened {
    source: Source,
    bytes: u64,
}

enum Source {
    File(File),
    Pieces(Pieces),
}

impl Opened {
    /// So many bytes of a file from where it stands.
    pub(super) fn file(file: File, bytes: u64) -> Self {
        Self { source: Source::File(file), bytes }
    }

    /// So many bytes that come in pieces.
    pub(super) fn pieces(pieces: Pieces, bytes: u64) -> Self {
        Self { source: Source::Pieces(pieces), bytes }
    }

    /// The length of the range.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of it at once.
    pub(super) async fn whole(self) -> Result<Vec<u8>, Error> {
        if self.bytes > WHOLE_BYTES {
            return Err(Error::TooLargeAtOnce);
        }
        let mut read = Vec::new();
        match self.source {
            Source::File(file) => {
                blocking(move || {
                    io::Read::read_to_end(&mut io::Read::take(file, self.bytes), &mut read)?;
                    Ok(read)
                })
                .await
            }
            Source::Pieces(mut pieces) => {
                while let Some(piece) = pieces.next().await {
                    read.extend_from_slice(&piece?);
                    if read.len() as u64 > self.bytes {
                        return Err(more_than_said().into());
                    }
                }
                Ok(read)
            }
        }
    }

    /// What reads it.
    pub(super) fn reader(self) -> Box<dyn AsyncRead + Send + Unpin> {
        match self.source {
            Source::File(file) => Box::new(tokio::fs::File::from_std(file).take(self.bytes)),
            Source::Pieces(pieces) => Box::new(StreamReader::new(pieces).take(self.bytes)),
        }
    }

    /// A file in `folder` with the same bytes.
    pub(super) async fn copied(self, folder: PathBuf) -> Result<NamedTempFile, Error> {
        let (copy, file) = blocking(move || {
            let copy = new_file(&folder)?;
            let file = copy.as_file().try_clone()?;
            Ok((copy, tokio::fs::File::from_std(file)))
        })
        .await?;
        let (bytes, mut file) = (self.bytes, file);
        if tokio::io::copy(&mut self.reader(), &mut file).await? != bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        file.flush().await?;
        Ok(copy)
    }
}

fn more_than_said() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server sent more than it said")
}
