//! Better code for what is served by code that stands in for it: compiled here, or waited for where another
//! process compiles.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Found, LOOK, Resident, on_thread};
use crate::dispatch::component::{ActivateError, ComponentHost};
use crate::error::chain;

/// How long what another process makes is waited for.
const FOLLOWED: Duration = Duration::from_secs(1800);

/// How often is looked for what it could not make.
const UNMADE: Duration = Duration::from_secs(10);

/// Code that is still to be made.
#[derive(Clone, Copy)]
pub(super) enum Better {
    /// The component's own.
    Own,
    /// An interpreter's: whatever follows the component goes on from it, too.
    Shared,
}

impl ComponentHost {
    /// Code for an event; the first that finds code which stands in for better code causes that.
    pub(super) fn in_use(self: &Arc<Self>, resident: Arc<Resident>) -> Arc<Resident> {
        if let Some(better) = resident.stands_in
            && !resident.followed.swap(true, Relaxed)
        {
            let rest = match better {
                Better::Own => self.shared.resources.residency.stand_in(),
                Better::Shared => Duration::ZERO,
            };
            tokio::spawn(self.clone().follow(Arc::downgrade(&resident), rest));
        }
        resident
    }

    /// Compiles the component in full, behind what is served, and puts the result in place of the
    /// code that stands in for it. Requests that run stay where they are. What another process makes is
    /// waited for.
    async fn follow(self: Arc<Self>, stand_in: Weak<Resident>, rest: Duration) {
        tokio::time::sleep(rest).await;
        let (began, mut is_told) = (Instant::now(), false);
        loop {
            match self.follow_once(&stand_in).await {
                // It was sent away.
                Err(_) if stand_in.strong_count() == 0 => return,
                Err(ActivateError::Awaited { .. }) if is_told || began.elapsed() < FOLLOWED => {
                    tokio::time::sleep(LOOK).await;
                }
                // Whoever makes it tries again, less and less often: a disk was full, or a process killed.
                Err(error @ ActivateError::Unmade(_)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        let error = chain(&error);
                        tracing::warn!(
                            component = self.name(),
                            error,
                            "stays with its baseline code for now"
                        );
                    }
                    tokio::time::sleep(UNMADE).await;
                }
                Ok(is_replaced) => {
                    if is_replaced {
                        tracing::debug!(component = self.name(), took = ?began.elapsed(), "compiled in full");
                    }
                    return;
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(component = self.name(), error, "stays with its baseline code");
                    return;
                }
            }
        }
    }

    /// The same once; whether it replaced what stood in.
    async fn follow_once(
        self: &Arc<Self>,
        stand_in: &Weak<Resident>,
    ) -> Result<bool, ActivateError> {
        let _leave = self.shared.resources.residency.followers.acquire().await;
        // Another release has followed this one's meanwhile.
        if Arc::strong_count(self) == 1 {
            return Ok(false);
        }
        let (host, stand_in) = (self.clone(), stand_in.clone());
        let followed = on_thread(move || {
            // In full, what it is frozen by too: that base is what the next app of its language shares.
            let engine = host.engine().in_full();
            let resident = match host.find(&engine)? {
                Found::Code(at_hand) => host.link(at_hand),
                Found::Uncompiled(uncompiled) => host.compile_in_full(&uncompiled, &engine),
            }?;
            let bytes = resident.bytes();
            // Here, because unmapping what is replaced takes time.
            let is_replaced = host.place.replace(&stand_in, resident);
            if is_replaced {
                host.shared.resources.residency.resize(&host, bytes);
            }
            Ok(is_replaced)
        });
        followed.await.flatten()
    }
}
