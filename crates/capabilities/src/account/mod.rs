//! What one tenant may take of a node, all its apps together, and what it has taken. An app that nobody
//! shares the node with has none. What is counted for long is given out and taken back, for whoever keeps it
//! beyond the process.

mod bucket;
mod kept;
mod tally;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use dayfly_model::platform::{Quota, Quotas, Used};

use self::bucket::Bucket;
use self::kept::Kept;
use self::tally::{Tally, day, month};
use crate::Paced;

/// The heaviest that a tenant can be, so that sums of weights are far from any bound.
const HEAVIEST: u32 = 10_000;

/// After how long what was removed is no longer counted, about.
const MEASURED: Duration = Duration::from_secs(2);

/// One tenant's account.
pub struct Account {
    tenant: Arc<str>,
    weight: AtomicU32,
    concurrency: AtomicU32,
    requests: Bucket,
    outbound: Bucket,
    /// Microseconds in a month.
    cpu: Tally,
    cpu_month_us: AtomicU64,
    /// Bytes in a day.
    log: Tally,
    log_day_bytes: AtomicU64,
    /// Up to which day it was said that its log is full.
    log_told: AtomicU32,
    kept: Kept,
    websockets: AtomicUsize,
    /// What was refused for each quota, and what the log says of it.
    refused: [(AtomicU64, Paced); Quota::COUNT],
}

/// Leave for one WebSocket; given back when dropped.
pub struct Websocket(Arc<Account>);

impl Drop for Websocket {
    fn drop(&mut self) {
        self.0.websockets.fetch_sub(1, Relaxed);
    }
}

