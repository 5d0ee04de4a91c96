//! The log: what is written, and how. Lines for people or JSON for machines, to standard error.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use dayfly_telemetry::export::LogLayer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::rehearsal::causes::Causes;

/// What is logged unless the user says otherwise. wasmtime-wasi and wasmtime-wasi-http warn of what
/// a guest does wrong, each time it does so; the guest is told, and the log is not its to fill.
const WARNINGS: &str = "warn,wasmtime_wasi=error";

/// What is logged, and in what form.
#[derive(Args, Clone)]
pub(crate) struct LogArgs {
    /// The form of the log on standard error
    #[arg(long, env = "DAYFLY_LOG_FORMAT", default_value = "pretty", value_name = "FORMAT")]
    log_format: Format,

    /// What is logged: a level, or TARGET=LEVEL pairs (targets: `dayfly::access`, `dayfly::guest`,
    /// `dayfly::edge`)
    #[arg(long, env = "DAYFLY_LOG", default_value_t = format!("{WARNINGS},dayfly=info"), value_name = "FILTER")]
    log: String,

    /// Whether each request is logged; `auto` means on a terminal only
    #[arg(long, env = "DAYFLY_ACCESS_LOG", default_value = "auto", value_name = "WHEN")]
    access_log: When,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One line an event, for people
    Pretty,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    On,
    Off,
}

impl LogArgs {
    /// Whether machines read the log.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.log_format, Format::Json)
    }

    /// Starts logging in this process.
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        let access = match self.access_log {
            When::Auto => std::io::stderr().is_terminal(),
            when => when == When::On,
        };
        let access = if access { "info" } else { "off" };
        let mut filter = EnvFilter::try_new(&self.log)?;
        // Named targets of the user's own go first.
        if !self.log.contains("dayfly::access") {
            filter = filter.add_directive(format!("dayfly::access={access}").parse()?);
        }
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // The filter holds for what is exported, too.
        let log = tracing_subscriber::registry().with(filter).with(LogLayer::default());
        let lines = tracing_subscriber::fmt::layer()
            .with_span_events(FmtSpan::NONE)
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Pretty => log.with(lines.with_ansi(colours).compact()).init(),
            Format::Json => {
                log.with(lines.json().flatten_event(true).with_current_span(false)).init();
            }
        }
        Ok(())
    }
}

/// Starts logging for tests of apps: what `DAYFLY_LOG` asks for, else nothing; causes of errors are kept.
pub(crate) fn start_with_causes() {
    let asked = EnvFilter::try_from_env("DAYFLY_LOG").ok();
    let lines = asked.map(|filter| {
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).compact().with_filter(filter)
    });
    tracing_subscriber::registry().with(Causes.with_filter(LevelFilter::DEBUG)).with(lines).init();
}

/// Starts logging for a command that runs no server: warnings for people, or what `DAYFLY_LOG` asks
/// for.
pub(crate) fn start_quietly() {
    let filter = EnvFilter::try_from_env("DAYFLY_LOG").unwrap_or_else(|_| EnvFilter::new(WARNINGS));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(colours)
        .compact()
        .init();
}
