//! A guest's standard streams: lines of the app's log, the pipes of a CGI call, or the terminal
//! of `dayfly run`.

use std::sync::Arc;

use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::AsyncStdinStream;

pub use super::limited::{Limited, LogBudget};
pub use super::lines::{Level, LogSink, OutputKind};
use super::lines::{LineStream, LogBound};
pub use super::pipe::{PipeReader, PipeWriter, pipe};

/// Where a guest's standard streams lead.
pub enum Stdio {
    /// No input; both outputs to the app's log, line by line.
    Log(Arc<dyn LogSink>),
    /// Input and output through pipes; errors to the app's log.
    Pipes {
        /// What the guest reads.
        stdin: std::sync::Mutex<Option<AsyncStdinStream>>,
        /// Where the guest writes.
        stdout: PipeWriter,
        /// Where its errors go.
        log: Arc<dyn LogSink>,
    },
    /// The process's own streams.
    Inherit,
}

impl Stdio {
    /// Input from `stdin`, output to `stdout`, errors to the log.
    pub fn pipes(
        stdin: impl tokio::io::AsyncRead + Send + Sync + 'static,
        stdout: PipeWriter,
        log: Arc<dyn LogSink>,
    ) -> Self {
        let stdin = std::sync::Mutex::new(Some(AsyncStdinStream::new(stdin)));
        Self::Pipes { stdin, stdout, log }
    }

    /// Connects the streams of one instance, each of which takes so much for the log.
    pub(super) fn connect(&self, builder: &mut WasiCtxBuilder, bound: &LogBound) {
        let lines = |log: &Arc<dyn LogSink>, kind| LineStream::new(log.clone(), kind, bound);
        match self {
            Self::Log(log) => {
                builder
                    .stdout(lines(log, OutputKind::Stdout))
                    .stderr(lines(log, OutputKind::Stderr));
            }
            Self::Pipes { stdin, stdout, log } => {
                builder.stdout(stdout.clone()).stderr(lines(log, OutputKind::Stderr));
                // An input is one instance's alone: a second connection would find it at its end.
                if let Some(stdin) = stdin.lock().ok().and_then(|mut stdin| stdin.take()) {
                    builder.stdin(stdin);
                }
            }
            Self::Inherit => {
                builder.inherit_stdio();
            }
        }
    }
}
