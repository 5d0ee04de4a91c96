//! A log within a bound: what has no room is dropped, and a line tells of it.

use std::sync::Arc;

use super::lines::{Level, LogSink, OutputKind};

/// A log that takes what its bound admits.
pub struct Limited<B> {
    sink: Arc<dyn LogSink>,
    bound: B,
}

/// How much a log takes.
pub trait LogBudget: Send + Sync {
    /// Whether so many bytes may be logged, and what the log is to say of those that were dropped,
    /// before them or instead of them.
    fn take(&self, bytes: usize) -> (bool, Option<String>);
}

impl<B: LogBudget> Limited<B> {
    /// The same log, within a bound.
    pub fn new(sink: Arc<dyn LogSink>, bound: B) -> Self {
        Self { sink, bound }
    }

    fn admits(&self, kind: OutputKind, bytes: usize) -> bool {
        let (admitted, said) = self.bound.take(bytes);
        if let Some(said) = said {
            self.sink.line(kind, &said);
        }
        admitted
    }
}

impl<B: LogBudget> LogSink for Limited<B> {
    fn line(&self, kind: OutputKind, line: &str) {
        if self.admits(kind, line.len()) {
            self.sink.line(kind, line);
        }
    }

    fn message(&self, level: Level, context: &str, message: &str) {
        if self.admits(OutputKind::Stderr, context.len() + message.len()) {
            self.sink.message(level, context, message);
        }
    }

    fn host(&self, line: &str) {
        if self.admits(OutputKind::Stderr, line.len()) {
            self.sink.host(line);
        }
    }

    fn failure(&self, level: Level, line: &str) {
        if self.admits(OutputKind::Stderr, line.len()) {
            self.sink.failure(level, line);
        }
    }
}
