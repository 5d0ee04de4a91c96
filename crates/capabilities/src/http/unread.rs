//! A request's body that nobody reads to its end: a server may answer before, and what the guest still
//! writes then goes nowhere. It is no error of the guest's, which learns from the response how its
//! request went.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use wasmtime_wasi_http::{Error, WasiBody};

/// A body that is read to its end, by whomever.
pub(super) struct Unread(Option<WasiBody>);

impl Unread {
    pub(super) const fn new(body: WasiBody) -> Self {
        Self(Some(body))
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut rest) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // It ends with its guest at the latest.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { while let Some(Ok(_)) = rest.frame().await {} });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    use super::*;

    /// A body of what is sent.
    fn channel(room: usize) -> (mpsc::Sender<Bytes>, WasiBody) {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(room);
        let frames = stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        });
        (sender, StreamBody::new(frames).boxed_unsync())
    }

    #[tokio::test]
    async fn what_is_written_after_the_answer_goes_nowhere() {
        let (sender, body) = channel(1);
        drop(Unread::new(body));
        for _ in 0..10 {
            sender.send(Bytes::from_static(b"more")).await.expect("somebody takes it");
        }
    }

    #[tokio::test]
    async fn what_is_read_is_what_was_written() {
        let (sender, body) = channel(8);
        for _ in 0..3 {
            sender.send(Bytes::from_static(b"more")).await.expect("room");
        }
        drop(sender);
        let read = Unread::new(body).collect().await.expect("no error");
        assert_eq!(read.to_bytes(), "moremoremore");
    }
}
