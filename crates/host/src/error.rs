//! The errors that HTTP clients see: whose fault each is, and the status, log level and one-line
//! text that follow from it. Everything that answers an error at this edge does it through here.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::Over;
use dayfly_model::platform::Quota;
use dayfly_telemetry::ComponentMetrics;
use dayfly_telemetry::metrics::edge;
use http::{HeaderValue, Response, StatusCode, header};

use crate::access_log::Answered;
use crate::body::{Body, BoxError};
use crate::guest_log::printable;

pub use dayfly_telemetry::Fault;

/// After how long a component that could not be loaded is tried again, though its file is the same.
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// What went wrong, as far as a client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// No route matches.
    UnknownRoute,
    /// No app has this host.
    UnknownHost,
    /// The request is for another host than the connection.
    Misdirected,
    /// The request breaks HTTP's rules.
    Malformed,
    /// The route takes WebSockets only.
    UpgradeRequired,
    /// The page that asks for a WebSocket is of another host.
    ForeignOrigin,
    /// The request's target is too long.
    UriTooLong,
    /// The request's headers are too many or too large.
    HeadersTooLarge,
    /// The request's body is over the component's limit.
    BodyTooLarge,
    /// The client sent too little of the request's body for too long.
    BodyTooSlow,
    /// The guest trapped.
    GuestTrapped,
    /// The guest returned without a response, or with one that is not valid.
    NoResponse,
    /// The guest used up its memory.
    OverMemory,
    /// The guest used up its CPU or wall time before it answered.
    OverTime,
    /// The component's own queue is full.
    TenantBusy,
    /// The tenant has its share of the node.
    ShareBusy,
    /// The tenant's quota is used up.
    OverQuota(Quota),
    /// The node's queue is full.
    NodeBusy,
    /// The component cannot be loaded.
    Unavailable,
    /// The process of the request's tenant is not there.
    ProcessAway,
    /// It ended, or broke the answer off, before any of that came.
    ProcessLost,
    /// The node is ending and takes no new requests.
    ShuttingDown,
    /// Dayfly failed.
    Internal,
}

impl Problem {
    const fn facts(self) -> (u16, Fault, &'static str) {
        match self {
            Self::UnknownRoute => (404, Fault::Client, "no route matches this path"),
            Self::UnknownHost => (404, Fault::Client, "no app has this host"),
            Self::Misdirected => (421, Fault::Client, "this connection is for another host"),
            Self::Malformed => (400, Fault::Client, "the request is malformed"),
            Self::UpgradeRequired => (426, Fault::Client, "this route takes WebSockets only"),
            Self::ForeignOrigin => (403, Fault::Client, "pages of this origin may not connect"),
            Self::UriTooLong => (414, Fault::Client, "the request's address is too long"),
            Self::HeadersTooLarge => (431, Fault::Client, "the request's headers are too large"),
            Self::BodyTooLarge => (413, Fault::Client, "the request's body is too large"),
            Self::BodyTooSlow => (408, Fault::Client, "the request's body comes too slowly"),
            Self::GuestTrapped => (500, Fault::Guest, "the handler failed"),
            Self::NoResponse => (500, Fault::Guest, "the handler gave no valid response"),
            Self::OverMemory => (500, Fault::Guest, "the handler ran out of memory"),
            Self::OverTime => (504, Fault::Guest, "the handler ran out of time"),
            Self::TenantBusy => (429, Fault::Tenant, "too many requests at once"),
            Self::ShareBusy => {
                (429, Fault::Tenant, "the tenant's share of this node is taken by its own requests")
            }
            Self::OverQuota(quota) => (429, Fault::Tenant, over(quota)),
            Self::NodeBusy => (503, Fault::Platform, "too busy"),
            Self::Unavailable => (503, Fault::Operator, "the handler is not available"),
            Self::ProcessAway => (503, Fault::Platform, "the app's process is being started"),
            Self::ProcessLost => (502, Fault::Platform, "the app's process gave no answer"),
            Self::ShuttingDown => (503, Fault::Platform, "shutting down"),
            Self::Internal => (500, Fault::Platform, "internal error"),
        }
    }

