//! What one instance holds open. A file stays open for as long as anything of the host's refers to
//! it, such as a stream that outlives the guest's descriptor, so what is counted is the references
//! themselves and not the guest's handles.

use std::any::Any;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, StreamError, StreamResult,
};

use crate::Grants;
use crate::supply::Part as Held;

/// The system's number of the error that a disk is full: by such numbers guests are told of errors.
const NO_SPACE: i32 = 28;

/// Things that are open until nobody refers to them, each with its descriptor where it has one.
#[derive(Default)]
pub(crate) struct Open(Vec<(Weak<dyn Any + Send + Sync>, Option<Held>)>);

/// A place among them, for as long as it is held: while a file is being opened, say.
pub(crate) type Place = Arc<dyn Any + Send + Sync>;

/// A file that is being opened: its place, and its descriptor.
pub(crate) struct Opening {
    _place: Place,
    descriptor: Held,
}

impl Open {
    /// How many are open. The descriptors of those that are no more are given back.
    pub(super) fn count(&mut self) -> usize {
        self.0.retain(|(open, _)| open.strong_count() > 0);
        self.0.len()
    }

    /// A place, if fewer than `limit` are taken.
    pub(super) fn place(&mut self, limit: usize) -> Option<Place> {
        if self.count() >= limit {
            return None;
        }
        let place: Place = Arc::new(());
        self.wait_for(place.clone());
        Some(place)
    }

    /// A place for a file that is about to be opened by this descriptor.
    pub(super) fn opening(&mut self, limit: usize, descriptor: Held) -> Option<Opening> {
        Some(Opening { _place: self.place(limit)?, descriptor })
    }

    /// Counts what someone else refers to.
    pub(super) fn wait_for(&mut self, place: Place) {
        self.0.push((Arc::downgrade(&place), None));
    }

    /// Counts a file or folder that was opened.
    pub(super) fn add(&mut self, opened: &Descriptor, opening: Opening) {
        let opened: Place = match opened {
            Descriptor::File(file) => file.file.clone(),
            Descriptor::Dir(folder) => folder.dir.clone(),
        };
        self.0.push((Arc::downgrade(&opened), Some(opening.descriptor)));
    }
}

/// A stream of a file's, which has a place.
pub(super) struct Placed<S> {
    stream: S,
    _place: Place,
    /// Who pays for what is written; nobody where there are no tenants.
    keeper: Option<Arc<Grants>>,
}

impl<S> Placed<S> {
    pub(super) fn new(stream: S, place: Place, grants: Arc<Grants>) -> Self {
        Self { stream, _place: place, keeper: grants.account.is_some().then_some(grants) }
    }

    /// Whether so many bytes may be written.
    fn may_write(&self, bytes: usize) -> StreamResult<()> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let full =
            |_| StreamError::LastOperationFailed(io::Error::from_raw_os_error(NO_SPACE).into());
        keeper.keep(bytes).map_err(full)
    }
}

#[async_trait::async_trait]
impl Pollable for Placed<DynInputStream> {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[async_trait::async_trait]
impl InputStream for Placed<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.stream.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.stream.blocking_read(size).await
    }

    fn skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.stream.skip(bytes)
    }

    async fn blocking_skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.stream.blocking_skip(bytes).await
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}

#[async_trait::async_trait]
impl Pollable for Placed<DynOutputStream> {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Placed<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.may_write(bytes.len())?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.stream.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.stream.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.may_write(bytes.len())?;
        self.stream.blocking_write_and_flush(bytes).await
    }

    fn write_zeroes(&mut self, bytes: usize) -> StreamResult<()> {
        self.may_write(bytes)?;
        self.stream.write_zeroes(bytes)
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.stream.write_ready().await
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}
