//! What is done without being asked waits for the platform to change, and for its time: a control plane that
//! nobody asks sleeps.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::now_ms;

/// How long is rested at most: another process may have changed something, and clocks are set.
const RARELY: Duration = Duration::from_secs(10);

/// Told of each change that this process makes.
pub(crate) struct Changes(watch::Sender<()>);

/// Hears of them.
pub(crate) struct Watcher(watch::Receiver<()>);

impl Changes {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Something has changed.
    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    /// Whoever hears of what changes from now on.
    pub(crate) fn watch(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }
}

impl Watcher {
    /// Rests until something has changed since this was called last, or a time has come, in milliseconds since
    /// 1970; but so long at least, so that much that changes costs little.
    pub(crate) async fn rest(&mut self, least: Duration, due_ms: Option<i64>) {
        sleep(least).await;
        let left = due_ms.map(|due| u64::try_from(due - now_ms()).unwrap_or(0));
        let left = left.map_or(RARELY, |left| Duration::from_millis(left).min(RARELY));
        tokio::select! {
            _ = self.0.changed() => {}
            () = sleep(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LEAST: Duration = Duration::from_millis(20);
    const SOON: Duration = Duration::from_secs(5);
    const WHILE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_rest_ends_with_a_change_or_at_its_time() {
        let changes = Changes::new();
        let mut watcher = changes.watch();
        // What changed before the rest began is heard of, too.
        changes.tell();
        timeout(SOON, watcher.rest(LEAST, None)).await.expect("a change is heard of");
        assert!(timeout(WHILE, watcher.rest(LEAST, None)).await.is_err(), "heard of twice");
        let soon = now_ms() + 50;
        timeout(SOON, watcher.rest(LEAST, Some(soon))).await.expect("its time comes");
        assert!(now_ms() >= soon);
        timeout(SOON, watcher.rest(LEAST, Some(0))).await.expect("its time is over");
        let late = Some(now_ms() + 60_000);
        assert!(timeout(WHILE, watcher.rest(LEAST, late)).await.is_err(), "its time is to come");
    }
}