    /// The status that the client gets.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        self.facts().1
    }

    /// The line that the client reads, without the error id.
    pub const fn line(self) -> &'static str {
        self.facts().2
    }

    /// The level of its log line: clients and tenants cannot fill the log of a host at its default
    /// level `info` with their own mistakes, nor by coming all at once; guests show as warnings,
    /// the rest needs an operator.
    const fn level(self) -> tracing::Level {
        match (self, self.fault()) {
            // The supervisor has said that it ended.
            (Self::NodeBusy | Self::ProcessAway | Self::ProcessLost, _)
            | (_, Fault::Client | Fault::Tenant) => tracing::Level::DEBUG,
            (_, Fault::Guest) => tracing::Level::WARN,
            (_, Fault::Operator | Fault::Platform) => tracing::Level::ERROR,
        }
    }

    const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TenantBusy
            | Self::ShareBusy
            | Self::OverQuota(_)
            | Self::NodeBusy
            | Self::ProcessAway
            | Self::ShuttingDown => Some(Duration::from_secs(1)),
            // It is not tried again sooner.
            Self::Unavailable => Some(RETRY),
            _ => None,
        }
    }
}

/// What is said where a quota is used up.
const fn over(quota: Quota) -> &'static str {
    match quota {
        Quota::RequestsPerSecond => "the tenant's quota `requests_per_second` is used up",
        Quota::Concurrency => "the tenant's quota `concurrency` is used up",
        Quota::CpuMonthSeconds => "the tenant's quota `cpu_month_seconds` is used up",
        Quota::OutboundPerSecond => "the tenant's quota `outbound_per_second` is used up",
        Quota::LogDayBytes => "the tenant's quota `log_day_bytes` is used up",
        Quota::StateBytes => "the tenant's quota `state_bytes` is used up",
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

/// An error at the HTTP edge: what the client may know, and what only the log does.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct EdgeError {
    problem: Problem,
    component: Option<Arc<ComponentMetrics>>,
    /// What the client reads instead of the problem's line.
    said: Option<String>,
    retry_after: Option<Duration>,
    #[source]
    cause: Option<BoxError>,
}

impl EdgeError {
    /// An error whose problem says all there is to say.
    pub const fn new(problem: Problem) -> Self {
        let retry_after = problem.retry_after();
        Self { problem, component: None, said: None, retry_after, cause: None }
    }

    /// An error for a quota that is used up: it says when there is more of it.
    pub fn over(over: &Over) -> Self {
        let error = Self::new(Problem::OverQuota(over.quota)).retry_after(over.wait);
        Self { said: over.renews.map(|_| over.to_string()), ..error }
    }

    /// What went wrong.
    pub const fn problem(&self) -> Problem {
        self.problem
    }

    /// The cause, for the log only.
    #[must_use]
    pub fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The component that the request was for, for the log only.
    #[must_use]
    pub fn of(mut self, component: Arc<ComponentMetrics>) -> Self {
        self.component = Some(component);
        self
    }

    /// After how long the client should try again, rounded up to seconds.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Writes the log line and makes the response that carries the same error id.
    pub fn respond(self) -> Response<Body> {
        self.respond_as(ErrorId::random())
    }

