//! Futures of WASI 0.3 that tell how a stream ended: what the stream takes is held until then, whatever
//! the guest does with the future.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureConsumer, FutureReader, Lift, Lower, Source};

use crate::HostState;

type End<E> = Result<(), E>;

/// The same future, which holds something until the stream that it tells of has ended.
pub(super) fn until<E: Lift + Lower + Send + Sync + 'static>(
    mut store: StoreContextMut<'_, HostState>,
    ended: FutureReader<End<E>>,
    held: impl Send + Unpin + 'static,
) -> wasmtime::Result<FutureReader<End<E>>> {
    let (tell, told) = oneshot::channel();
    ended.pipe(&mut store, Ending(Some((tell, held))))?;
    FutureReader::new(&mut store, told)
}

/// Whom to tell how a stream ended, and what is held until then.
struct Ending<E, H>(Option<(oneshot::Sender<End<E>>, H)>);

impl<E: Lift + Send + 'static, H: Send + Unpin + 'static> FutureConsumer<HostState>
    for Ending<E, H>
{
    type Item = End<E>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<HostState>,
        mut source: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut ended = None;
        source.read(store, &mut ended)?;
        if let (Some(ended), Some((tell, _))) = (ended, self.0.take()) {
            // A guest that does not care how it ended has dropped its end.
            let _ = tell.send(ended);
        }
        Poll::Ready(Ok(()))
    }
}
