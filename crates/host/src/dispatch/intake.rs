//! A request's body as a guest may read it: bounded in length, and counted where that is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dayfly_telemetry::UsageCounters;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::component::RequestBody;
use crate::ClientBodyError;

/// Why a request's body broke off.
#[derive(Default)]
struct Broke {
    too_long: AtomicBool,
    too_slow: AtomicBool,
}

/// How long a request's body may be, whether it turned out longer or slow, and on whose account it is.
pub(super) struct Intake {
    bytes: usize,
    /// Only where there is a body.
    broke: Option<Arc<Broke>>,
    usage: Option<Arc<UsageCounters>>,
}

impl Intake {
    pub(super) fn new(limit: u64, body: &impl Body, usage: Option<&Arc<UsageCounters>>) -> Self {
        Self {
            bytes: usize::try_from(limit).unwrap_or(usize::MAX),
            broke: (!body.is_end_stream()).then(Arc::default),
            usage: usage.cloned(),
        }
    }

    /// A request's body as a guest may read it.
    pub(super) fn apply<B: RequestBody>(&self, body: B) -> WasiBody {
        match &self.usage {
            None => self.limited(body),
            Some(usage) => self.limited(Counted { body, usage: usage.clone() }),
        }
    }

    fn limited<B: RequestBody>(&self, body: B) -> WasiBody {
        let broke = self.broke.clone();
        Limited::new(body, self.bytes)
            .map_err(move |error| {
                let error = match error.downcast::<B::Error>() {
                    Ok(error) => (*error).into(),
                    Err(_) => HttpError::HttpRequestBodySize(None),
                };
                if let Some(broke) = &broke {
                    broke.note(&error);
                }
                error
            })
            .boxed_unsync()
    }

    pub(super) fn was_passed(&self) -> bool {
        self.broke.as_ref().is_some_and(|broke| broke.too_long.load(Relaxed))
    }

    pub(super) fn was_slow(&self) -> bool {
        self.broke.as_ref().is_some_and(|broke| broke.too_slow.load(Relaxed))
    }
}

impl Broke {
    fn note(&self, error: &HttpError) {
        match error {
            HttpError::HttpRequestBodySize(_) => self.too_long.store(true, Relaxed),
            HttpError::ConnectionReadTimeout => self.too_slow.store(true, Relaxed),
            _ => {}
        }
    }
}

impl From<ClientBodyError> for HttpError {
    fn from(error: ClientBodyError) -> Self {
        match error {
            ClientBodyError::Broken(error) => error.into(),
            ClientBodyError::Slow => Self::ConnectionReadTimeout,
        }
    }
}

/// A body whose pieces are counted as they are taken in.
struct Counted<B> {
    body: B,
    usage: Arc<UsageCounters>,
}

impl<B: RequestBody> RequestBody for Counted<B> {}

impl<B: RequestBody> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.usage.taken_in(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
