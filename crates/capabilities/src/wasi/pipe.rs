//! A guest's standard output as a bounded stream of chunks: what the guest writes waits until the
//! other side has taken what came before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

/// What one write takes at most, in bytes.
const WRITE_BYTES: usize = 64 << 10;

/// How many writes may wait for the reader.
const CHUNKS: usize = 2;

/// The guest's end.
#[derive(Clone)]
pub struct PipeWriter(mpsc::Sender<Bytes>);

/// The host's end: the chunks in order, `None` after the last.
pub type PipeReader = mpsc::Receiver<Bytes>;

/// A pipe that holds at most two writes of 64 KiB.
pub fn pipe() -> (PipeWriter, PipeReader) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (PipeWriter(sender), receiver)
}

impl IsTerminal for PipeWriter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for PipeWriter {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(AsyncPipe(PollSender::new(self.0.clone())))
    }
}

#[async_trait::async_trait]
impl Pollable for PipeWriter {
    async fn ready(&mut self) {
        // An error means that the reader is gone, which the next write reports.
        let _ = self.0.reserve().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for PipeWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => StreamError::Closed,
            mpsc::error::TrySendError::Full(_) => {
                StreamError::trap("a write of more than `check-write` permitted")
            }
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.0.is_closed() {
            return Err(StreamError::Closed);
        }
        Ok(if self.0.capacity() == 0 { 0 } else { WRITE_BYTES })
    }
}

struct AsyncPipe(PollSender<Bytes>);

impl AsyncWrite for AsyncPipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.0.poll_reserve(cx)).map_err(closed)?;
        let taken = bytes.len().min(WRITE_BYTES);
        self.0.send_item(Bytes::copy_from_slice(&bytes[..taken])).map_err(closed)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}
