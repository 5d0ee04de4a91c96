//! A line of an app's log, as it lies on the disk and as the admin API gives it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A line of an app's log: what a guest said, or the host of a request of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When (RFC 3339, in UTC, to the microsecond).
    pub at: String,
    /// The component.
    pub component: String,
    /// The release, by the first twelve digits of its digest.
    pub release: String,
    /// The request or event that was worked for, if one was; a client that is answered with an error
    /// finds the same id in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Who says it.
    pub stream: LogStream,
    /// How much it matters, where that is known: not of `stdout` and `stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The context of `wasi:logging`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// What was said, without its end.
    pub text: String,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// The guest, on its standard output.
    Stdout,
    /// The guest, on its standard error.
    Stderr,
    /// The guest, by `wasi:logging`.
    Logging,
    /// The host: why a request failed, or what a guest was refused.
    Host,
}

/// How much a line matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogStream {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Stdout, Self::Stderr, Self::Logging, Self::Host];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Logging => "logging",
            Self::Host => "host",
        }
    }
}

impl LogLevel {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}
