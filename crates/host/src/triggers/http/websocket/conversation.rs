//! What becomes of one connection's beginning, messages and end: events, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use dayfly_capabilities::websocket::{Kept, MESSAGE_BYTES, Message};
use dayfly_model::Executor;
use dayfly_telemetry::trace::{Span, TRACEPARENT, TRACESTATE};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Request, Response, Uri};

use super::{Seat, Websockets};
use crate::dispatch::{Arrival, Reply, Undelivered};
use crate::events::{Event, delivery_span, jittered};
use crate::{Body, Connection};

/// Where the events say that they come from.
const SOURCE: &str = "/websocket";

/// How long to wait for room for a handler, at first and at most.
const BUSY: Duration = Duration::from_millis(20);
const BUSY_MOST: Duration = Duration::from_secs(1);

/// How long the end of a connection waits for room for its handler, and an answer for its output.
const PATIENCE: Duration = Duration::from_secs(30);

/// Headers of the request that say nothing to its handler, or would mean something else there.
const DROPPED: [HeaderName; 14] = [
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    TRACEPARENT,
    TRACESTATE,
];

/// One connection, as its handler knows it.
pub(super) struct Conversation {
    seat: Seat,
    kept: Kept,
    id: String,
    path: Box<str>,
    /// How many events there were.
    count: AtomicU64,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goodbye {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Goodbye {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Nobody said anything (RFC 6455, section 7.1.5).
    pub(super) fn lost() -> Self {
        Self::new(1006, "")
    }
}

impl Conversation {
    pub(super) fn new(seat: Seat, kept: Kept, uri: &Uri) -> Self {
        let id = kept.link().id();
        Self { seat, kept, id, path: uri.path().into(), count: AtomicU64::new(0) }
    }

    pub(super) const fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(super) fn route(&self) -> &Arc<Websockets> {
        &self.seat.0
    }

    fn event(&self, kind: &str, data: Bytes) -> Event {
        let mut event = Event::new(SOURCE, kind, data);
        event.id = format!("{}-{}", self.id, self.count.fetch_add(1, Relaxed));
        event.subject = Some(self.id.clone());
        event.extend("path".to_owned(), self.path.to_string());
        event
    }

    /// Asks the handler whether there is to be a connection.
    pub(super) async fn open<B>(
        &self,
        request: &Request<B>,
        connection: &Connection,
        span: Option<Span>,
    ) -> Response<Body> {
        let mut event = self.event("dayfly.websocket.open", Bytes::new());
        if let Some(query) = request.uri().query() {
            event.extend("query".to_owned(), query.to_owned());
        }
        event.headers = clients_headers(request.headers());
        let executor = &Executor::Detected;
        let behind = event.behind();
        let arrival = Arrival { connection, executor, behind, event: Some(&event) };
        self.route().host.handle(event.request(), arrival, span).await
    }

    /// Has a message handled, and its answer sent or passed on.
    pub(super) async fn hear(&self, message: Message) -> Result<(), String> {
        let is_text = matches!(message, Message::Text(_));
        let mut event = self.event("dayfly.websocket.message", message.bytes().clone());
        let media = if is_text { "text/plain" } else { "application/octet-stream" };
        event.content_type = Some(media.to_owned());
        self.deliver(&event, is_text, None).await
    }

    /// Tells that it is over; by now nobody can send to it any more.
    pub(super) async fn end(self, goodbye: &Goodbye) {
        let Self { seat, kept, .. } = &self;
        let (route, counts) = (seat.0.clone(), kept.hub().clone());
        let mut event = self.event("dayfly.websocket.close", Bytes::new());
        event.extend("code".to_owned(), goodbye.code.to_string());
        if !goodbye.reason.is_empty() {
            event.extend("reason".to_owned(), goodbye.reason.clone());
        }
        kept.leave();
        if let Err(error) = self.deliver(&event, true, Some(PATIENCE)).await {
            counts.counts().failed.count();
            route.host.lines().note(|unsaid| {
                tracing::warn!(
                    component = route.host.name(),
                    event = event.id,
                    error,
                    unsaid,
                    "the end of a WebSocket was not handled"
                );
            });
        }
    }

    /// Hands an event over, however long there is no room for that, unless there is a bound.
    async fn deliver(
        &self,
        event: &Event,
        is_text: bool,
        patience: Option<Duration>,
    ) -> Result<(), String> {
        let route = self.route();
        let (mut wait, mut waited) = (BUSY, Duration::ZERO);
        loop {
            let span = route.telemetry.as_ref();
            let span = span.map(|it| delivery_span(it, "websocket", route.host.name(), event));
            let place = span.as_ref().map(|span| span.context().clone());
            match route.host.deliver(event, span).await {
                Ok(reply) if reply.data.is_empty() => return Ok(()),
                Ok(reply) => {
                    let Some(outlet) = &route.outlet else { return self.answer(reply, is_text) };
                    let topology = &route.topology;
                    let answer = topology.answer(event, route.host.name(), reply, place.as_ref());
                    return topology.pass_on_within(outlet, answer, PATIENCE).await;
                }
                Err(Undelivered::Failed(error)) => return Err(error),
                Err(Undelivered::Busy) if patience.is_some_and(|most| waited >= most) => {
                    return Err("there was no room for its handler".to_owned());
                }
                Err(Undelivered::Busy) => {}
            }
            let delay = jittered(wait);
            tokio::time::sleep(delay).await;
            waited += delay;
            wait = (wait * 2).min(BUSY_MOST);
        }
    }

    fn answer(&self, reply: Reply, is_text: bool) -> Result<(), String> {
        if reply.data.len() > MESSAGE_BYTES {
            return Err(format!("its answer is larger than {MESSAGE_BYTES} bytes"));
        }
        let message = Message::of_answer(reply.data, reply.content_type.as_deref(), is_text);
        let answered = self.kept.hub().answer(self.kept.link(), message);
        answered.map_err(|error| format!("its answer: {error}"))
    }
}

/// What of the request's headers its handler gets. Their values are not for logs.
fn clients_headers(headers: &HeaderMap) -> HeaderMap {
    let is_kept = |name: &HeaderName| !DROPPED.contains(name) && !name.as_str().starts_with("ce-");
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| {
        let mut value = value.clone();
        value.set_sensitive(true);
        (name.clone(), value)
    })
    .collect()
}
