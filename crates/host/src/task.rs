//! Tasks that end with whoever waits for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A task that is ended when this is dropped.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    /// Starts it, on this core.
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Future for Task<T> {
    /// `None` if it panicked, or its runtime ends.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that is made in a task of its own: one piece waits to be taken while the next is made.
pub(crate) struct Relay<E> {
    /// The end is told too, or a task that breaks off would look like it.
    pieces: mpsc::Receiver<Option<Result<Frame<Bytes>, E>>>,
    task: Option<Task<()>>,
    broken: fn() -> E,
}

impl<E: Send + 'static> Relay<E> {
    /// Lets a task make `body`. `broken` is what its reader is told if it breaks off.
    pub(crate) fn spawn(mut body: crate::Body, broken: fn() -> E) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let task = Task::spawn(async move {
            while let Some(piece) = body.frame().await {
                let is_last = piece.is_err();
                let piece = piece.map_err(|_| broken());
                if sender.send(Some(piece)).await.is_err() || is_last {
                    return;
                }
            }
            let _ = sender.send(None).await;
        });
        Self { pieces, task: Some(task), broken }
    }
}

impl<E> Body for Relay<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if self.task.is_none() {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.pieces.poll_recv(cx)) {
            Some(Some(Ok(piece))) => return Poll::Ready(Some(Ok(piece))),
            Some(None) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            None => Some(Err((self.broken)())),
        };
        self.task = None;
        Poll::Ready(piece)
    }
}
