//! Code that is missing where releases are served (the cache was too small, or emptied; the program is
//! another version) is made once more: nodes ask for it by the store, and compile nothing themselves. And a
//! release that was deployed with code which answers soon gets what is compiled in full.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::platform::TenantId;
use dayfly_store::{Making, Store, StoreError, Wanted};
use tokio::net::UnixDatagram;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, Result};
use crate::heal;
use crate::prepare::PrepareError;
use crate::shared::Shared;

/// How often is looked though nobody rang, and where nobody can.
const RARELY: Duration = Duration::from_secs(10);
const UNHEARD: Duration = Duration::from_secs(1);

/// The pause before it is looked, so that it is not done all the time however often somebody rings.
const GATHERING: Duration = Duration::from_millis(20);

/// The pause where there was no place in the line, or the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What nodes ring when they have asked for code.
struct Bell(Option<UnixDatagram>);

/// The tenants for whom something is made, or in line for that.
#[derive(Default)]
struct Busy {
    tenants: Mutex<BTreeSet<TenantId>>,
    /// Told when one of them is busy no more.
    freed: Notify,
}

/// A tenant is busy as long as this is there.
struct Turn(Arc<Busy>, TenantId);

impl Bell {
    async fn hung(shared: &Shared) -> Self {
        let listen = async {
            let bell = shared.ask(Store::bell).await?;
            UnixDatagram::from_std(bell).map_err(|error| Failure::internal(&error))
        };
        let bell: Result<UnixDatagram> = listen.await;
        if let Err(Failure { problem, .. }) = &bell {
            let text = "it is looked every second what code is missing, because nodes cannot ring";
            tracing::warn!(%problem, "{text}");
        }
        Self(bell.ok())
    }

    /// Waits until it rings, or it is time to look all the same.
    async fn rings(&self) {
        let Some(bell) = &self.0 else { return sleep(UNHEARD).await };
        let mut ring = [0];
        match timeout(RARELY, bell.recv(&mut ring)).await {
            Ok(Ok(_)) => sleep(GATHERING).await,
            Ok(Err(error)) => {
                tracing::warn!(%error, "nodes cannot be heard that ring");
                sleep(UNHEARD).await;
            }
            Err(_) => {}
        }
        while bell.try_recv(&mut ring).is_ok() {}
    }
}

impl Busy {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, tenant: &TenantId) -> Turn {
        self.lock().insert(tenant.clone());
        Turn(self.clone(), tenant.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
        self.0.freed.notify_one();
    }
}

/// Makes what is asked for, as long as the process runs: one release of a tenant after the other, what is
/// missing in the same line as its uploads.
pub(crate) async fn run(shared: Shared) {
    // What is asked for from here on is heard of, and what was before is found.
    let bell = Bell::hung(&shared).await;
    // What another control plane could not make, this one may.
    if let Err(failure) = shared.ask(Store::forget_settled).await {
        let problem = failure.problem;
        tracing::warn!(%problem, "what became of missing code could not be forgotten");
    }
    let busy = Arc::<Busy>::default();
    loop {
        // Of those what is read next may have been made when it is looked at.
        let were_busy = busy.lock().clone();
        match shared.ask(Store::wanted).await {
            Ok(wanted) => {
                for wanted in wanted.into_iter().filter(|it| !were_busy.contains(&it.tenant)) {
                    let turn = busy.begin(&wanted.tenant);
                    tokio::spawn(make(shared.clone(), wanted, turn));
                }
            }
            Err(failure) => {
                tracing::warn!(problem = %failure.problem, "it could not be read what code is missing");
                sleep(PAUSE).await;
                continue;
            }
        }
        tokio::select! {
            () = bell.rings() => {}
            () = busy.freed.notified() => {}
        }
    }
}

async fn make(shared: Shared, wanted: Wanted, _turn: Turn) {
    let Wanted { tenant, release, is_behind, .. } = &wanted;
    let turn = match is_behind {
        true => shared.workers.turn_behind().await,
        false => shared.workers.turn(tenant).await,
    };
    // Where there is no place in the line, it is asked for still.
    let Ok(turn) = turn else { return sleep(PAUSE).await };
    let began = Instant::now();
    let made = attempt(&shared, &wanted).await;
    drop(turn);
    let took = began.elapsed();
    if let Err(error) = &made {
        tracing::warn!(%tenant, %release, %error, "missing code could not be made again");
    }
    let is_made = made.is_ok();
    let settled = shared.ask({
        let wanted = wanted.clone();
        move |store| settle(store, &wanted, made, took)
    });
    match settled.await {
        Ok(true) => tracing::info!(%tenant, %release, ?took, "made code in full"),
        Ok(false) if is_made => tracing::info!(%tenant, %release, ?took, "made missing code again"),
        Ok(false) => {}
        Err(failure) => {
            let problem = failure.problem;
            tracing::warn!(%tenant, %release, %problem, "what became of missing code could not be noted");
            sleep(PAUSE).await;
        }
    }
}

/// Makes it; once more where that failed for no reason that is in it: its worker was killed, or the disk was
/// full for a moment.
async fn attempt(shared: &Shared, wanted: &Wanted) -> std::result::Result<(), PrepareError> {
    let Wanted { tenant, release, name, .. } = wanted;
    match heal::one(shared, release.clone(), name.clone()).await {
        Err(PrepareError::Failed(error)) => {
            tracing::warn!(%tenant, %release, error, "a worker failed, and another one tries");
            sleep(PAUSE).await;
            heal::one(shared, release.clone(), name.clone()).await
        }
        made => made,
    }
}

/// Notes what came of it; whether a release's first code is followed by better code with it.
fn settle(
    store: &Store,
    wanted: &Wanted,
    made: std::result::Result<(), PrepareError>,
    took: Duration,
) -> std::result::Result<bool, StoreError> {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match made {
        Ok(()) => store.settle_wanted(wanted, Making::Done { took_ms }),
        Err(PrepareError::Failed(error)) => store.settle_wanted(wanted, Making::Failed(&error)),
        Err(error) => store.settle_wanted(wanted, Making::Hopeless(&error.to_string())),
    }
}
