//! Logs of apps.

use dayfly_model::platform::{LogLevel, LogLine, LogStream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The media type of a log that goes on: a line of JSON each, empty ones now and then while there is
/// nothing to say.
pub const NDJSON: &str = "application/x-ndjson";

/// Which lines of a log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Of this component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Of this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub stream: Option<LogStream>,
    /// Of this level, or one that matters more; lines without a level are none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub level: Option<LogLevel>,
    /// From this time on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// With this in their text, context or request's id, be it capital letters or not: up to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// How many of the last ones: 0 to 1000, 100 unless stated; at most 8 MiB of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whether the answer goes on with lines as they come (`application/x-ndjson`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

/// Lines of a log, the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    /// The lines.
    pub items: Vec<LogLine>,
}

/// What a log that goes on says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LogEvent {
    /// A line.
    Line(LogLine),
    /// Something about what comes.
    Notice(LogNotice),
}

/// Something about the lines of a log that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogNotice {
    /// What it is about.
    pub notice: Notice,
    /// The same for people.
    pub detail: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Lines were removed before they could be sent.
    Missed,
    /// The end: the client took too little for too long.
    Slow,
    /// The end: the token is valid no more.
    Unauthenticated,
    /// The end: the app is there no more.
    Gone,
    /// The end: it has gone on for as long as it may.
    Over,
}

impl Notice {
    /// Whether nothing comes behind it.
    #[must_use]
    pub fn is_end(self) -> bool {
        self != Self::Missed
    }
}
