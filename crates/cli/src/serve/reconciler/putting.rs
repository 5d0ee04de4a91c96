//! Brings what is active of one app to the node.

use std::path::PathBuf;
use std::sync::Arc;

use dayfly_capabilities::Account;
use dayfly_host::{ActivateError, AppKey, Plane};
use dayfly_model::platform::{Activation, AppId, StoreFailure};

use crate::report;
use crate::serve::accounts::Accounts;
use crate::serve::own::Owns;
use crate::serve::release::{self, Making};

/// Brings activations to the node.
pub(super) struct Putting {
    pub(super) making: Arc<Making>,
    pub(super) owns: Option<Arc<Owns>>,
    pub(super) plane: Plane,
    pub(super) base_domain: String,
    /// The platform's folder.
    pub(super) platform: PathBuf,
    pub(super) accounts: Arc<Accounts>,
}

/// Why an app is not served as it is to be.
pub(super) struct Unserved {
    pub(super) error: anyhow::Error,
    /// Whether another app has one of its hosts.
    pub(super) is_host_taken: bool,
}

impl From<anyhow::Error> for Unserved {
    fn from(error: anyhow::Error) -> Self {
        Self { error, is_host_taken: false }
    }
}

impl Putting {
    /// The account of an app's tenant, with the quotas that it has now.
    pub(super) fn account(&self, activation: &Activation) -> Result<Arc<Account>, StoreFailure> {
        let folder = self.making.store.state_folder(activation.tenant_number, activation.number);
        self.accounts.of(activation, folder, &*self.making.store)
    }

    /// The hosts of an app.
    pub(super) fn hosts(&self, activation: &Activation) -> Vec<String> {
        let own = std::iter::once(activation.app.host(&self.base_domain));
        own.chain(activation.domains.iter().map(ToString::to_string)).collect()
    }

    /// Whether a release of an app is served in this process.
    pub(super) fn is_served(&self, app: &AppId) -> bool {
        let key = key(app);
        self.plane.releases(&key).is_some_and(|ids| !ids.is_empty())
    }

    /// Brings an activation to the node, which looks also at what it serves already if that was not
    /// looked at.
    pub(super) fn put(&self, activation: &Activation, is_unlooked: bool) -> Result<(), Unserved> {
        let key = key(&activation.app);
        let there = self.plane.releases(&key).unwrap_or_default();
        let former = self.plane.backends(&key);
        let is_there = |owns: &Arc<Owns>| owns.is_there(activation.tenant_number);
        let around = release::Around {
            making: &self.making,
            there: &there,
            former: former.as_deref(),
            account: self.account(activation).map_err(anyhow::Error::from)?,
            // The process that has them may not have ended yet.
            takes_events: !self.owns.as_ref().is_some_and(is_there),
            is_unlooked,
        };
        let rollout = release::rollout(activation, self.hosts(activation), &around)?;
        let put = self.plane.put(&key, rollout);
        put.map(drop).map_err(|error| {
            let is_host_taken = matches!(error, ActivateError::HostTaken(_));
            Unserved { error: report::hinted(error), is_host_taken }
        })
    }
}

pub(super) fn key(app: &AppId) -> AppKey {
    AppKey::new(app.tenant.as_str(), app.app.as_str())
}
