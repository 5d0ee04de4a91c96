//! Takes one kind of what is told out of its queue and sends it, batch by batch, again if need be.

use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::Kind;
use super::client::{Client, SendError};
use super::group::{Item, Told};
use super::queue::Queue;
use super::settings::Signal;
use crate::metrics::Counter;
use crate::proto::resource::v1::Resource;

/// How often a batch is sent at most, and the first pause between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, whatever the collector asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The time between two lines of the log about failures.
const PACE: Duration = Duration::from_secs(60);

/// The way of one kind from the queue to the collector.
pub(super) struct Sender<T> {
    kind: Kind,
    pub(super) queue: Queue<T>,
    client: Client,
    pub(super) exported: Counter,
    pub(super) failed: Counter,
    /// When the log was last told of a failure.
    told: Mutex<Option<Instant>>,
}

impl<T: Told> Sender<T> {
    pub(super) fn new(kind: Kind, signal: Signal) -> Self {
        Self {
            kind,
            queue: Queue::new(signal.batching),
            client: Client::new(signal),
            exported: Counter::new(),
            failed: Counter::new(),
            told: Mutex::default(),
        }
    }

    /// Sends what is put in, and what `more` has each time, until it is told to end; then the rest.
    pub(super) async fn run(
        &self,
        every: Duration,
        process: &Resource,
        mut stop: watch::Receiver<bool>,
        more: impl Fn() -> Vec<Item<T>>,
    ) {
        let mut known = 0;
        loop {
            let ending = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = sleep(every) => false,
                () = self.queue.enough() => false,
            };
            let mut more = more();
            loop {
                let mut batch = self.queue.take().await;
                let is_full = batch.len() == self.queue.batching().batch;
                batch.append(&mut more);
                if batch.is_empty() {
                    break;
                }
                self.deliver(batch, process, &mut stop).await;
                if !is_full {
                    break;
                }
            }
            known = self.tell_of_dropped(known).await;
            if ending {
                return;
            }
        }
    }

    /// Tells the log of what found no room since there were so many; says how many it knows of now.
    async fn tell_of_dropped(&self, known: u64) -> u64 {
        let dropped = self.queue.dropped.get();
        if dropped == known {
            return known;
        }
        let told = self.tell(format_args!("{} found their queue full", dropped - known)).await;
        if told { dropped } else { known }
    }

    async fn deliver(
        &self,
        batch: Vec<Item<T>>,
        process: &Resource,
        stop: &mut watch::Receiver<bool>,
    ) {
        let count = batch.len() as u64;
        let message = T::request(batch, process).encode_to_vec();
        let patience = self.queue.batching().patience;
        let sent = timeout(patience, self.send(message, stop)).await;
        match sent.unwrap_or(Err(SendError::Timeout)) {
            Ok((rejected, why)) => {
                self.exported.add(count.saturating_sub(rejected));
                self.failed.add(rejected.min(count));
                if rejected > 0 || !why.is_empty() {
                    self.tell(format_args!("the collector rejected {rejected} of {count}: {why}"))
                        .await;
                }
            }
            Err(error) => {
                self.failed.add(count);
                self.tell(format_args!("{count} are lost: {error}")).await;
            }
        }
    }

    async fn send(
        &self,
        message: Vec<u8>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(u64, String), SendError> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let error = match self.client.send(message.clone()).await {
                Ok(taken) => return Ok(taken),
                Err(error) if !error.is_passing() || tries == TRIES => return Err(error),
                Err(error) => error,
            };
            tries += 1;
            let wait = error.after().unwrap_or(pause).min(LONGEST_PAUSE);
            pause *= 2;
            // Who ends does not wait for long; there is one more try.
            if timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok() {
                tries = TRIES;
            }
        }
    }

    /// Tells the log, at a pace; says whether it did.
    async fn tell(&self, what: std::fmt::Arguments<'_>) -> bool {
        let mut told = self.told.lock().await;
        if told.is_some_and(|told| told.elapsed() < PACE) {
            return false;
        }
        *told = Some(Instant::now());
        let what = what.to_string();
        let what: String = what.chars().filter(|c| !c.is_control()).take(500).collect();
        tracing::warn!(target: "dayfly::telemetry", signal = self.kind.label(), "{what}");
        true
    }
}