    /// The same of a request that has an id already.
    pub(crate) fn respond_as(self, id: ErrorId) -> Response<Body> {
        self.log(id);
        if self.component.is_none() {
            edge::count(self.problem.status().as_u16(), Some(self.problem.fault()));
        }
        let said = self.said.as_deref().unwrap_or(self.problem.line());
        let text = format!("{said} (error {id})\n");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.problem.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Answered {
            component: self.component.map(|component| component.component().clone()),
            error_id: Some(id),
            fault: Some(self.problem.fault()),
        });
        response
    }

    /// Writes the log line alone, for an error after the response has begun. A component has only so
    /// many a second; what is for debugging only has no bound.
    pub fn log(&self, id: ErrorId) {
        let level = self.problem.level();
        match &self.component {
            Some(component) if level < tracing::Level::DEBUG => {
                component.lines().note(|unsaid| self.write(level, id, unsaid));
            }
            _ => self.write(level, id, None),
        }
    }

    fn write(&self, level: tracing::Level, id: ErrorId, unsaid: Option<u32>) {
        let line = Line {
            id,
            fault: self.problem.fault().label(),
            status: self.problem.status().as_u16(),
            component: self.component.as_ref().map(|component| &**component.component()),
            cause: Chain(self.cause.as_deref()),
            text: self.problem.line(),
            unsaid,
        };
        match level {
            tracing::Level::ERROR => tracing::error!(target: "dayfly::edge",
                error_id = %line.id, fault = line.fault, status = line.status,
                component = line.component, cause = %line.cause, unsaid = line.unsaid,
                "{}", line.text),
            tracing::Level::WARN => tracing::warn!(target: "dayfly::edge",
                error_id = %line.id, fault = line.fault, status = line.status,
                component = line.component, cause = %line.cause, unsaid = line.unsaid,
                "{}", line.text),
            _ => tracing::debug!(target: "dayfly::edge",
                error_id = %line.id, fault = line.fault, status = line.status,
                component = line.component, cause = %line.cause, "{}", line.text),
        }
    }
}

/// The facts of one error's log line.
struct Line<'a> {
    id: ErrorId,
    fault: &'static str,
    status: u16,
    component: Option<&'a str>,
    cause: Chain<'a>,
    text: &'static str,
    /// How many failures of the component's had no line before this one.
    unsaid: Option<u32>,
}

/// An error and its sources on one line. Guests choose parts of such texts, names of their functions
/// for example, so nothing in them may look like a line of the host's.
struct Chain<'a>(Option<&'a (dyn std::error::Error + Send + Sync + 'static)>);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.0 else { return f.write_str("-") };
        let text = chain(error);
        f.write_str(&one_line(&text))
    }
}

/// An error and its causes, one behind the other; a transparent one repeats its source and is left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut shown = text.clone();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        if said != shown {
            text.push_str(": ");
            text.push_str(&said);
        }
        shown = said;
        cause = source.source();
    }
    text
}

/// What a line of the log shows of a cause at most, in bytes.
const CAUSE_BYTES: usize = 2 << 10;

/// A text of several lines, whose parts may be anybody's, as one line of bounded length that is
/// harmless to print.
pub(crate) fn one_line(text: &str) -> String {
    let shown = &text[..text.floor_char_boundary(CAUSE_BYTES)];
    let lines: Vec<&str> = shown.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut line = printable(&lines.join(" | ")).into_owned();
    if shown.len() < text.len() {
        line.push('…');
    }
    line
}

/// The response to a request that no route matches.
pub fn not_found() -> Response<Body> {
    EdgeError::new(Problem::UnknownRoute).respond()
}

/// What ties an answer to its log line, and, where requests are told apart, to all lines of its request: 50 random bits, written as ten letters and digits of
/// Crockford's base 32. Not a secret and not proof against a collision that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorId(u64);

impl ErrorId {
    /// A new id.
    pub fn random() -> Self {
        thread_local! {
            static STATE: Cell<u64> = Cell::new(
                std::collections::hash_map::RandomState::new().build_hasher().finish()
            );
        }
        // SplitMix64, seeded a thread from the standard library's hash keys.
        let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(state);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) >> 14)
    }
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        for digit in (0..10).rev() {
            let index = (self.0 >> (5 * digit)) & 31;
            fmt::Write::write_char(f, char::from(ALPHABET[index as usize]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ten_letters_and_differ() {
        let (one, two) = (ErrorId::random().to_string(), ErrorId::random().to_string());
        assert_eq!(one.len(), 10);
        assert!(one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_ne!(one, two);
    }

    #[test]
    fn an_answer_tells_the_problem_and_nothing_of_its_cause() {
        let error = EdgeError::new(Problem::NodeBusy)
            .because(std::io::Error::other("/etc/secret"))
            .retry_after(Duration::from_millis(1500));
        let response = error.respond();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        let Body::Full(text) = response.body() else { panic!("a text") };
        let answered = response.extensions().get::<Answered>().unwrap();
        let id = answered.error_id.unwrap();
        assert_eq!(text, format!("too busy (error {id})\n").as_bytes());
        assert_eq!(answered.fault, Some(Fault::Platform));
    }
}
