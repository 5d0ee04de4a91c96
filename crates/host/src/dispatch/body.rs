//! The body of a guest's response: streamed while the guest runs, bounded in time and size.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame};
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::WasiBody;

use super::failure::Failure;
use super::guest::{Guest, Terms};
use super::meter::Meter;
use crate::body::{is_bodiless, without_headers};
use crate::{Body, BoxError};

/// The body of a response. Where the guest has ended, all it wrote lies ready, and a short body
/// leaves in one piece and with its length; otherwise it is streamed, and takes the meter with it.
///
/// # Errors
/// What already is known to be wrong with it, while another answer is still possible.
pub(super) fn of_response(
    parts: &mut http::response::Parts,
    content: WasiBody,
    guest: Option<Guest>,
    terms: Terms,
    meter: &mut Meter,
) -> Result<Body, Failure> {
    let mut stream = Stream {
        queued: VecDeque::new(),
        content,
        guest,
        terms,
        budget: terms.output_bytes,
        missing: promised(&parts.headers)?,
        deadline: None,
        meter: None,
    };
    if terms.head_only || is_bodiless(parts.status) {
        if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            parts.headers.remove(CONTENT_LENGTH);
        }
        // Nobody takes what it writes; it may finish what else it does.
        stream.missing = None;
        if stream.guest.is_some() {
            stream.meter = Some(meter.take());
            stream.detach();
        }
        return Ok(Body::empty());
    }
    if stream.guest.is_none()
        && let Some(whole) = stream.take_whole()?
    {
        meter.handed_over(whole.len() as u64);
        return Ok(Body::from(whole));
    }
    stream.meter = Some(meter.take());
    Ok(Body::stream(stream))
}

/// What `Content-Length` promises. The server writes that header as it is, so a body of another
/// length would be taken for a part of the next answer, or the other way around.
fn promised(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let parsed = length.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match parsed.and_then(|text| text.parse().ok()) {
        Some(bytes) if lengths.next().is_none() => Ok(Some(bytes)),
        _ => Err(Failure::Length),
    }
}

struct Stream {
    /// Pieces that were taken out of the content already.
    queued: VecDeque<Frame<Bytes>>,
    content: WasiBody,
    /// The guest, if it still runs.
    guest: Option<Guest>,
    terms: Terms,
    /// How many more bytes the guest may write.
    budget: u64,
    /// How many more bytes its `Content-Length` promises.
    missing: Option<u64>,
    /// When the next piece is due; made when it first does not lie ready.
    deadline: Option<Pin<Box<Sleep>>>,
    meter: Option<Meter>,
}

impl Stream {
    /// The whole body, if it lies ready in one piece without trailers; or that it fails.
    fn take_whole(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match self.poll_content(&mut cx) {
                Poll::Pending => return Ok(None),
                Poll::Ready(Some(Err(failure))) => return Err(failure),
                Poll::Ready(Some(Ok(frame))) => self.queued.push_back(frame),
                Poll::Ready(None) => return Ok(self.single_piece()),
            }
        }
    }

    fn single_piece(&mut self) -> Option<Bytes> {
        match self.queued.len() {
            0 => Some(Bytes::new()),
            1 if self.queued[0].is_data() => self.queued.pop_front()?.into_data().ok(),
            _ => None,
        }
    }

    /// The next piece of the content, charged to the guest.
    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(frame) = ready!(Pin::new(&mut self.content).poll_frame(cx)) else {
            let whole = self.missing.is_none_or(|missing| missing == 0);
            return Poll::Ready(if whole { None } else { Some(Err(Failure::Length)) });
        };
        let frame = match frame {
            Ok(frame) => without_headers(frame),
            Err(error) => return Poll::Ready(Some(Err(Failure::Guest(error.to_string())))),
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if length > self.budget {
            return Poll::Ready(Some(Err(Failure::Output(self.terms.output_bytes))));
        }
        self.budget -= length;
        if let Some(missing) = &mut self.missing {
            match missing.checked_sub(length) {
                Some(left) => *missing = left,
                None => return Poll::Ready(Some(Err(Failure::Length))),
            }
        }
        self.deadline = None;
        Poll::Ready(Some(Ok(frame)))
    }

    /// Gives a piece to the client.
    fn hand_over(&self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(meter) = &self.meter {
            meter.handed_over(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Ends the guest and the connection: the client must not take half a body for a whole one.
    fn fail<T>(&mut self, failure: Failure) -> Result<T, BoxError> {
        self.guest = None;
        let text = failure.to_string();
        if let Some(meter) = self.meter.take() {
            meter.broke_off(failure);
        }
        Err(text.into())
    }

    /// Lets a guest run on that has written its whole body.
    fn detach(&mut self) {
        let (Some(guest), Ok(_)) = (self.guest.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let time = self.terms.time;
        let ended = self.meter.take().and_then(Meter::end);
        tokio::spawn(async move {
            let failure = match timeout(time, guest).await {
                Ok(Ok(())) => return,
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Time(time),
            };
            if let Some(ended) = ended {
                ended.failed(failure);
            }
        });
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(guest) = &mut this.guest
            && let Poll::Ready(ended) = Pin::new(guest).poll(cx)
        {
            this.guest = None;
            if let Err(failure) = ended {
                return Poll::Ready(Some(this.fail(failure)));
            }
        }
        if let Some(frame) = this.queued.pop_front() {
            return this.hand_over(frame);
        }
        match this.poll_content(cx) {
            Poll::Ready(None) => {
                this.detach();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => this.hand_over(frame),
            Poll::Ready(Some(Err(failure))) => Poll::Ready(Some(this.fail(failure))),
            Poll::Pending => {
                let time = this.terms.time;
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(time)));
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Some(this.fail(Failure::Time(time))))
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The server stops asking once it has all that `Content-Length` promised.
        if self.missing == Some(0) {
            self.detach();
        }
    }
}
