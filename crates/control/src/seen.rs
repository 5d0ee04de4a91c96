//! What a client has seen of that which it changes (`If-Match`): where that is another by now, nothing is
//! changed. Without it whatever is there is changed.

use axum::extract::FromRequestParts;
use dayfly_model::platform::Generation;
use http::header::IF_MATCH;
use http::request::Parts;

use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// The ETag that the client has seen, without its quotes, if it says so.
pub(crate) struct Seen(Option<String>);

impl FromRequestParts<Shared> for Seen {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self> {
        let mut all = parts.headers.get_all(IF_MATCH).iter();
        let Some(value) = all.next() else { return Ok(Self(None)) };
        let tag = value.to_str().ok().and_then(|it| it.strip_prefix('"')?.strip_suffix('"'));
        // Of several nobody could have seen all.
        let tag = tag.filter(|it| !it.contains('"') && all.next().is_none());
        tag.map(|tag| Self(Some(tag.to_owned()))).ok_or_else(odd)
    }
}

impl Seen {
    /// A version.
    pub(crate) fn version(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The generation of an app.
    pub(crate) fn generation(&self) -> Result<Option<Generation>> {
        let parsed = self.version().map(|tag| tag.parse().map(Generation)).transpose();
        parsed.map_err(|_| odd())
    }
}

fn odd() -> Failure {
    Failure::invalid("`If-Match` is one ETag, in quotes, as it was answered")
}
