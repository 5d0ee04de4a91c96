//! Rows as a stream of the component model: fetched as the guest reads them, a few at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::oneshot;
use wasmtime::component::{
    Destination, FutureReader, Lift, Lower, StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};

use crate::HostState;
use crate::rdbms::pool::{Lent, Session};

/// How many rows are handed over at once, and how many bytes they have, unless one has more.
const ROWS: usize = 256;
const BYTES: usize = 64 << 10;

/// Rows as they come from a server, each with the bytes that it takes.
pub(crate) type Incoming<R, E> = Pin<Box<dyn Stream<Item = Result<(R, usize), E>> + Send>>;

/// What a guest gets: the rows, and how they ended.
pub(crate) type Streamed<R, E> = (StreamReader<R>, FutureReader<Result<(), E>>);

/// Hands rows over.
struct Rows<R, E, S: Session> {
    incoming: Incoming<R, E>,
    session: Arc<Lent<S>>,
    /// Where the outcome goes; taken when it is known.
    outcome: Option<oneshot::Sender<Result<(), E>>>,
}

/// A stream of rows that were begun in `session`, which is told when they are through.
///
/// # Errors
/// If the instance holds as many streams as it may.
pub(crate) fn stream<R, E>(
    mut store: impl AsContextMut<Data = HostState>,
    incoming: Incoming<R, E>,
    session: Arc<Lent<impl Session>>,
) -> wasmtime::Result<Streamed<R, E>>
where
    R: Lift + Lower + Send + Sync + Unpin + 'static,
    E: Lift + Lower + Send + Sync + 'static,
{
    let (sender, outcome) = oneshot::channel();
    let rows = Rows { incoming, session, outcome: Some(sender) };
    let rows = StreamReader::new(&mut store, rows)?;
    // Who does not read to the end is not told how it would have ended.
    let outcome = async move { wasmtime::error::Ok(outcome.await.unwrap_or(Ok(()))) };
    Ok((rows, FutureReader::new(&mut store, outcome)?))
}

impl<R, E, S: Session> Rows<R, E, S> {
    fn end(&mut self, outcome: Result<(), E>) {
        if let Some(sender) = self.outcome.take() {
            self.session.finish();
            // Nobody may want to know.
            let _ = sender.send(outcome);
        }
    }

    /// Some rows; the flag says whether there may be more.
    fn poll_some(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<(Vec<R>, bool)> {
        let (mut rows, mut size) = (Vec::new(), 0);
        while rows.len() < most && size < BYTES {
            match self.incoming.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok((row, bytes)))) => {
                    rows.push(row);
                    size += bytes;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.end(Err(error));
                    return Poll::Ready((rows, false));
                }
                Poll::Ready(None) => {
                    self.end(Ok(()));
                    return Poll::Ready((rows, false));
                }
                Poll::Pending if rows.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready((rows, true))
    }
}

impl<R, E, S> StreamProducer<HostState> for Rows<R, E, S>
where
    R: Lift + Lower + Send + Sync + Unpin + 'static,
    E: Send + Sync + 'static,
    S: Session,
{
    type Item = R;
    type Buffer = VecBuffer<R>;

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
        let most = destination.remaining(store).unwrap_or(ROWS).min(ROWS);
        if most == 0 {
            // Whether there is a row can be told only by taking it.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.poll_some(cx, most) {
            Poll::Ready((rows, more)) => {
                destination.set_buffer(rows.into());
                let result = if more { StreamResult::Completed } else { StreamResult::Dropped };
                Poll::Ready(Ok(result))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
