//! Values: what a guest writes becomes a file that nobody sees until the value is finished, and
//! what it reads comes from an open file. Both hold little in memory.

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tempfile::NamedTempFile;
use tokio::io::BufReader;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::pipe::AsyncReadStream;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{
    DynInputStream, InputStream, OutputStream, StreamError, StreamResult,
};

use super::Error;
use super::container::{Container, Spool};
use super::folder::blocking;
use super::opened::Opened;
use crate::Grants;
use crate::supply::Part as Descriptor;
use crate::under_way::{Held, UnderWay};

/// The largest object, in bytes.
pub(super) const OBJECT_BYTES: u64 = 1 << 30;

/// How much of a value is in memory while it is written or read, in bytes.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// How many objects one value may become.
const DESTINATIONS: usize = 16;

/// A value that is being written.
pub(super) struct Outgoing {
    writer: Arc<Mutex<Writer>>,
    streamed: bool,
    destinations: Vec<(Arc<Container>, String)>,
    _descriptor: Descriptor,
}

impl Outgoing {
    /// A value whose bytes go to a file in the spool.
    pub(super) fn new(spool: Spool, descriptor: Descriptor) -> Self {
        let Spool { folder, under_way, keeper } = spool;
        let writer = Writer {
            folder,
            file: None,
            job: None,
            failed: false,
            buffer: BytesMut::new(),
            bytes: 0,
            under_way,
            held: None,
            keeper,
        };
        Self {
            writer: Arc::new(Mutex::new(writer)),
            streamed: false,
            destinations: Vec::new(),
            _descriptor: descriptor,
        }
    }

    /// The stream that writes it, once.
    pub(super) fn stream(&mut self) -> Option<Body> {
        (!std::mem::replace(&mut self.streamed, true)).then(|| Body(self.writer.clone()))
    }

    /// Says what becomes of it once it is finished.
    pub(super) fn store(&mut self, container: Arc<Container>, name: String) -> Result<(), Error> {
        container.check(&name)?;
        if self.destinations.len() == DESTINATIONS {
            return Err(Error::TooManyOpen);
        }
        self.destinations.push((container, name));
        Ok(())
    }

    /// Stores it wherever it was said to go.
    pub(super) async fn finish(self) -> Result<(), Error> {
        let file = self.writer.lock().await.finish().await?;
        super::container::store(file, self.destinations).await
    }
}

/// Writes a value to a file, a buffer at a time and never on the guest's thread.
struct Writer {
    folder: PathBuf,
    /// Nothing before the first byte, and while a job has it.
    file: Option<NamedTempFile>,
    job: Option<JoinHandle<io::Result<NamedTempFile>>>,
    failed: bool,
    buffer: BytesMut,
    bytes: u64,
    under_way: UnderWay,
    held: Option<Held>,
    keeper: Option<Arc<Grants>>,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let total = self.bytes + bytes.len() as u64;
        if total > OBJECT_BYTES {
            return Err(Error::TooLarge);
        }
        let held = self.held.as_ref().map_or(0, Held::bytes);
        if let Some(missing) = usize::try_from(total).unwrap_or(usize::MAX).checked_sub(held) {
            let more = self.under_way.take(missing.max(BUFFER_BYTES))?;
            match &mut self.held {
                Some(held) => held.add(more),
                None => self.held = Some(more),
            }
        }
        if let Some(keeper) = &self.keeper {
            keeper.keep(bytes.len())?;
        }
        self.bytes = total;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Begins to write what is in the buffer.
    fn start(&mut self) {
        if self.job.is_some() || self.buffer.is_empty() {
            return;
        }
        let bytes = self.buffer.split();
        let (file, folder) = (self.file.take(), self.folder.clone());
        self.job = Some(tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => new_file(&folder)?,
            };
            file.write_all(&bytes)?;
            Ok(file)
        }));
    }

    /// Waits for what was begun.
    async fn settle(&mut self) {
        if let Some(job) = &mut self.job {
            let done = job.await;
            self.settled(done.unwrap_or_else(|_| Err(ErrorKind::Interrupted.into())));
        }
    }

    fn settled(&mut self, done: io::Result<NamedTempFile>) {
        self.job = None;
        match done {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                tracing::warn!(%error, "a blob could not be written");
                self.failed = true;
            }
        }
    }

    /// How much may be written now.
    fn room(&mut self) -> usize {
        if let Some(job) = &mut self.job {
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(done) = Pin::new(job).poll(&mut context) else { return 0 };
            self.settled(done.unwrap_or_else(|_| Err(ErrorKind::Interrupted.into())));
        }
        BUFFER_BYTES - self.buffer.len()
    }

    /// The file with all that was written.
    async fn finish(&mut self) -> Result<NamedTempFile, Error> {
        self.settle().await;
        self.start();
        self.settle().await;
        match self.file.take() {
            _ if self.failed => Err(io::Error::from(ErrorKind::Other).into()),
            Some(file) => Ok(file),
            None => {
                let folder = self.folder.clone();
                blocking(move || Ok(new_file(&folder)?)).await
            }
        }
    }
}

