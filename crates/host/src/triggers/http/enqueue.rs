//! Routes that lead into a queue: a request's body is put there as a message, and the client hears of it
//! when it is on the disk. No guest is woken for that.
//!
//! Headers of CloudEvents' binary mode become the message's attributes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use dayfly_capabilities::queue::{Content, HOPS, MESSAGE_BYTES, New, QueueError, Store, note_hops};
use dayfly_telemetry::trace::{Context, TRACEPARENT, TRACESTATE};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dispatch::RequestBody;
use crate::error::EdgeError;
use crate::{Body, Problem};

/// How long a client may take to send a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much memory the messages of a route may take until they are on the disk, in units of 1 KiB.
const HELD: usize = 64 << 10;
const UNIT: usize = 1 << 10;

/// How many attributes a message may have, and how long their values may be, in bytes.
const ATTRIBUTES: usize = 64;
const VALUE_BYTES: usize = 4096;

/// The way into a queue.
pub(super) struct Enqueue {
    queue: String,
    store: Arc<Store>,
    held: Arc<Semaphore>,
}

/// Why a request was not put.
enum NotPut {
    /// The client is told no more than the problem.
    Problem(EdgeError),
    /// The client is told what to mend.
    Wrong(StatusCode, String),
}

impl From<Problem> for NotPut {
    fn from(problem: Problem) -> Self {
        Self::Problem(EdgeError::new(problem))
    }
}

impl Enqueue {
    pub(super) fn new(queue: &str, store: Arc<Store>) -> Self {
        Self { queue: queue.to_owned(), store, held: Arc::new(Semaphore::new(HELD)) }
    }

    /// Puts a request's body into the queue; `place` is where in a trace that happens, `hops` how many
    /// steps of the topology the message has behind it.
    pub(super) async fn answer<B: RequestBody>(
        &self,
        request: Request<B>,
        place: Option<&Context>,
        hops: u32,
    ) -> Response<Body> {
        match self.put(request, place, hops).await {
            Ok(id) => {
                let text = serde_json::json!({ "id": id, "queue": self.queue }).to_string();
                answer(StatusCode::ACCEPTED, "application/json", text)
            }
            Err(NotPut::Problem(error)) => error.respond(),
            Err(NotPut::Wrong(status, text)) => {
                let mut response = answer(status, "text/plain; charset=utf-8", text + "\n");
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                }
                response
            }
        }
    }

    async fn put<B: RequestBody>(
        &self,
        request: Request<B>,
        place: Option<&Context>,
        hops: u32,
    ) -> Result<String, NotPut> {
        if *request.method() != Method::POST {
            let text = "this route takes only POST".to_owned();
            return Err(NotPut::Wrong(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        let (parts, body) = request.into_parts();
        let (id, mut attributes) = attributes(&parts.headers, place)?;
        note_hops(&mut attributes, HOPS, hops).map_err(not_put)?;
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let reading = tokio::time::timeout(PATIENCE, self.read(body)).await;
        let (data, _held) = reading.map_err(|_| {
            NotPut::Wrong(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned())
        })??;
        let content = Content { attributes, content_type, data: data.freeze() };
        let new = New::of_content(self.queue.clone(), content).map_err(not_put)?;
        self.store.put(vec![new]).await.map_err(not_put)?;
        Ok(id)
    }

    /// A whole body, and what it takes of the memory for such.
    async fn read<B: RequestBody>(
        &self,
        body: B,
    ) -> Result<(BytesMut, Option<OwnedSemaphorePermit>), NotPut> {
        if body.size_hint().lower() > MESSAGE_BYTES as u64 {
            return Err(Problem::BodyTooLarge.into());
        }
        let mut body = std::pin::pin!(body);
        let mut data = BytesMut::new();
        let mut held: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                NotPut::Problem(EdgeError::new(Problem::Malformed).because(error))
            })?;
            let Ok(piece) = frame.into_data() else { continue };
            if data.len() + piece.len() > MESSAGE_BYTES {
                return Err(Problem::BodyTooLarge.into());
            }
            data.extend_from_slice(&piece);
            let missing = data.len() / UNIT + 1 - held.as_ref().map_or(0, |it| it.num_permits());
            if let Ok(missing @ 1..) = u32::try_from(missing) {
                // Nobody waits for room: who did would keep what it has meanwhile.
                let more = self.held.clone().try_acquire_many_owned(missing);
                let more = more.map_err(|_| NotPut::from(Problem::NodeBusy))?;
                match &mut held {
                    Some(held) => held.merge(more),
                    None => held = Some(more),
                }
            }
        }
        Ok((data, held))
    }
}

fn not_put(error: QueueError) -> NotPut {
    match error {
        QueueError::TooLarge => Problem::BodyTooLarge.into(),
        QueueError::Quota(over) => NotPut::Problem(EdgeError::over(&over)),
        QueueError::Delay | QueueError::Priority => {
            NotPut::Wrong(StatusCode::BAD_REQUEST, error.to_string())
        }
        QueueError::Cycle => NotPut::Wrong(StatusCode::LOOP_DETECTED, error.to_string()),
        error => NotPut::Problem(EdgeError::new(Problem::Internal).because(error)),
    }
}

/// The id and the attributes of the event that a request is: what its `ce-…` headers say, and what
/// they leave open.
fn attributes(
    headers: &HeaderMap,
    place: Option<&Context>,
) -> Result<(String, Vec<(String, String)>), NotPut> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix("ce-") else { continue };
        // The host alone counts steps: a client that says of many makes nothing look like a cycle.
        if name == HOPS {
            continue;
        }
        let wrong = |what: &str| {
            NotPut::Wrong(StatusCode::BAD_REQUEST, format!("the header `{header}` {what}"))
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(wrong("names no attribute: those have letters and digits"));
        }
        let decoded = percent_decode_str(value.to_str().map_err(|_| wrong("is not ASCII"))?);
        let value = decoded.decode_utf8().map_err(|_| wrong("is not UTF-8"))?;
        if value.len() > VALUE_BYTES || attributes.len() >= ATTRIBUTES {
            return Err(wrong("is one too many, or too long"));
        }
        attributes.push((name.to_owned(), value.into_owned()));
    }
    let mut traced = HeaderMap::new();
    match place {
        Some(place) => place.inject(&mut traced),
        None => {
            let known = [TRACEPARENT, TRACESTATE];
            let known =
                known.into_iter().filter_map(|name| headers.get(&name).map(|it| (name, it)));
            traced.extend(known.map(|(name, value)| (name, value.clone())));
        }
    }
    for (name, value) in &traced {
        attributes.retain(|(known, _)| known != name.as_str());
        if let Ok(value) = value.to_str() {
            attributes.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    let mut default = |name: &str, value: String| {
        let stated = attributes.iter().find(|(known, _)| known == name);
        let stated = stated.map(|(_, value)| value.clone());
        stated.unwrap_or_else(|| {
            attributes.push((name.to_owned(), value.clone()));
            value
        })
    };
    default("time", chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).to_rfc3339());
    let id = default("id", uuid::Uuid::new_v4().to_string());
    Ok((id, attributes))
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
