//! Export by OTLP (<https://opentelemetry.io/docs/specs/otlp/>): what is told waits in bounded queues,
//! and one thread of its own sends it. Whoever has something to tell never waits: what finds a queue
//! full is dropped and counted.

mod client;
mod group;
mod logs;
mod metrics;
mod queue;
mod sender;
mod settings;
mod telemetry;
mod tls;

pub use group::{Item, Scope};
pub use logs::LogLayer;
pub use settings::{Limits, Reading, Service, Settings, SettingsError, Signal};
pub use telemetry::{Running, Telemetry};
pub use tls::TlsError;

/// One of the three kinds of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Traces,
    Metrics,
    Logs,
}

impl Kind {
    /// As it stands in metrics, and at the end of an endpoint.
    const fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}