pub(super) fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    std::fs::create_dir_all(folder)?;
    NamedTempFile::new_in(folder)
}

/// The stream that writes a value.
pub(super) struct Body(Arc<Mutex<Writer>>);

impl Body {
    /// The writer: nobody else has it while a stream does.
    fn with<T>(&self, run: impl FnOnce(&mut Writer) -> StreamResult<T>) -> StreamResult<T> {
        let Ok(mut writer) = self.0.try_lock() else { return Err(StreamError::Closed) };
        if writer.failed {
            return Err(StreamError::LastOperationFailed(wasmtime::format_err!(
                "the store failed"
            )));
        }
        run(&mut writer)
    }
}

#[async_trait]
impl Pollable for Body {
    async fn ready(&mut self) {
        self.0.lock().await.settle().await;
    }
}

impl OutputStream for Body {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.with(|writer| {
            if bytes.len() > writer.room() {
                return Err(StreamError::Trap(wasmtime::format_err!("more than may be written")));
            }
            writer.write(&bytes).map_err(|error| StreamError::LastOperationFailed(error.into()))?;
            if writer.buffer.len() == BUFFER_BYTES {
                writer.start();
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.with(|writer| {
            writer.room();
            writer.start();
            Ok(())
        })
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.with(|writer| Ok(writer.room()))
    }
}

/// A value to be read.
pub(super) struct Incoming {
    opened: Opened,
    descriptor: Descriptor,
}

impl Incoming {
    pub(super) fn new(opened: Opened, descriptor: Descriptor) -> Self {
        Self { opened, descriptor }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.opened.bytes()
    }

    /// All of it at once.
    pub(super) async fn whole(self) -> Result<Vec<u8>, Error> {
        self.opened.whole().await
    }

    /// A stream of it.
    pub(super) fn stream(self) -> DynInputStream {
        let object = BufReader::with_capacity(BUFFER_BYTES, self.opened.reader());
        Box::new(Reading { stream: AsyncReadStream::new(object), _descriptor: self.descriptor })
    }
}

/// An input stream of an object.
struct Reading {
    stream: AsyncReadStream,
    _descriptor: Descriptor,
}

#[async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[async_trait]
impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.stream.read(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::Share;

    fn value(folder: &Path, under_way: usize) -> Outgoing {
        let descriptor = Share::unbounded().take().unwrap();
        let under_way = UnderWay::new(under_way);
        let spool = Spool { folder: folder.to_owned(), under_way, keeper: None };
        Outgoing::new(spool, descriptor)
    }

    #[tokio::test]
    async fn a_value_is_bounded_and_so_is_what_is_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let full = value(folder.path(), 2 << 30);
        let mut writer = full.writer.lock().await;
        writer.bytes = OBJECT_BYTES - 1;
        assert!(writer.write(&[0]).is_ok());
        assert!(matches!(writer.write(&[0]), Err(Error::TooLarge)));
        let mut busy = value(folder.path(), 256 << 10);
        let mut body = busy.stream().unwrap();
        assert!(busy.stream().is_none());
        let mut written = 0;
        while body.check_write().is_ok() && body.write(vec![0; 32 << 10].into()).is_ok() {
            written += 32;
            body.flush().unwrap();
            body.ready().await;
        }
        assert!((100..=256).contains(&written), "{written} KiB");
    }

    #[tokio::test]
    async fn no_more_is_taken_than_there_is_room_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut value = value(folder.path(), 1 << 20);
        let mut body = value.stream().unwrap();
        assert_eq!(body.check_write().unwrap(), BUFFER_BYTES);
        body.write(vec![1; BUFFER_BYTES].into()).unwrap();
        // The file takes it, and there is room again.
        body.ready().await;
        assert_eq!(body.check_write().unwrap(), BUFFER_BYTES);
        body.write(vec![2; 10].into()).unwrap();
        assert_eq!(body.check_write().unwrap(), BUFFER_BYTES - 10);
        assert!(matches!(body.write(vec![0; BUFFER_BYTES].into()), Err(StreamError::Trap(_))));
        drop(body);
        let file = value.writer.lock().await.finish().await.unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), BUFFER_BYTES as u64 + 10);
    }
}
