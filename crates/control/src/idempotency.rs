//! Requests that come twice by the same key are done once, and answered alike: with what the first one
//! was answered, or, while that is under way, that it is.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use dayfly_api::{Code, IDEMPOTENCY_KEY};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;

use crate::body::{MAX_BYTES, whole};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// The longest key, in bytes.
const MAX_KEY: usize = 200;

/// The longest answer that is kept, in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// The headers of an answer that are kept.
const KEPT: [HeaderName; 2] = [CONTENT_TYPE, ETAG];

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// A key that is under way.
struct UnderWay {
    shared: Shared,
    key: (String, String),
}

/// Does what bears a key once.
pub(crate) async fn once(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let key = key(request.headers())?;
    let caller = request.extensions().get::<Caller>().cloned();
    let (Some(key), Some(caller), false) = (key, caller, request.method().is_safe()) else {
        return Ok(next.run(request).await);
    };
    let key = (caller.token.id, key);
    let _under_way = UnderWay::begin(&shared, key.clone())?;
    let (parts, body) = request.into_parts();
    let body = whole(body, MAX_BYTES).await?;
    let tag = parts.headers.get(http::header::IF_MATCH).map_or(&[][..], HeaderValue::as_bytes);
    let head = format!("{} {}\n", parts.method, parts.uri);
    let asked = [head.as_bytes(), tag, b"\n", &body].concat();
    let (token, name, digest) = (key.0.clone(), key.1.clone(), asked.clone());
    let found = shared.ask(move |store| store.answered(&token, &name, &digest)).await?;
    if let Some(found) = found {
        return again(&found.answer);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(&shared, key, asked, response).await
}

/// Keeps an answer, unless asking again may lead to another one.
async fn keep(
    shared: &Shared,
    (token, key): (String, String),
    asked: Vec<u8>,
    response: Response,
) -> Result<Response> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = whole(body, usize::MAX).await?;
    let text = |name: &HeaderName| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let headers = KEPT.iter().filter_map(|name| Some((name.to_string(), text(name)?)));
    let kept = Kept {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    if body.len() <= MAX_ANSWER {
        let kept = zeroize::Zeroizing::new(serde_json::to_vec(&kept).unwrap_or_default());
        let done = shared.ask(move |store| store.keep_answer(&token, &key, &asked, &kept)).await;
        if done.is_err() {
            tracing::warn!("the answer to a request with an idempotency key could not be kept");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(kept: &[u8]) -> Result<Response> {
    let kept: Kept = serde_json::from_slice(kept).map_err(|error| Failure::internal(&error))?;
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, kept.body).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let odd = || Failure::invalid(format!("an idempotency key is up to {MAX_KEY} characters"));
    let key = value.to_str().map_err(|_| odd())?;
    match (1..=MAX_KEY).contains(&key.len()) {
        true => Ok(Some(key.to_owned())),
        false => Err(odd()),
    }
}

impl UnderWay {
    fn begin(shared: &Shared, key: (String, String)) -> Result<Self> {
        let mut all = shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match all.insert(key.clone()) {
            true => Ok(Self { shared: shared.clone(), key }),
            false => Err(Failure::new(Code::Conflict, "the same request is under way")),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut all = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.key);
    }
}
