//! When events begin to be taken in, and how that ends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Plane;
use super::slot::Slot;
use crate::{ServeError, Shutdown};

/// How often is looked whether all events are settled.
const LOOK: Duration = Duration::from_millis(10);

impl Plane {
    /// Whether any app has event triggers.
    pub(crate) fn has_events(&self) -> bool {
        self.lock().values().any(|slot| !slot.sources.now().is_empty())
    }

    /// Whether events are taken in, and releases can be looked at.
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Relaxed)
    }

    /// Begins to take events in.
    pub(crate) fn begin(&self) -> Result<(), ServeError> {
        let slots: Vec<_> = self.lock().values().cloned().collect();
        self.0.has_begun.store(true, Relaxed);
        for slot in slots {
            let _changing = slot.changing();
            let served = &mut *slot.served();
            if !served.is_held
                && let Some(opened) = served.waiting.take()
            {
                served.events.take_over(opened, &self.0.crew)?;
            }
        }
        Ok(())
    }

    /// Ends all event triggers, within the grace; how many events are not done then.
    pub(crate) fn end_events(
        &self,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<u64, ServeError> {
        let slots: Vec<_> = self.lock().values().cloned().collect();
        slots.iter().for_each(|slot| slot.served().events.start_end());
        let began = Instant::now();
        let settled = || {
            slots.iter().all(|slot| slot.served().events.is_settled()) && self.0.crew.is_settled()
        };
        while !settled() && began.elapsed() < grace && !shutdown.is_ending() {
            std::thread::sleep(LOOK);
        }
        self.0.crew.end()?;
        let end = |slot: &Arc<Slot>| {
            let served = &mut *slot.served();
            served.waiting = None;
            // Another process may take messages from here on.
            std::mem::take(&mut served.events).under_way()
        };
        Ok(slots.iter().map(end).sum())
    }
}
