//! Code that is missing where releases are served (the cache was too small, or emptied; the program is
//! another version) is made once more: nodes ask for it by the store, and compile nothing themselves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::platform::TenantId;
use dayfly_store::{Store, Wanted};

use crate::heal;
use crate::shared::Shared;

/// How often is looked.
const PACE: Duration = Duration::from_millis(100);

/// The tenants for whom something is made, or in line for that.
#[derive(Default)]
struct Busy(Mutex<BTreeSet<TenantId>>);

/// A tenant is busy as long as this is there.
struct Turn(Arc<Busy>, TenantId);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, tenant: &TenantId) -> Turn {
        self.lock().insert(tenant.clone());
        Turn(self.clone(), tenant.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Makes what is asked for, as long as the process runs: one release of a tenant after the other, in the
/// same line as its uploads.
pub(crate) async fn run(shared: Shared) {
    // What another control plane could not make, this one may.
    if let Err(failure) = shared.ask(Store::forget_settled).await {
        let problem = failure.problem;
        tracing::warn!(%problem, "what became of missing code could not be forgotten");
    }
    let busy = Arc::<Busy>::default();
    loop {
        tokio::time::sleep(PACE).await;
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
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn make(shared: Shared, wanted: Wanted, _turn: Turn) {
    let Wanted { tenant, release, name, .. } = &wanted;
    // Where there is no place in the line, it is asked for still.
    let Ok(turn) = shared.workers.turn(tenant).await else { return };
    let began = Instant::now();
    let made = heal::one(&shared, release.clone(), name.clone()).await;
    drop(turn);
    let error = made.err().map(|failure| failure.problem.to_string());
    match &error {
        None => {
            tracing::info!(%tenant, %release, took = ?began.elapsed(), "made missing code again");
        }
        Some(error) => {
            tracing::warn!(%tenant, %release, error, "missing code could not be made again");
        }
    }
    let settled = shared.ask({
        let wanted = wanted.clone();
        move |store| store.settle_wanted(&wanted, error.as_deref().map_or(Ok(()), Err))
    });
    if let Err(failure) = settled.await {
        let problem = failure.problem;
        tracing::warn!(%tenant, %release, %problem, "what became of missing code could not be noted");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
