//! Places that are taken, so many by each tenant and so many in all: whatever one tenant takes, there
//! is room for others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dayfly_model::platform::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// Places.
pub(crate) struct Places {
    each: Each<TenantId>,
    all: Arc<Semaphore>,
}

/// A place that is taken, until it is dropped.
pub(crate) struct Place {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// A line for each tenant, or whatever else there are many of, with so many places.
pub(crate) struct Each<K> {
    places: usize,
    lines: Mutex<BTreeMap<K, Arc<Semaphore>>>,
}

impl Places {
    /// So many for each tenant, and so many in all.
    pub(crate) fn new(each: usize, all: usize) -> Self {
        Self { each: Each::new(each), all: Arc::new(Semaphore::new(all)) }
    }

    /// Takes one: first of the tenant's own, then of all. Whoever gets none learns whose are taken;
    /// `what` completes "too many …".
    pub(crate) fn take(&self, tenant: &TenantId, what: &str) -> Result<Place, Failure> {
        let own = self.each.of(tenant).try_acquire_owned();
        let own =
            own.map_err(|_| Failure::limited(format!("too many {what} for this tenant"), 5))?;
        let of_all = self.all.clone().try_acquire_owned();
        let of_all = of_all.map_err(|_| Failure::unavailable(format!("too many {what}")))?;
        Ok(Place { _own: own, _of_all: of_all })
    }
}

impl<K: Ord + Clone> Each<K> {
    /// So many for each.
    pub(crate) fn new(places: usize) -> Self {
        Self { places, lines: Mutex::default() }
    }

    /// The line of one.
    pub(crate) fn of(&self, key: &K) -> Arc<Semaphore> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody has or waits for are forgotten.
        lines.retain(|_, it| Arc::strong_count(it) > 1);
        let new = || Arc::new(Semaphore::new(self.places));
        lines.entry(key.clone()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use dayfly_api::Code;

    use super::*;

    #[test]
    fn a_tenant_has_its_own_places_before_those_of_all() {
        let places = Places::new(2, 3);
        let take = |name: &str| places.take(&name.parse().unwrap(), "blobs are sent");
        let refused = |name: &str| take(name).err().unwrap().problem;
        let first = take("acme").unwrap();
        let _second = take("acme").unwrap();
        let own = refused("acme");
        assert_eq!(own.code, Code::RateLimited);
        assert_eq!(own.detail.as_deref(), Some("too many blobs are sent for this tenant"));
        let third = take("other").unwrap();
        assert_eq!(refused("other").code, Code::Unavailable);
        // Whoever was refused has taken nothing.
        drop(first);
        let _fourth = take("other").unwrap();
        drop(third);
        take("acme").unwrap();
    }

    #[test]
    fn tenants_that_have_no_place_are_forgotten() {
        let places = Places::new(1, 1);
        for number in 0..100 {
            places.take(&format!("t{number}").parse().unwrap(), "blobs are sent").unwrap();
        }
        assert!(places.each.lines.lock().unwrap().len() <= 2);
    }
}
