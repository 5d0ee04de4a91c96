//! How much a tenant may log in a day, all its apps together: what is beyond is dropped, and one line says
//! so.

use std::sync::Arc;
use std::time::SystemTime;

use super::lines::{Level, LogSink, OutputKind};
use crate::account::{Account, Room};

/// A log that takes what its tenant may log.
pub struct DayLimited {
    sink: Arc<dyn LogSink>,
    account: Arc<Account>,
}

impl DayLimited {
    /// The same log, on a tenant's account.
    pub fn new(sink: Arc<dyn LogSink>, account: Arc<Account>) -> Self {
        Self { sink, account }
    }

    /// Whether so many bytes may be logged; the first that may not are told of.
    fn admits(&self, kind: OutputKind, bytes: usize) -> bool {
        // With the end of the line.
        match self.account.log(bytes as u64 + 1, SystemTime::now()) {
            Room::Yes => true,
            Room::No => false,
            Room::Ended => {
                let said = "[the tenant's quota `log_day_bytes` is used up: the rest of the day (UTC) \
                            is dropped]";
                self.sink.line(kind, said);
                false
            }
        }
    }
}

impl LogSink for DayLimited {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use dayfly_model::platform::Quotas;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl LogSink for Recorder {
        fn line(&self, _: OutputKind, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }

    #[test]
    fn components_of_one_tenant_share_its_day() {
        let quotas = Quotas { log_day_bytes: 20, ..Quotas::default() };
        let account = Account::new("acme", &quotas);
        let recorder = Arc::new(Recorder::default());
        let logs = [(); 2].map(|()| DayLimited::new(recorder.clone(), account.clone()));
        for log in &logs {
            log.line(OutputKind::Stdout, "0123456");
        }
        logs[0].line(OutputKind::Stdout, "0123456");
        logs[1].message(Level::Error, "", "0123456");
        let lines = recorder.0.lock().unwrap().clone();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[2].contains("`log_day_bytes`"), "{lines:?}");
    }
}
