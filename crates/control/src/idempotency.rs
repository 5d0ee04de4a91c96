//! Requests that come twice by the same key are done once, and answered alike: with what the first one
//! was answered, or, while that is under way, that it is. The answer is part of the change's transaction,
//! so that whoever heard nothing may ask again, whatever it was that failed.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dayfly_api::{Code, IDEMPOTENCY_KEY};
use dayfly_store::{Keyed, Store, StoreError};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::body::{MAX_BYTES, whole};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// The longest key, in bytes.
const MAX_KEY: usize = 200;

/// An answer as it is sent, and kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What the store makes of it.
pub(crate) type Stored<T> = std::result::Result<T, StoreError>;

/// What is answered to a change.
pub(crate) trait Keep {
    /// The answer as it is kept.
    fn keep(self) -> Stored<Kept>;
}

/// A request with a key, which is under way as long as this is there.
pub(crate) struct Once {
    shared: Shared,
    request: Keyed,
}

/// Has what bears a key be done once.
pub(crate) async fn once(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let key = key(request.headers())?;
    let caller = request.extensions().get::<Caller>().cloned();
    let (Some(key), Some(mut caller), false) = (key, caller, request.method().is_safe()) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let token = caller.token.id.clone();
    let mut once = Once::begin(&shared, Keyed { token, key, request: Vec::new() })?;
    let body = whole(body, MAX_BYTES).await?;
    let tag = parts.headers.get(http::header::IF_MATCH).map_or(&[][..], HeaderValue::as_bytes);
    let head = format!("{} {}\n", parts.method, parts.uri);
    once.request.request = [head.as_bytes(), tag, b"\n", &body].concat();
    caller.once = Some(Arc::new(once));
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

impl Once {
    fn begin(shared: &Shared, request: Keyed) -> Result<Self> {
        let name = (request.token.clone(), request.key.clone());
        let mut all = shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match all.insert(name) {
            true => Ok(Self { shared: shared.clone(), request }),
            false => Err(Failure::new(Code::Conflict, "the same request is under way")),
        }
    }

    /// Makes a change, unless it was made, and gives its answer.
    pub(crate) fn change(
        &self,
        store: &Store,
        change: impl FnOnce(&Store) -> Stored<Kept>,
    ) -> Stored<Kept> {
        let answer = store.once(&self.request, |store| {
            let kept = serde_json::to_vec(&change(store)?);
            kept.map(Zeroizing::new).map_err(|error| odd(&error))
        })?;
        serde_json::from_slice(&answer).map_err(|error| odd(&error))
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        let name = (self.request.token.clone(), self.request.key.clone());
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
}

/// An answer that is no JSON: the change is not made.
pub(crate) fn odd(error: &serde_json::Error) -> StoreError {
    StoreError::Record(error.to_string())
}

impl Keep for StatusCode {
    fn keep(self) -> Stored<Kept> {
        Ok(Kept { status: self.as_u16(), headers: Vec::new(), body: String::new() })
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, Body::from(self.body)).into_response();
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
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
