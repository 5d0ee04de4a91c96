//! How fast each tenant may change something: so many changes at once, and so many a second after that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::platform::TenantId;

use crate::failure::Failure;

/// A pace that each tenant has for itself.
pub(crate) struct Paces {
    each: Duration,
    /// As long as all may take that come at once.
    ahead: Duration,
    /// When all that came of a tenant's would have come at this pace.
    due: Mutex<BTreeMap<TenantId, Instant>>,
}

impl Paces {
    /// So many changes a second, behind so many that may come at once.
    pub(crate) fn new(a_second: u32, at_once: u32) -> Self {
        let each = Duration::from_secs(1) / a_second.max(1);
        Self { each, ahead: each * at_once, due: Mutex::default() }
    }

    /// One more of a tenant's, at this time. Who is too fast learns when there is room again.
    pub(crate) fn one(&self, tenant: &TenantId, now: Instant) -> Result<(), Failure> {
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that were slow enough are forgotten.
        all.retain(|_, due| *due > now);
        let due = all.get(tenant).copied().unwrap_or(now) + self.each;
        let wait = due.saturating_duration_since(now + self.ahead);
        if !wait.is_zero() {
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            return Err(Failure::limited("this tenant changes too much too fast", seconds));
        }
        all.insert(tenant.clone(), due);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dayfly_api::Code;

    use super::*;

    #[test]
    fn who_is_too_fast_is_refused_and_others_are_not() {
        let (paces, now) = (Paces::new(10, 5), Instant::now());
        let [acme, other]: [TenantId; 2] = ["acme", "other"].map(|it| it.parse().unwrap());
        (0..5).for_each(|_| paces.one(&acme, now).unwrap());
        let refused = paces.one(&acme, now).unwrap_err().problem;
        assert_eq!(refused.code, Code::RateLimited);
        paces.one(&other, now).unwrap();
        // What was refused does not count.
        let later = now + Duration::from_millis(100);
        paces.one(&acme, later).unwrap();
        assert!(paces.one(&acme, later).is_err());
        // Who was slow is forgotten, and gets no more for it.
        let much_later = now + Duration::from_secs(60);
        paces.one(&other, much_later).unwrap();
        assert_eq!(paces.due.lock().unwrap().len(), 1);
        (0..5).for_each(|_| paces.one(&acme, much_later).unwrap());
        assert!(paces.one(&acme, much_later).is_err());
    }
}
