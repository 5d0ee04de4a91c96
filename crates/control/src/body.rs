//! Bodies of requests: bounded in size and in time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use dayfly_api::Code;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// The longest body but that of a blob, in bytes.
pub(crate) const MAX_BYTES: usize = 2 << 20;

/// How long a client may send nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A body of JSON.
pub(crate) struct Json<T>(pub(crate) T);

/// A package's manifest, as it was sent.
pub(crate) struct ManifestText(pub(crate) Bytes);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Shared) -> Result<Self> {
        has_type(&request, "application/json")?;
        let body = whole(request.into_body(), MAX_BYTES).await?;
        let parsed = serde_json::from_slice(&body);
        parsed.map(Self).map_err(|error| Failure::invalid(format!("the body says: {error}")))
    }
}

impl FromRequest<Shared> for ManifestText {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Shared) -> Result<Self> {
        has_type(&request, dayfly_api::MANIFEST)?;
        Ok(Self(whole(request.into_body(), MAX_BYTES).await?))
    }
}

fn has_type(request: &Request, expected: &str) -> Result<()> {
    let stated = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let stated = stated.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    match stated.eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(Failure::invalid(format!("the body has to be `{expected}`"))),
    }
}

/// Reads a body into memory.
pub(crate) async fn whole(mut body: axum::body::Body, limit_bytes: usize) -> Result<Bytes> {
    let mut read = Vec::new();
    while let Some(piece) = piece(&mut body).await? {
        if read.len() + piece.len() > limit_bytes {
            let text = format!("the body is longer than {} KiB", limit_bytes >> 10);
            return Err(Failure::new(Code::TooLarge, text));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.into())
}

/// The next piece of a body.
pub(crate) async fn piece(body: &mut axum::body::Body) -> Result<Option<Bytes>> {
    loop {
        let frame = timeout(PATIENCE, body.frame()).await;
        let stalled = |_| Failure::invalid("the body did not come to its end");
        let Some(frame) = frame.map_err(stalled)? else { return Ok(None) };
        let broken = |_| Failure::invalid("the body broke off");
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            return Ok(Some(data));
        }
    }
}
