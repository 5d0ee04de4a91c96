//! What the API answers when it does not do what it was asked for: problem details (RFC 9457).

use std::fmt;

use dayfly_model::platform::{Ask, BlobDigest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Problem details, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind of problem: `urn:dayfly:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request, as the log calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The kind of problem, for programs.
    pub code: Code,
    /// How to mend it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Which quota it is beyond, of `quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceeded: Option<Exceeded>,
    /// What the release asks for beyond what is active, of `grants`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<Ask>,
    /// Which blobs have to be sent first, of `missing_blobs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<BlobDigest>,
}

/// A quota that a request is beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exceeded {
    /// Its name, as a tenant's `quotas` have it.
    pub quota: String,
    /// What the tenant may have.
    pub limit: u64,
    /// What it would have with this request.
    pub needed: u64,
}

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No token, or none that is valid.
    Unauthenticated,
    /// The token's scopes do not have it.
    Forbidden,
    /// It is not there, or not for this token to see.
    NotFound,
    /// The request cannot be understood.
    Invalid,
    /// It is there already, or in use.
    Conflict,
    /// It has changed since it was read.
    Changed,
    /// It is beyond a quota of the tenant.
    Quota,
    /// The release asks for more than the active one, and nobody accepted that.
    Grants,
    /// The release names blobs that were not sent.
    MissingBlobs,
    /// What was sent has another digest.
    Digest,
    /// What was sent is too long.
    TooLarge,
    /// Too many requests, or too many wrong tokens.
    RateLimited,
    /// The release is no app that this platform can serve.
    Unservable,
    /// The same idempotency key came with another request.
    Idempotency,
    /// The platform cannot do it now.
    Unavailable,
    /// The platform failed.
    Internal,
}

impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:dayfly:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: Some(detail.into()),
            instance: None,
            code,
            hint: None,
            exceeded: None,
            asks: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The same with how to mend it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(&self.title))
    }
}

impl std::error::Error for Problem {}

impl Code {
    /// The code's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Changed => "changed",
            Self::Quota => "quota",
            Self::Grants => "grants",
            Self::MissingBlobs => "missing_blobs",
            Self::Digest => "digest",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unservable => "unservable",
            Self::Idempotency => "idempotency",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The status of its answers.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::Quota => 403,
            Self::NotFound => 404,
            Self::Invalid | Self::Digest => 400,
            Self::Conflict | Self::Grants | Self::MissingBlobs => 409,
            Self::Changed => 412,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Unservable | Self::Idempotency => 422,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "a valid token is needed",
            Self::Forbidden => "the token does not allow this",
            Self::NotFound => "there is no such thing",
            Self::Invalid => "the request cannot be understood",
            Self::Conflict => "it is there already, or in use",
            Self::Changed => "it has changed meanwhile",
            Self::Quota => "a quota of the tenant is used up",
            Self::Grants => "the release asks for more than the active one",
            Self::MissingBlobs => "the release names what was not sent",
            Self::Digest => "what was sent has another digest",
            Self::TooLarge => "what was sent is too long",
            Self::RateLimited => "too many requests",
            Self::Unservable => "the release cannot be served",
            Self::Idempotency => "the idempotency key belongs to another request",
            Self::Unavailable => "the platform cannot do it now",
            Self::Internal => "the platform failed",
        }
    }
}
