//! A request's stay in the release that answers it, from its arrival to the last byte of its answer. A
//! release that another one follows ends when nobody stays any more; who stays beyond the grace is sent
//! away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::Body;
use crate::body::{BodyStream, BoxError};
use crate::triggers::Router;

/// The stays in one release on one core: there are as many as this has owners, but for two. Cores have
/// one each, so that counting them costs no other core anything.
#[repr(align(128))]
pub(crate) struct Stay {
    router: Arc<Router>,
    over: CancellationToken,
}

impl Stay {
    /// No stays yet.
    pub(crate) fn new(router: &Arc<Router>) -> Arc<Self> {
        Arc::new(Self { router: router.clone(), over: CancellationToken::new() })
    }

    /// Ends the answers that are still being written.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// What leads the release's requests.
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// Lasts until an answer's body is taken.
    pub(crate) fn until_taken(self: Arc<Self>, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| match body {
            Body::Stream(body) => {
                Body::from_stream(Box::pin(Staying { body, end: None, stay: self }))
            }
            whole => whole,
        })
    }
}

/// A body that is made while the client reads.
struct Staying {
    body: BodyStream,
    /// Made when the body first lets its client wait.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    stay: Arc<Stay>,
}

/// What the log says of answers that the end of the grace cut off.
#[derive(Debug, thiserror::Error)]
#[error("another release of the app took over, and the grace is over")]
struct Replaced;

impl http_body::Body for Staying {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.stay.over.is_cancelled() {
            return Poll::Ready(Some(Err(Replaced.into())));
        }
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Self { end, stay, .. } = &mut *self;
        let end = end.get_or_insert_with(|| Box::pin(stay.over.clone().cancelled_owned()));
        end.as_mut().poll(cx).map(|()| Some(Err(Replaced.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
