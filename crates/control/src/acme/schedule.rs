//! When a certificate is ordered: at once for a host that has none, when a third of its lifetime is left
//! for one that has, later and later for one whose orders fail; and how many a tenant may have ordered.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use dayfly_model::platform::{DomainName, TenantId};
use dayfly_store::{CertificateSource, CertificateView, HostState};

use crate::failure::Result;
use crate::shared::Shared;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How many orders of one tenant there may be in a day, with those that fail.
pub(super) const TENANT_DAY: u64 = 20;

/// How many of all tenants in three hours: large authorities take 300 of one account.
const ALL: (u64, i64) = (250, 3 * HOUR_MS);

/// What part of a lifetime is left when the next certificate is ordered, and what part before that hosts
/// differ, so that not all that came together are due together.
const LEFT: i64 = 3;
const SPREAD: i64 = 30;

/// When a host's certificate is to be ordered, in milliseconds since 1970; never, if its tenant sees to
/// that.
pub(super) fn due_ms(host: &DomainName, state: &HostState) -> Option<i64> {
    let due = match state.certificate {
        Some(CertificateView { source: CertificateSource::Upload, .. }) => return None,
        Some(CertificateView { begins_ms, expires_ms, .. }) => {
            let lifetime = (expires_ms - begins_ms).max(0);
            expires_ms - lifetime / LEFT - lifetime / SPREAD * share(host) / 1000
        }
        None => 0,
    };
    Some(due.max(state.again_ms.unwrap_or(0)))
}

/// How long after an order the next one may be, if this one fails as so many before it did.
pub(super) fn pause_ms(failures: u32) -> i64 {
    let pause = (MINUTE_MS << failures.min(16)).min(DAY_MS);
    let random = i64::try_from(uuid::Uuid::new_v4().as_u128() % 250).unwrap_or(0);
    pause + pause * random / 1000
}

/// Whether a tenant may order one more.
pub(super) async fn has_room(shared: &Shared, tenant: &TenantId, now: i64) -> Result<bool> {
    let (tenant, (all, within)) = (tenant.clone(), ALL);
    shared
        .ask(move |store| {
            let own = store.orders_since(Some(&tenant), now - DAY_MS)?;
            Ok(own < TENANT_DAY && store.orders_since(None, now - within)? < all)
        })
        .await
}

/// A number below a thousand that is the host's own.
fn share(host: &DomainName) -> i64 {
    let mut hasher = DefaultHasher::new();
    host.as_str().hash(&mut hasher);
    i64::try_from(hasher.finish() % 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(source: CertificateSource) -> HostState {
        let view = CertificateView { source, begins_ms: 0, expires_ms: 90 * DAY_MS };
        HostState { certificate: Some(view), ..HostState::default() }
    }

    #[test]
    fn a_third_before_the_end_is_when_it_is_renewed() {
        for number in 0..100 {
            let host: DomainName = format!("a{number}.example").parse().unwrap();
            let due = due_ms(&host, &state(CertificateSource::Acme)).unwrap();
            assert!((57 * DAY_MS..=60 * DAY_MS).contains(&due), "{due}");
            assert_eq!(due_ms(&host, &state(CertificateSource::Upload)), None);
            assert_eq!(due_ms(&host, &HostState::default()), Some(0));
        }
        let shares: std::collections::HashSet<_> =
            (0..100).map(|number| share(&format!("a{number}.example").parse().unwrap())).collect();
        assert!(shares.len() > 50, "hosts differ");
    }

    #[test]
    fn what_fails_waits_longer_each_time() {
        for (failures, least) in [(0, MINUTE_MS), (1, 2 * MINUTE_MS), (4, 16 * MINUTE_MS)] {
            let pause = pause_ms(failures);
            assert!((least..=least + least / 4).contains(&pause), "{failures}: {pause}");
        }
        assert!((DAY_MS..=DAY_MS + DAY_MS / 4).contains(&pause_ms(u32::MAX)));
        let failed = HostState { again_ms: Some(77), failures: 1, ..HostState::default() };
        assert_eq!(due_ms(&"a.example".parse().unwrap(), &failed), Some(77));
    }
}
