//! Which app has which hosts, from which the table of the front is made.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dispatch::ActivateError;
use crate::front::{Door, Front, Table};
use crate::rollout::AppKey;

/// The hosts of a node's apps.
pub(crate) struct Routing {
    front: Arc<Front>,
    /// The hosts of each app that anything answers for.
    apps: HashMap<AppKey, Vec<Arc<str>>>,
    owners: HashMap<Arc<str>, AppKey>,
    /// What the front has, or is to have.
    table: Table,
    /// How many hold the front's table as it is.
    held: usize,
}

impl Routing {
    pub(crate) fn new(front: Arc<Front>) -> Self {
        let (apps, owners) = (HashMap::new(), HashMap::new());
        Self { front, apps, owners, table: Table::default(), held: 0 }
    }

    /// Whether an app may have these hosts.
    ///
    /// # Errors
    /// If another app has one of them.
    pub(crate) fn check(&self, key: &AppKey, hosts: &[Arc<str>]) -> Result<(), ActivateError> {
        let is_taken = |host: &&Arc<str>| self.owners.get(*host).is_some_and(|owner| owner != key);
        match hosts.iter().find(is_taken) {
            Some(host) => Err(ActivateError::HostTaken(host.to_string())),
            None => Ok(()),
        }
    }

    /// Whether anything answers for an app.
    pub(crate) fn has(&self, key: &AppKey) -> bool {
        self.apps.contains_key(key)
    }

    /// Lets a door answer for an app from now on, at these hosts, or at any if there are none. No host may be
    /// another app's.
    pub(crate) fn set(&mut self, key: &AppKey, hosts: Vec<Arc<str>>, door: Option<Arc<Door>>) {
        if let Some(former) = self.apps.remove(key) {
            former.iter().for_each(|host| drop(self.owners.remove(host)));
            self.table.lead(&former, None);
        }
        if let Some(door) = door {
            self.owners.extend(hosts.iter().map(|host| (host.clone(), key.clone())));
            self.table.lead(&hosts, Some(&door));
            self.apps.insert(key.clone(), hosts);
        }
        self.publish();
    }

    /// Leaves the front's table as it is until [`Self::release`].
    pub(crate) fn hold(&mut self) {
        self.held += 1;
    }

    /// Ends that.
    pub(crate) fn release(&mut self) {
        self.held -= 1;
        self.publish();
    }

    fn publish(&self) {
        if self.held == 0 {
            self.front.set(self.table.clone());
        }
    }
}
