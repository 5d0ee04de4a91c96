//! What the node did with each app, and when it tries again what it could not do.

use std::time::{Duration, Instant};

use dayfly_model::platform::{Activation, AppId, Generation, TenantId};

/// When something that could not be served is tried again, though nothing changed: a file may have
/// come since, or a server that it needs. The pause doubles with each failure.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The same, where it was the store that failed.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// How many apps' releases are looked at at once, and how many of one tenant's; others wait.
const PROBING: usize = 32;
const PROBING_EACH: usize = 4;

/// What the node did with an app.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) generation: Generation,
    /// The app's tenant, by its number, if the store said.
    pub(super) tenant: Option<u64>,
    /// Whether requests are led to the tenant's own process, and whether they are to be.
    pub(super) is_away: bool,
    pub(super) is_own: bool,
    /// The [number](Activation::number) of the app that is served, or was to be; nothing where the
    /// store never said.
    pub(super) number: Option<u64>,
    /// When it is tried again, if it could not be served.
    pub(super) retry: Option<Instant>,
    /// How often this generation could not be.
    pub(super) failures: u32,
    /// Whether it is served and has yet to be looked at: it was active before the node began.
    pub(super) is_unlooked: bool,
}

/// The pause after so many failures.
pub(super) fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

/// Whether a release of an activation has to answer on a path first.
pub(super) fn is_looked_at(activation: &Activation) -> bool {
    activation.shares.iter().any(|share| share.health_path.is_some())
}

/// Whether a release of one more of a tenant's apps may be looked at beside those.
pub(super) fn has_place<'a>(
    looked_at: impl Iterator<Item = &'a AppId> + Clone,
    tenant: &TenantId,
) -> bool {
    let its = looked_at.clone().filter(|app| app.tenant == *tenant);
    looked_at.count() < PROBING && its.count() < PROBING_EACH
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = [1, 2, 3, 5, 6, 40].map(|it| pause(it).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 16, 30, 30]);
    }

    #[test]
    fn one_tenant_takes_no_more_than_a_few_places() {
        let app = |tenant: &str, number: usize| AppId {
            tenant: tenant.parse().unwrap(),
            app: format!("a{number}").parse().unwrap(),
        };
        let taken = |tenants: &[&str], each: usize| -> BTreeSet<AppId> {
            let of = |tenant: &&str| (0..each).map(|it| app(tenant, it)).collect::<Vec<_>>();
            tenants.iter().flat_map(of).collect()
        };
        let (acme, other) = (app("acme", 0).tenant, app("other", 0).tenant);
        let few = taken(&["acme"], PROBING_EACH - 1);
        assert!(has_place(few.iter(), &acme));
        let its = taken(&["acme"], PROBING_EACH);
        assert!(!has_place(its.iter(), &acme));
        assert!(has_place(its.iter(), &other));
        let many: Vec<_> = (0..PROBING).map(|it| format!("t{it}")).collect();
        let all = taken(&many.iter().map(|it| &**it).collect::<Vec<_>>(), 1);
        assert!(!has_place(all.iter(), &other));
    }
}
