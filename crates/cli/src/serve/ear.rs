//! What a node's reconciler waits for: a ring at the store's bell, or one from within this process; the end;
//! and time, which passes whether anybody rings or not.

use std::io;
use std::os::unix::net::UnixDatagram as Bell;
use std::sync::Arc;
use std::time::Duration;

use dayfly_host::Shutdown;
use tokio::net::UnixDatagram;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How often is looked though nobody rings, and where nobody can.
const RARELY: Duration = Duration::from_secs(1);
pub(super) const PACE: Duration = Duration::from_millis(100);

/// Waits, on the thread that has it.
pub(super) struct Ear {
    runtime: Runtime,
    bell: Option<UnixDatagram>,
    ring: Ring,
    rarely: Duration,
}

/// Rings from within this process. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Ring(Arc<Notify>);

impl Ring {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }
}

impl Ear {
    /// One for a bell, which may be missing: then it is looked more often.
    ///
    /// # Errors
    /// If the system denies what waiting takes.
    pub(super) fn at(bell: Option<Bell>, ring: Ring) -> io::Result<Self> {
        let rarely = if bell.is_some() { RARELY } else { PACE };
        Ok(Self { rarely, ..Self::of(ring, bell)? })
    }

    /// One that hears no more than what rings in this process, where that rings for everything.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub(super) fn within(ring: Ring) -> io::Result<Self> {
        Self::of(ring, None)
    }

    fn of(ring: Ring, bell: Option<Bell>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bell = {
            let _context = runtime.enter();
            bell.map(UnixDatagram::from_std).transpose()?
        };
        Ok(Self { runtime, bell, ring, rarely: RARELY })
    }

    /// Waits until something rings, the end is asked for, or it is time to look: at `next`, if that is sooner
    /// than it is time to look anyway.
    pub(super) fn listen(&self, next: Option<Duration>, shutdown: &Shutdown) {
        // What cannot be done now is not tried all the time.
        let time = next.map_or(self.rarely, |next| next.clamp(PACE, self.rarely));
        self.runtime.block_on(async {
            tokio::select! {
                () = shutdown.started() => {}
                () = self.ring.0.notified() => {}
                () = self.rung() => {}
                () = sleep(time) => {}
            }
        });
    }

    /// Lasts until the bell was rung. What was rung by then is one ring.
    async fn rung(&self) {
        let Some(bell) = &self.bell else { return std::future::pending().await };
        let mut ring = [0];
        if let Err(error) = bell.recv(&mut ring).await {
            tracing::warn!(%error, "the platform's bell cannot be heard");
            return sleep(RARELY).await;
        }
        while bell.try_recv(&mut ring).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn whatever_rings_is_heard_at_once_and_the_time_passes_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        let bell = Bell::bind(&path).unwrap();
        bell.set_nonblocking(true).unwrap();
        let (ring, shutdown) = (Ring::default(), Shutdown::new());
        let ear = Ear::at(Some(bell), ring.clone()).unwrap();
        let took = |next| {
            let began = Instant::now();
            ear.listen(next, &shutdown);
            began.elapsed()
        };
        let ringing = Bell::unbound().unwrap();
        for _ in 0..3 {
            ringing.send_to(&[0], &path).unwrap();
        }
        assert!(took(None) < RARELY);
        ring.ring();
        assert!(took(None) < RARELY);
        // All three rings were one.
        assert!(took(Some(Duration::ZERO)) >= PACE);
        assert!(took(None) >= RARELY);
        shutdown.start();
        assert!(took(None) < RARELY);
    }

    #[test]
    fn where_nobody_can_ring_it_is_looked_more_often() {
        let ear = Ear::at(None, Ring::default()).unwrap();
        let began = Instant::now();
        ear.listen(None, &Shutdown::new());
        assert!(began.elapsed() < RARELY);
    }
}
