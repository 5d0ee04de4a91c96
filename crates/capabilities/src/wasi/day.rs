//! How much a tenant may log in a day, all its apps together: what is beyond is dropped, and one line says
//! so.

use std::sync::Arc;
use std::time::SystemTime;

use super::limited::LogBudget;
use crate::account::{Account, Room};

/// What a tenant may log in a day: the account's.
impl LogBudget for Arc<Account> {
    fn take(&self, bytes: usize) -> (bool, Option<String>) {
        // With the end of the line.
        match self.log(bytes as u64 + 1, SystemTime::now()) {
            Room::Yes => (true, None),
            Room::No => (false, None),
            Room::Ended => {
                let said = "[the tenant's quota `log_day_bytes` is used up: the rest of the day (UTC) \
                            is dropped]";
                (false, Some(said.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use dayfly_model::platform::Quotas;

    use super::*;
    use crate::wasi::limited::Limited;
    use crate::wasi::lines::{Level, LogSink, OutputKind};

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
        let logs = [(); 2].map(|()| Limited::new(recorder.clone(), account.clone()));
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