/// A quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub quota: Quota,
    /// After how long there is more.
    pub wait: Duration,
    /// When it renews, if that is a matter of the calendar.
    pub renews: Option<SystemTime>,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tenant's quota `{}` is used up", self.quota)?;
        match self.renews {
            Some(renews) => {
                let renews = DateTime::<Utc>::from(renews);
                write!(f, ", and renews on {} (UTC)", renews.format("%Y-%m-%d"))
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Over {}

/// Whether a line may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It may.
    Yes,
    /// It may not, and that is to be said once.
    Ended,
    /// It may not.
    No,
}

impl Account {
    /// An account of a tenant that has taken nothing yet.
    #[must_use]
    pub fn new(tenant: impl Into<Arc<str>>, quotas: &Quotas) -> Arc<Self> {
        let account = Self {
            tenant: tenant.into(),
            weight: AtomicU32::default(),
            concurrency: AtomicU32::default(),
            requests: Bucket::new(0),
            outbound: Bucket::new(0),
            cpu: Tally::default(),
            cpu_month_us: AtomicU64::default(),
            log: Tally::default(),
            log_day_bytes: AtomicU64::default(),
            log_told: AtomicU32::default(),
            kept: Kept::default(),
            websockets: AtomicUsize::default(),
            refused: Default::default(),
        };
        account.change(quotas);
        Arc::new(account)
    }

    /// The account of whoever nothing was said of: weight as usual, and no bounds.
    #[must_use]
    pub fn unbounded(tenant: impl Into<Arc<str>>) -> Arc<Self> {
        let quotas = Quotas {
            requests_per_second: u32::MAX,
            outbound_per_second: u32::MAX,
            concurrency: u32::MAX,
            cpu_month_seconds: u64::MAX,
            log_day_bytes: u64::MAX,
            state_bytes: u64::MAX,
            ..Quotas::default()
        };
        Self::new(tenant, &quotas)
    }

    /// Sets what the tenant may take from now on. What it has taken stays taken.
    pub fn change(&self, quotas: &Quotas) {
        self.weight.store(quotas.weight.clamp(1, HEAVIEST), Relaxed);
        self.concurrency.store(quotas.concurrency, Relaxed);
        self.requests.change(quotas.requests_per_second);
        self.outbound.change(quotas.outbound_per_second);
        self.cpu_month_us.store(quotas.cpu_month_seconds.saturating_mul(1_000_000), Relaxed);
        if self.log_day_bytes.swap(quotas.log_day_bytes, Relaxed) != quotas.log_day_bytes {
            self.log_told.store(0, Relaxed);
        }
        self.kept.bound(quotas.state_bytes);
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The tenant's part of what all share, beside the others' weights: at least 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// How many instances may run at once.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        self.concurrency.load(Relaxed)
    }

    /// Takes one request from outside in. Whatever is refused, here and below, is logged at most once a
    /// second.
    ///
    /// # Errors
    /// If there were too many in this second, or the month's CPU time is used up.
    pub fn admit(&self, now: SystemTime) -> Result<(), Over> {
        self.computes(now)?;
        self.requests.take().map_err(|wait| self.over(Quota::RequestsPerSecond, wait))
    }

    /// Counts CPU time of the tenant's guests.
    ///
    /// # Errors
    /// If there is none left this month.
    pub fn charge(&self, cpu: Duration, now: SystemTime) -> Result<(), Over> {
        let us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        self.cpu.add(month(now).number, us);
        self.computes(now)
    }

    /// Whether there is CPU time left this month.
    fn computes(&self, now: SystemTime) -> Result<(), Over> {
        let most = self.cpu_month_us.load(Relaxed);
        let (last, used) = self.cpu.last();
        // The calendar is asked where that matters.
        if used < most {
            return Ok(());
        }
        let month = month(now);
        if last != month.number && most > 0 {
            return Ok(());
        }
        let wait = month.ends.duration_since(now).unwrap_or_default();
        let over = self.over(Quota::CpuMonthSeconds, wait);
        Err(Over { renews: Some(month.ends), ..over })
    }

    /// Takes one outbound request or connection.
    ///
    /// # Errors
    /// If there were too many in this second.
    pub(crate) fn spend_outbound(&self) -> Result<(), Over> {
        self.outbound.take().map_err(|wait| self.over(Quota::OutboundPerSecond, wait))
    }

    /// Takes room for what is logged.
    pub(crate) fn log(&self, bytes: u64, now: SystemTime) -> Room {
        let day = day(now).number;
        if self.log.add_within(day, bytes, self.log_day_bytes.load(Relaxed)) {
            return Room::Yes;
        }
        let _ = self.over(Quota::LogDayBytes, Duration::ZERO);
        // No day that anything is logged on is the first of all.
        let is_first = self.log_told.swap(day.into(), Relaxed) != u32::from(day);
        if is_first { Room::Ended } else { Room::No }
    }

    /// Takes room for what an app is about to keep.
    ///
    /// # Errors
    /// If the tenant's apps keep as much as they may.
    pub(crate) fn keep(&self, bytes: u64) -> Result<(), Over> {
        if self.kept.take(bytes) { Ok(()) } else { Err(self.is_full()) }
    }

    /// Says that the tenant's apps keep as much as they may.
    pub(crate) fn is_full(&self) -> Over {
        self.over(Quota::StateBytes, MEASURED)
    }

    /// Counts what an app has kept, or may have; there is nobody any more to be refused.
    pub(crate) fn has_kept(&self, bytes: u64) {
        self.kept.add(bytes);
    }

    /// What the tenant's apps may yet keep, in bytes.
    pub(crate) fn room(&self) -> u64 {
        self.kept.room()
    }

    /// Leave for one more WebSocket, if the tenant has fewer than so many.
    pub fn websocket(self: &Arc<Self>, most: usize) -> Option<Websocket> {
        let taken = self.websockets.fetch_update(Relaxed, Relaxed, |open| {
            open.checked_add(1).filter(|open| *open <= most)
        });
        taken.ok().map(|_| Websocket(self.clone()))
    }

    /// Whether what the apps keep is to be measured, because something may have been written since that
    /// was done last. From now on what is written counts beside what is measured.
    #[must_use]
    pub fn begin_measuring(&self) -> bool {
        self.kept.begin()
    }

    /// Notes what the apps keep, all together, as it was measured since [`Self::begin_measuring`], in
    /// bytes.
    pub fn measured(&self, bytes: u64) {
        self.kept.end(bytes);
    }

    /// What was taken of what is counted for long, and what is kept.
    #[must_use]
    pub fn used(&self) -> Used {
        let ((month, cpu_us), (day, log_bytes)) = (self.cpu.last(), self.log.last());
        Used { month, cpu_us, day, log_bytes, state_bytes: self.kept.measured() }
    }

    /// Goes on from what was taken before.
    pub fn restore(&self, used: &Used) {
        self.cpu.restore(used.month, used.cpu_us);
        self.log.restore(used.day, used.log_bytes);
        self.kept.restore(used.state_bytes);
    }

    /// How often something was refused for each quota.
    pub fn refusals(&self) -> impl Iterator<Item = (Quota, u64)> {
        let count = |quota: Quota| self.refused[quota as usize].0.load(Relaxed);
        Quota::ALL.into_iter().map(move |quota| (quota, count(quota)))
    }

    /// Says that a quota is used up, for so long.
    pub fn over(&self, quota: Quota, wait: Duration) -> Over {
        let (refused, paced) = &self.refused[quota as usize];
        refused.fetch_add(1, Relaxed);
        if let Some(times) = paced.note() {
            tracing::warn!(tenant = %self.tenant, quota = quota.name(), times, "refused: over quota");
        }
        Over { quota, wait, renews: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<DateTime<Utc>>().unwrap().into()
    }

    #[test]
    fn a_month_s_cpu_time_renews_with_the_next() {
        let quotas = Quotas { cpu_month_seconds: 10, ..Quotas::default() };
        let account = Account::new("acme", &quotas);
        let november = at("2026-11-30T23:00:00Z");
        assert_eq!(account.charge(Duration::from_secs(9), november), Ok(()));
        assert_eq!(account.admit(november), Ok(()));
        let over = account.charge(Duration::from_millis(1001), november).unwrap_err();
        assert_eq!((over.quota, over.wait), (Quota::CpuMonthSeconds, Duration::from_secs(3600)));
        assert_eq!(
            over.to_string(),
            "the tenant's quota `cpu_month_seconds` is used up, and renews on 2026-12-01 (UTC)"
        );
        assert_eq!(account.admit(november), Err(over));
        let december = at("2026-12-01T00:00:00Z");
        assert_eq!(account.admit(december), Ok(()));
        assert_eq!(account.charge(Duration::from_secs(9), december), Ok(()));
        let used = account.used();
        assert_eq!((used.month, used.cpu_us), (56 * 12 + 11, 9_000_000));
        // Another process goes on from there.
        let again = Account::new("acme", &quotas);
        again.restore(&used);
        assert!(again.charge(Duration::from_secs(1), december).is_err());
        again.change(&Quotas { cpu_month_seconds: 11, ..quotas.clone() });
        assert_eq!(again.admit(december), Ok(()));
        again.change(&Quotas { cpu_month_seconds: 0, ..quotas });
        assert!(again.admit(at("2027-01-01T00:00:00Z")).is_err(), "none at all");
    }

    #[test]
    fn a_day_s_log_ends_once_and_renews_with_the_next() {
        let quotas = Quotas { log_day_bytes: 100, ..Quotas::default() };
        let account = Account::new("acme", &quotas);
        let evening = at("2026-11-30T23:59:59Z");
        assert_eq!(account.log(60, evening), Room::Yes);
        assert_eq!(account.log(60, evening), Room::Ended);
        assert_eq!(account.log(60, evening), Room::No);
        assert_eq!(account.log(40, evening), Room::Yes, "what still fits");
        let morning = at("2026-12-01T00:00:01Z");
        assert_eq!(account.log(100, morning), Room::Yes);
        assert_eq!(account.log(1, morning), Room::Ended);
        account.change(&Quotas { log_day_bytes: 110, ..quotas });
        assert_eq!(account.log(10, morning), Room::Yes);
        assert_eq!(account.log(1, morning), Room::Ended);
    }

    #[test]
    fn requests_and_what_they_send_are_counted_apart() {
        let quotas = Quotas { requests_per_second: 2, outbound_per_second: 1, ..Quotas::default() };
        let account = Account::new("acme", &quotas);
        let now = at("2026-11-30T12:00:00Z");
        assert!(account.admit(now).is_ok() && account.admit(now).is_ok());
        let over = account.admit(now).unwrap_err();
        assert_eq!(over.quota, Quota::RequestsPerSecond);
        assert!(over.wait <= Duration::from_millis(500) && over.wait > Duration::ZERO);
        assert!(account.spend_outbound().is_ok());
        assert_eq!(account.spend_outbound().unwrap_err().quota, Quota::OutboundPerSecond);
        let refused = account.refusals().filter(|(_, count)| *count > 0);
        let expected = [(Quota::RequestsPerSecond, 1), (Quota::OutboundPerSecond, 1)];
        assert_eq!(refused.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn websockets_are_counted_while_they_are_open() {
        let account = Account::unbounded("a");
        let open: Vec<_> = (0..9).filter_map(|_| account.websocket(3)).collect();
        assert_eq!(open.len(), 3);
        drop(open);
        assert!(account.websocket(1).is_some());
    }

    #[test]
    fn nobody_has_no_weight() {
        let of = |weight| Account::new("a", &Quotas { weight, ..Quotas::default() }).weight();
        assert_eq!((of(0), of(7), of(u32::MAX)), (1, 7, HEAVIEST));
        assert_eq!(Account::unbounded("").weight(), Quotas::WEIGHT);
    }
}
