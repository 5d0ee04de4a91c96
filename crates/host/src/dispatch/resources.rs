//! What the components of all apps of a node share: the engine and what links code to it, memory,
//! places to run in, descriptors, bytes of whole bodies; and what of an app's components stays when a
//! release of it follows another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use dayfly_capabilities::{Account, Linkers, Shares, Supply};
use dayfly_engine::Engine;
use dayfly_model::{App, ComponentId};
use dayfly_telemetry::ComponentMetrics;
use dayfly_telemetry::metrics::{self, Families, Value};

use super::admission::{Admission, Ground, Node, PATIENCE, by_depth};
use super::keep::Room;
use super::places::{Places, Tenant};
use super::residency::Residency;
use crate::host::{Apps, HostConfig};

/// What the components of a node share.
pub(crate) struct Resources {
    pub(super) engine: Engine,
    pub(super) linkers: Linkers,
    /// For the code of the engine's baseline.
    pub(super) baseline_linkers: Linkers,
    pub(super) residency: Arc<Residency>,
    /// For instances that wait for another request.
    pub(super) room: Arc<Room>,
    /// How long what is ready may wait for a core of one owner's.
    max_wait: Duration,
    division: Division,
    descriptors: Arc<Supply>,
    whole: Arc<Supply>,
    apps: Apps,
}

/// Who has the places to run in.
enum Division {
    /// One owner.
    Own(Arc<Node>),
    /// Tenants, those that are here by their accounts.
    Tenants { places: Arc<Places>, here: Mutex<Here>, nobody: Arc<Account> },
}

/// The tenants that are here, by the addresses of their accounts.
#[derive(Default)]
struct Here {
    tenants: HashMap<usize, Weak<Tenant>>,
    /// At how many is looked who of them has gone: seldom, since that looks at all.
    prune_at: usize,
}

/// Tenants that are kept in mind whether they have gone or not.
const FEW: usize = 64;

impl Here {
    /// The tenant of an account, which has one as long as anybody has that.
    fn of(&mut self, account: &Arc<Account>, places: &Arc<Places>) -> Arc<Tenant> {
        let key = Arc::as_ptr(account).addr();
        if let Some(tenant) = self.tenants.get(&key).and_then(Weak::upgrade) {
            return tenant;
        }
        if self.tenants.len() >= self.prune_at {
            self.tenants.retain(|_, tenant| tenant.strong_count() > 0);
            self.prune_at = 2 * self.tenants.len() + FEW;
        }
        let tenant = places.tenant(account.clone());
        self.tenants.insert(key, Arc::downgrade(&tenant));
        tenant
    }
}

/// What stays of an app's components, whatever release they are of.
#[derive(Default)]
pub(crate) struct Lasting(HashMap<ComponentId, (Shares, Arc<ComponentMetrics>)>);

impl Resources {
    pub(crate) fn new(engine: &Engine, config: &HostConfig) -> Arc<Self> {
        let division = match config.apps {
            Apps::One { calls: false } => Division::Own(Node::new(config.max_instances)),
            Apps::One { calls: true } => Division::Own(Node::of_callers(config.max_instances)),
            Apps::Many => Division::Tenants {
                places: Places::new(&by_depth(config.max_instances)),
                here: Mutex::default(),
                nobody: Account::unbounded(""),
            },
        };
        Arc::new(Self {
            engine: engine.clone(),
            linkers: Linkers::default(),
            baseline_linkers: Linkers::default(),
            residency: Residency::new(config.residency),
            room: Arc::new(Room::new(engine.config().kept_instances)),
            max_wait: config.http.max_lag,
            division,
            descriptors: Supply::new(config.max_descriptors),
            whole: Supply::new(config.body_bytes),
            apps: config.apps,
        })
    }

    /// Where the components of an app run that has this account.
    pub(super) fn ground(&self, account: Option<&Arc<Account>>) -> Ground {
        match &self.division {
            Division::Own(node) => Ground::Own(node.clone()),
            Division::Tenants { places, here, nobody } => {
                let account = account.unwrap_or(nobody);
                let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
                Ground::Shared(here.of(account, places))
            }
        }
    }

    /// How long what is ready may wait for a core. Of a tenant no more wait than it has places, each for
    /// the others; they may as well wait as long as those that have none yet.
    pub(super) fn max_wait(&self, ground: &Ground) -> Duration {
        match ground {
            Ground::Own(_) => self.max_wait,
            Ground::Shared(_) => self.max_wait.max(PATIENCE),
        }
    }

    /// The bounds of a component of an app that has so many.
    pub(super) fn admission(
        &self,
        concurrency: u32,
        components: usize,
        ground: &Ground,
    ) -> Admission {
        let (instances, places) = match &self.division {
            Division::Own(node) => (node.instances(), node.outside()),
            Division::Tenants { places, .. } => (places.instances(), places.outside()),
        };
        let most = match self.apps {
            Apps::One { .. } if components == 1 => u32::MAX,
            // One of several leaves the others a quarter.
            Apps::One { .. } | Apps::Many => places.saturating_mul(3).div_ceil(4),
        };
        Admission::new(concurrency.min(most), (ground.clone(), instances))
    }

    /// What an app's component of that id may hold, and what is counted of it.
    pub(super) fn lasting(
        &self,
        lasting: &mut Lasting,
        id: &ComponentId,
        ground: &Ground,
    ) -> (Shares, Arc<ComponentMetrics>) {
        let make = || {
            let (descriptors, whole) = match ground {
                Ground::Own(_) => (self.descriptors.share(), self.whole.share()),
                Ground::Shared(tenant) => (
                    self.descriptors.share_of(&tenant.descriptors),
                    self.whole.share_of(&tenant.whole),
                ),
            };
            (Shares { descriptors, whole }, Arc::new(ComponentMetrics::new(id.0.as_str())))
        };
        // A component that is called in several ways is one.
        lasting.0.entry(id.clone()).or_insert_with(make).clone()
    }

    /// Sends away what nobody asks for, on this thread, until [`Self::end`].
    pub(crate) fn keep(&self) {
        self.residency.keep();
    }

    /// Lets [`Self::keep`] return.
    pub(crate) fn end(&self) {
        self.residency.end();
    }

    /// Adds what is counted of all apps together.
    pub(crate) fn collect(&self, families: &mut Families) {
        self.residency.collect(families);
        let Division::Tenants { here, .. } = &self.division else { return };
        let here = here.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in here.tenants.values().filter_map(Weak::upgrade) {
            let account = tenant.account();
            for (quota, refused) in account.refusals().filter(|(_, refused)| *refused > 0) {
                let labels = [("tenant", &**account.tenant()), ("quota", quota.name())];
                families.add(&metrics::QUOTA_REFUSALS, &labels, Value::Integer(refused));
            }
        }
    }
}

/// Whether components of an app call one another.
pub(crate) fn calls(app: &App) -> bool {
    let mut components = app.components.values();
    components.any(|component| component.allowed_outbound_hosts.names_components())
}
