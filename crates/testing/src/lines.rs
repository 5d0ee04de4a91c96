//! The lines that a process writes, as they come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a line may be waited for that should come soon.
const SOON: Duration = Duration::from_secs(20);

/// The lines of one stream so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects the lines of a stream from now on.
    pub(crate) fn collect(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let collected = Self::default();
        let lines = collected.clone();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line).await, Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.change(|state| state.lines.push(text));
                line.clear();
            }
            lines.change(|state| state.ended = true);
        });
        collected
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.read(|state| state.lines.clone())
    }

    /// All lines so far, as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// The first line of which `matches` is true, which must come soon.
    ///
    /// # Panics
    /// If it does not.
    pub async fn find(&self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        match timeout(SOON, self.wait_for(matches)).await {
            Ok(Some(line)) => line,
            _ => panic!("no line with {what} in:\n{}", self.text()),
        }
    }

    /// The first line that contains `text`, which must come soon.
    ///
    /// # Panics
    /// If it does not.
    pub async fn containing(&self, text: &str) -> String {
        self.find(&format!("`{text}`"), |line| line.contains(text)).await
    }

    /// The first line of which `matches` is true; `None` if the stream ends before.
    pub(crate) async fn wait_for(&self, matches: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            let changed = self.0.changed.notified();
            let (found, ended) = self.read(|state| {
                (state.lines.iter().find(|line| matches(line)).cloned(), state.ended)
            });
            if found.is_some() || ended {
                return found;
            }
            changed.await;
        }
    }

    /// Waits until the stream has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.read(|state| state.ended) {
                return;
            }
            changed.await;
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_waiters();
    }
}
