//! What guests of a platform say, and what the host says of their requests: lines of their app's log,
//! and events of the node's own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use chrono::{SecondsFormat, Utc};
use dayfly_capabilities::wasi::stdio::{Level, LogSink, OutputKind};
use dayfly_host::{current_request, guest_log, printable};
use dayfly_model::platform::{AppId, LogLevel, LogLine, LogStream, ReleaseId};
use dayfly_store::AppLog;

use crate::platform::short;

/// The logs of a node's apps: one each, however many releases of it there are.
#[derive(Default)]
pub(super) struct Logs(Mutex<Known>);

/// Logs by the numbers of their apps.
#[derive(Default)]
struct Known {
    logs: HashMap<u64, Weak<AppLog>>,
    /// At how many is looked which of them have gone: seldom, since that looks at all.
    prune_at: usize,
}

/// Logs that are kept in mind whether they have gone or not.
const FEW: usize = 64;

/// How many failures of a component are told in a second; of those beyond, how many there were.
const FAILURES: u32 = 50;

/// Failures of the second that it is.
#[derive(Default)]
struct Failures {
    second: i64,
    told: u32,
    untold: u64,
}

/// The log of one component of a release.
pub(super) struct ComponentLog {
    log: Arc<AppLog>,
    app: AppId,
    release: String,
    component: String,
    failures: Mutex<Failures>,
}

impl Logs {
    /// The log of the app with this number, which keeps what it keeps in this folder.
    pub(super) fn of(&self, number: u64, state: &Path) -> Arc<AppLog> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { logs, prune_at } = &mut *known;
        if logs.len() >= *prune_at {
            logs.retain(|_, log| log.strong_count() > 0);
            *prune_at = 2 * logs.len() + FEW;
        }
        if let Some(log) = logs.get(&number).and_then(Weak::upgrade) {
            return log;
        }
        let log = Arc::new(AppLog::new(state));
        logs.insert(number, Arc::downgrade(&log));
        log
    }
}

impl ComponentLog {
    pub(super) fn new(log: &Arc<AppLog>, app: &AppId, release: &ReleaseId, name: &str) -> Self {
        let release = short(release).to_owned();
        Self {
            log: log.clone(),
            app: app.clone(),
            release,
            component: name.to_owned(),
            failures: Mutex::default(),
        }
    }

    fn append(&self, stream: LogStream, level: Option<LogLevel>, context: &str, text: &str) {
        let line = LogLine {
            at: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            component: self.component.clone(),
            release: self.release.clone(),
            request: current_request().map(|request| request.to_string()),
            stream,
            level,
            context: Some(context).filter(|it| !it.is_empty()).map(str::to_owned),
            text: text.to_owned(),
        };
        match self.log.append(&line) {
            Ok(0) => {}
            Ok(lost) => {
                let text = format!("[{lost} lines are lost: the disk did not take them]");
                let said = LogLine { stream: LogStream::Host, text, context: None, ..line };
                // If that is lost as well, the next one says so.
                let _ = self.log.append(&said);
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(app = %self.app, "lines of an app's log are lost: {error:#}");
            }
        }
    }

    /// The same as an event of the node's log.
    fn tell(&self, stream: &'static str, level: LogLevel, context: &str, text: &str) {
        let (tenant, app) = (self.app.tenant.as_str(), self.app.app.as_str());
        let component = &*self.component;
        let request = current_request().map(tracing::field::display);
        let context = printable(context);
        let context = Some(&*context).filter(|context| !context.is_empty());
        let shown = printable(text);
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: guest_log::TARGET, tenant, app, component, stream, request, context,
                    "{shown}"
                )
            };
        }
        match level {
            LogLevel::Trace => event!(trace),
            LogLevel::Debug => event!(debug),
            LogLevel::Info => event!(info),
            LogLevel::Warn => event!(warn),
            LogLevel::Error | LogLevel::Critical => event!(error),
        }
    }
}

impl LogSink for ComponentLog {
    fn line(&self, kind: OutputKind, line: &str) {
        let stream = match kind {
            OutputKind::Stdout => LogStream::Stdout,
            OutputKind::Stderr => LogStream::Stderr,
        };
        self.tell(stream.as_str(), LogLevel::Info, "", line);
        self.append(stream, None, "", line);
    }

    fn message(&self, level: Level, context: &str, message: &str) {
        let level = of(level);
        self.tell("logging", level, context, message);
        self.append(LogStream::Logging, Some(level), context, message);
    }

    /// The node's log has it already.
    fn host(&self, line: &str) {
        self.append(LogStream::Host, Some(LogLevel::Warn), "", line);
    }

    /// As [`Self::host`].
    fn failure(&self, level: Level, line: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = failures.admit(Utc::now().timestamp());
        drop(failures);
        let Some(untold) = admitted else { return };
        if untold > 0 {
            let text = format!("[{untold} failures more: too many a second to tell]");
            self.append(LogStream::Host, Some(LogLevel::Warn), "", &text);
        }
        self.append(LogStream::Host, Some(of(level)), "", line);
    }
}

impl Failures {
    /// Whether one more is told, and how many before it were not.
    fn admit(&mut self, second: i64) -> Option<u64> {
        if second != self.second {
            (self.second, self.told) = (second, 0);
        }
        if self.told >= FAILURES {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

fn of(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
        Level::Critical => LogLevel::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_is_counted_and_not_told() {
        let mut failures = Failures::default();
        assert_eq!((0..70).filter(|_| failures.admit(7).is_some()).count(), 50);
        assert_eq!((failures.admit(8), failures.admit(8)), (Some(20), Some(0)));
    }
}
