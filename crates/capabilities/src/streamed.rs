//! Lists that guests get as a stream of items and a future that tells how it ended, for interfaces
//! of WASI 0.3: a page is fetched when the guest has taken the one before.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::component::{
    Access, Destination, FutureReader, Lift, Lower, StreamProducer, StreamReader, StreamResult,
    VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};

use crate::HostState;

/// What one fetch brings: items, and where the next begins if there is more.
type Page<T, P, E> = Result<(Vec<T>, Option<P>), E>;

/// The items, and how they ended.
pub(crate) type Streamed<T, E> = (StreamReader<T>, FutureReader<Result<(), E>>);

/// Streams what `fetch` brings page after page, first for `None`, then for each place that it says
/// is next. The stream ends with the first page that names no next place or fails; the future then
/// resolves.
pub(crate) fn pages<T, P, E, F, R>(
    mut access: Access<'_, HostState>,
    fetch: F,
) -> wasmtime::Result<Streamed<T, E>>
where
    T: Lower + Lift + Send + Sync + 'static,
    P: Send + Unpin + 'static,
    E: Lower + Lift + Send + Sync + 'static,
    F: FnMut(Option<P>) -> R + Send + Unpin + 'static,
    R: Future<Output = Page<T, P, E>> + Send + 'static,
{
    let (told, outcome) = oneshot::channel();
    let pages = Pages { fetch, under_way: None, next: Some(None), told: Some(told) };
    let items = StreamReader::new(access.as_context_mut(), pages)?;
    // A guest that drops the stream before its end ends nothing that it could be told of.
    let outcome = async move { wasmtime::error::Ok(outcome.await.unwrap_or(Ok(()))) };
    Ok((items, FutureReader::new(access.as_context_mut(), outcome)?))
}

struct Pages<P, E, F, R> {
    fetch: F,
    under_way: Option<Pin<Box<R>>>,
    /// Where the next page begins; `None` at the end.
    next: Option<Option<P>>,
    told: Option<oneshot::Sender<Result<(), E>>>,
}

impl<P, E, F, R> Pages<P, E, F, R> {
    fn end(&mut self, outcome: Result<(), E>) -> Poll<wasmtime::Result<StreamResult>> {
        self.next = None;
        if let Some(told) = self.told.take() {
            // Nobody need want to know.
            let _ = told.send(outcome);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<T, P, E, F, R> StreamProducer<HostState> for Pages<P, E, F, R>
where
    T: Lower + Lift + Send + Sync + 'static,
    P: Send + Unpin + 'static,
    E: Send + 'static,
    F: FnMut(Option<P>) -> R + Send + Unpin + 'static,
    R: Future<Output = Page<T, P, E>> + Send + 'static,
{
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'a, HostState>,
        mut destination: Destination<'a, T, VecBuffer<T>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        loop {
            if this.under_way.is_none() {
                let Some(place) = this.next.take() else { return this.end(Ok(())) };
                this.under_way = Some(Box::pin((this.fetch)(place)));
            }
            let Some(page) = &mut this.under_way else { continue };
            let page = match page.as_mut().poll(cx) {
                Poll::Ready(page) => page,
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            };
            this.under_way = None;
            match page {
                Err(error) => return this.end(Err(error)),
                Ok((items, next)) => {
                    this.next = next.map(Some);
                    if items.is_empty() {
                        continue;
                    }
                    destination.set_buffer(items.into());
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
            }
        }
    }
}
