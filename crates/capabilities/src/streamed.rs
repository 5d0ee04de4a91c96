//! Lists that guests get as a stream of items and a future that tells how it ended, for interfaces
//! of WASI 0.3: items are fetched as the guest reads them, a few at a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::oneshot;
use wasmtime::component::{
    Destination, FutureReader, Lift, Lower, StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};

use crate::HostState;

/// How many items are handed over at once, and how many bytes they have, unless one has more.
const ITEMS: usize = 256;
const BYTES: usize = 64 << 10;

/// Items as they come, each with the bytes that it takes.
pub(crate) type Incoming<T, E> = Pin<Box<dyn Stream<Item = Result<(T, usize), E>> + Send>>;

/// What a guest gets: the items, and how they ended.
pub(crate) type Streamed<T, E> = (StreamReader<T>, FutureReader<Result<(), E>>);

/// Hands items over.
struct Items<T, E, F> {
    incoming: Incoming<T, E>,
    through: Option<F>,
    /// Where the outcome goes; taken when it is known.
    outcome: Option<oneshot::Sender<Result<(), E>>>,
}

/// A stream of items. `through` is called once they are through; it is dropped with the stream.
///
/// # Errors
/// If the instance holds as many streams as it may.
pub(crate) fn stream<T, E, F>(
    mut store: impl AsContextMut<Data = HostState>,
    incoming: Incoming<T, E>,
    through: F,
) -> wasmtime::Result<Streamed<T, E>>
where
    T: Lift + Lower + Send + Sync + Unpin + 'static,
    E: Lift + Lower + Send + Sync + 'static,
    F: FnOnce() + Send + Unpin + 'static,
{
    let (sender, outcome) = oneshot::channel();
    let items = Items { incoming, through: Some(through), outcome: Some(sender) };
    let items = StreamReader::new(&mut store, items)?;
    // Who does not read to the end is not told how it would have ended.
    let outcome = async move { wasmtime::error::Ok(outcome.await.unwrap_or(Ok(()))) };
    Ok((items, FutureReader::new(&mut store, outcome)?))
}

impl<T, E, F: FnOnce()> Items<T, E, F> {
    fn end(&mut self, outcome: Result<(), E>) {
        if let Some(sender) = self.outcome.take() {
            if let Some(through) = self.through.take() {
                through();
            }
            // Nobody may want to know.
            let _ = sender.send(outcome);
        }
    }

    /// Some items; the flag says whether there may be more.
    fn poll_some(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<(Vec<T>, bool)> {
        let (mut items, mut size) = (Vec::new(), 0);
        while items.len() < most && size < BYTES {
            match self.incoming.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok((item, bytes)))) => {
                    items.push(item);
                    size += bytes;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.end(Err(error));
                    return Poll::Ready((items, false));
                }
                Poll::Ready(None) => {
                    self.end(Ok(()));
                    return Poll::Ready((items, false));
                }
                Poll::Pending if items.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready((items, true))
    }
}

impl<T, E, F> StreamProducer<HostState> for Items<T, E, F>
where
    T: Lift + Lower + Send + Sync + Unpin + 'static,
    E: Send + Sync + 'static,
    F: FnOnce() + Send + Unpin + 'static,
{
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, HostState>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.outcome.is_none() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let most = destination.remaining(store).unwrap_or(ITEMS).min(ITEMS);
        if most == 0 {
            // Whether there is an item can be told only by taking it.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.poll_some(cx, most) {
            Poll::Ready((items, more)) => {
                destination.set_buffer(items.into());
                let result = if more { StreamResult::Completed } else { StreamResult::Dropped };
                Poll::Ready(Ok(result))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
