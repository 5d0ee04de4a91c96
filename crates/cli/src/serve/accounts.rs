//! The accounts of the tenants whose apps this node serves: made with a tenant's first app, changed with its
//! quotas, and kept in the store beyond this process. What the apps keep on the disk is measured here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_capabilities::Account;
use dayfly_host::Shutdown;
use dayfly_model::platform::{Activation, StoreFailure, TenantId, Used, UsedStore};

use super::disk;

/// How often what was taken is kept: so much of it is forgotten if the machine fails.
const PACE: Duration = Duration::from_secs(1);

/// How often is looked whether anything is to be measured, and the part of the time that measuring may take.
const LOOK: Duration = Duration::from_secs(1);
const PART: u32 = 5;

/// After how long what a tenant's apps keep is measured again, though they are not known to have written
/// anything: events and dead letters come to lie there, too.
const AGAIN: Duration = Duration::from_mins(10);

/// All tenants' accounts.
pub(super) struct Accounts {
    all: Mutex<BTreeMap<TenantId, Entry>>,
    kept: Mutex<Instant>,
}

struct Entry {
    account: Arc<Account>,
    /// What the store has.
    kept: Used,
    /// Where its apps keep what they keep.
    folders: BTreeSet<PathBuf>,
    measured: Option<Instant>,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self { all: Mutex::default(), kept: Mutex::new(Instant::now()) }
    }

    /// The account of an app's tenant, which says from now on what its quotas say. What the app keeps
    /// lies in `folder`.
    ///
    /// # Errors
    /// If the store cannot say what the tenant has taken before.
    pub(super) fn of(
        &self,
        activation: &Activation,
        folder: PathBuf,
        store: &dyn UsedStore,
    ) -> Result<Arc<Account>, StoreFailure> {
        let (tenant, quotas) = (&activation.app.tenant, &activation.quotas);
        let mut all = self.all();
        if let Some(entry) = all.get_mut(tenant) {
            entry.account.change(quotas);
            entry.folders.insert(folder);
            return Ok(entry.account.clone());
        }
        let kept = store.used(tenant)?;
        let account = Account::new(tenant.as_str(), quotas);
        account.restore(&kept);
        let (folders, measured) = (BTreeSet::from([folder]), None);
        let entry = Entry { account: account.clone(), kept, folders, measured };
        all.insert(tenant.clone(), entry);
        Ok(account)
    }

    /// Forgets an app that is not here any more.
    pub(super) fn forget_app(&self, tenant: &TenantId, folder: &Path) {
        if let Some(entry) = self.all().get_mut(tenant) {
            entry.folders.remove(folder);
        }
    }

    /// Forgets a tenant that has no app here, and keeps nothing, once the store has what it took.
    pub(super) fn forget(&self, tenant: &TenantId, store: &dyn UsedStore) {
        if let Some(entry) = self.all().get(tenant) {
            entry.account.measured(0);
        }
        self.keep(store);
        self.all().remove(tenant);
    }

    /// Keeps what was taken, if it is time to.
    pub(super) fn keep_in_time(&self, store: &dyn UsedStore) {
        let mut last = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= PACE {
            *last = Instant::now();
            self.keep(store);
        }
    }

    /// Keeps what was taken since that was done last.
    pub(super) fn keep(&self, store: &dyn UsedStore) {
        let changed: Vec<_> = self
            .all()
            .iter()
            .map(|(tenant, entry)| (tenant.clone(), entry.account.used(), entry.kept))
            .filter(|(_, used, kept)| used != kept)
            .collect();
        if changed.is_empty() {
            return;
        }
        let more = changed.iter().map(|(tenant, used, kept)| (tenant.clone(), used.since(kept)));
        if let Err(error) = store.add_used(&more.collect::<Vec<_>>()) {
            // It is tried again with what comes meanwhile.
            let error = anyhow::Error::from(error);
            tracing::warn!("what tenants have taken cannot be kept: {error:#}");
            return;
        }
        let mut all = self.all();
        for (tenant, used, _) in changed {
            if let Some(entry) = all.get_mut(&tenant) {
                entry.kept = used;
            }
        }
    }

    /// Measures what apps keep, again and again, until the end is asked for. It blocks.
    pub(super) fn measure(&self, shutdown: &Shutdown) {
        while !shutdown.is_started() {
            let began = Instant::now();
            self.measure_once();
            shutdown.is_started_within(began.elapsed() * (PART - 1) + LOOK);
        }
    }

    fn measure_once(&self) {
        let due = |(_, entry): (&TenantId, &mut Entry)| {
            let has_written = entry.account.begin_measuring();
            let is_old = entry.measured.is_none_or(|measured| measured.elapsed() > AGAIN);
            (has_written || is_old).then(|| {
                entry.measured = Some(Instant::now());
                (entry.account.clone(), entry.folders.clone())
            })
        };
        let due: Vec<_> = self.all().iter_mut().filter_map(due).collect();
        for (account, folders) in due {
            account.measured(folders.iter().map(|folder| disk::kept_in(folder)).sum());
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<TenantId, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
