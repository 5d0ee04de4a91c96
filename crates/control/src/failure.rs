//! Why a request was not done, and whose fault that is: one place decides what clients read, with
//! which status, and what is logged.

use axum::response::{IntoResponse, Response};
use dayfly_api::{Code, Exceeded, Problem};
use dayfly_store::StoreError;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::prepare::PrepareError;

/// A request was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) problem: Box<Problem>,
    /// After how many seconds it may be tried again.
    retry_after: Option<u32>,
}

/// What handlers give.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is no such thing here, or not for this token to see")
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(5), ..Self::new(Code::Unavailable, detail) }
    }

    pub(crate) fn limited(detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(Code::RateLimited, detail) }
    }

    /// The platform's own fault: the client learns an id, by which the log has the rest.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        tracing::error!(id, error = text, "a request of the admin API failed");
        let mut problem = Problem::new(Code::Internal, "the platform failed; its log says why");
        problem.instance = Some(format!("urn:dayfly:error:{id}"));
        problem.into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NotFound(_) => Self::new(Code::NotFound, text),
            StoreError::Taken(_) | StoreError::InUse(_) => Self::new(Code::Conflict, text),
            StoreError::Invalid(_) => Self::invalid(text),
            StoreError::Quota { quota, limit, needed } => {
                let exceeded = Exceeded { quota: quota.to_owned(), limit, needed };
                let hint = "remove what is not needed, or ask the operator for more";
                let problem = Problem::new(Code::Quota, text).hint(hint);
                Problem { exceeded: Some(exceeded), ..problem }.into()
            }
            StoreError::NotGiven { tenant, domain, .. } => {
                let hint = format!(
                    "the operator gives it by `dayfly tenants change {tenant} --domain {domain}`"
                );
                Problem::new(Code::Forbidden, text).hint(hint).into()
            }
            StoreError::Changed { .. } | StoreError::Rewritten(_) => Self::new(Code::Changed, text),
            StoreError::Grants(asks) => {
                let hint = "look at what it asks for, and accept it (`accept`, `--accept`)";
                Problem { asks, ..Problem::new(Code::Grants, text).hint(hint) }.into()
            }
            StoreError::Missing(missing) => {
                Problem { missing, ..Problem::new(Code::MissingBlobs, text) }.into()
            }
            StoreError::Digest { .. } => Self::new(Code::Digest, text),
            StoreError::TooLarge { .. } => Self::new(Code::TooLarge, text),
            StoreError::Idempotency => Self::new(Code::Idempotency, text),
            StoreError::Full => {
                tracing::error!("the disk of the platform's state is full");
                Self::unavailable("the platform's disk is full")
            }
            error => Self::internal(&error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Unservable(text) | PrepareError::TooMuch(text) => {
                Self::new(Code::Unservable, text)
            }
            // Who knows how much room there is says more.
            error @ PrepareError::NoRoom(_) => Self::new(Code::Unservable, error.to_string()),
            error @ PrepareError::Failed(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            // Whoever asks too much holds no connection meanwhile that others may need.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
