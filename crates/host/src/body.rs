//! Response bodies: nothing, bytes that are at hand, or a stream. Only the stream is boxed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// Whether answers of this status have no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
pub(crate) fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What a client has to know before it reads a message: how long the message is, what is in it, whether it may
/// be kept. It means nothing after a body, or is believed where it should not be (RFC 9110, section 6.5.1).
const NO_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// A frame without the trailers that may not be some. By HTTP/1.1 they would not be sent anyway.
pub(crate) fn without_headers(frame: Frame<Bytes>) -> Frame<Bytes> {
    let mut trailers: HeaderMap = match frame.into_trailers() {
        Ok(trailers) => trailers,
        Err(frame) => return frame,
    };
    for name in &NO_TRAILERS {
        trailers.remove(name);
    }
    Frame::trailers(trailers)
}

/// Why a body ended early; its text goes to the log, never to the client.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed stream of body frames.
pub type BodyStream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// What is handed to a connection at once: HTTP/2 keeps it, however little the client takes.
const PIECE_BYTES: usize = 64 << 10;

/// A response's body.
#[derive(Default)]
pub enum Body {
    /// No bytes and no trailers.
    #[default]
    Empty,
    /// Bytes that are at hand, without trailers.
    Full(Bytes),
    /// Frames that are made while the client reads.
    Stream(BodyStream),
}

impl Body {
    /// A body of nothing.
    pub const fn empty() -> Self {
        Self::Empty
    }

    /// A body of bytes that are at hand.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }

    /// A body that is made while the client reads it.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(Box::pin(body.map_err(Into::into)))
    }

    /// A body that is a stream already, boxed by the caller.
    pub fn from_stream(stream: BodyStream) -> Self {
        Self::Stream(stream)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                if bytes.is_empty() {
                    *self = Self::Empty;
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
