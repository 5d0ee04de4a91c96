//! What was used: added up, grouped, bounded by number and by age, with a clock that is given.

use std::collections::BTreeMap;

use dayfly_model::platform::{Durations, ReleaseStore as _, Usage};
use dayfly_store::{
    SERIES_OF_TENANT, StoreError, Terms, UsageBook, UsageBy, UsageKey, UsageQuery, UsageStep, Used,
};

use crate::{Fixture, app, by, offer, release, tenant};

/// A Monday, 2026-11-30T10:30:00Z.
const NOW: i64 = 1_796_034_600;

const DAY: i64 = 86_400;

fn key(tenant: u64, names: (&str, &str, &str)) -> UsageKey {
    let (app, release, component) = names;
    UsageKey {
        tenant,
        app: app.to_owned(),
        release: release.to_owned(),
        component: component.to_owned(),
    }
}

/// So many requests, each of ten microseconds, and what they take.
fn requests(count: u64) -> Usage {
    let mut durations = Durations::default();
    durations.count(Durations::bucket(10), count);
    durations.raise_longest(10);
    Usage {
        requests: [0, count, 0, 0, 0],
        cpu_ns: 1000 * count,
        memory_peak_bytes: count,
        bytes_out: 7 * count,
        durations,
        ..Usage::default()
    }
}

fn query() -> UsageQuery {
    UsageQuery { app: None, by: UsageBy::App, step: None, from: NOW - DAY, to: NOW + 60, now: NOW }
}

struct Kept {
    it: Fixture,
    book: UsageBook,
}

impl Kept {
    fn new() -> Self {
        let it = Fixture::new();
        let book = UsageBook::open(it.store.folder()).unwrap();
        Self { it, book }
    }

    fn add(&mut self, at: i64, names: (&str, &str, &str), count: u64) {
        self.add_of(1, at, names, count);
    }

    fn add_of(&mut self, tenant: u64, at: i64, names: (&str, &str, &str), count: u64) {
        let used = BTreeMap::from([(key(tenant, names), requests(count))]);
        self.book.add(&used, at).unwrap();
    }

    fn used(&self, query: &UsageQuery) -> Used {
        self.it.store.usage(&tenant("acme"), query).unwrap()
    }

    /// The requests of each group.
    fn counts(&self, query: &UsageQuery) -> Vec<(String, u64)> {
        let groups = self.used(query).groups.into_iter();
        let name = |group: &dayfly_store::UsageGroup| {
            [&group.app, &group.component, &group.release]
                .map(|it| it.as_deref().unwrap_or("-"))
                .join("/")
        };
        groups.map(|group| (name(&group), group.total.requests[1])).collect()
    }
}

fn named(names: &[(&str, u64)]) -> Vec<(String, u64)> {
    names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn what_was_used_is_added_up_and_grouped() {
    let mut kept = Kept::new();
    kept.add(NOW, ("shop", "one", "api"), 3);
    kept.add(NOW + 1, ("shop", "one", "api"), 4);
    kept.add(NOW + 2, ("shop", "two", "api"), 10);
    kept.add(NOW + 2, ("shop", "two", ""), 1);
    kept.add(NOW + 2, ("blog", "x", "api"), 100);
    kept.add_of(2, NOW, ("shop", "one", "api"), 1000);
    assert_eq!(kept.counts(&query()), named(&[("blog/-/-", 100), ("shop/-/-", 18)]));
    let by = |by| kept.counts(&UsageQuery { by, ..query() });
    assert_eq!(by(UsageBy::Total), named(&[("-/-/-", 118)]));
    let components = [("blog/api/-", 100), ("shop//-", 1), ("shop/api/-", 17)];
    assert_eq!(by(UsageBy::Component), named(&components));
    let releases = [("blog/-/x", 100), ("shop/-/one", 7), ("shop/-/two", 11)];
    assert_eq!(by(UsageBy::Release), named(&releases));
    let of_app = UsageQuery { app: Some("shop".parse().unwrap()), by: UsageBy::Total, ..query() };
    assert_eq!(kept.counts(&of_app), named(&[("-/-/-", 18)]));
    let total = &kept.used(&of_app).groups[0].total;
    assert_eq!((total.cpu_ns, total.bytes_out, total.memory_peak_bytes), (18_000, 126, 10));
    assert_eq!((total.durations.len(), total.durations.percentile_us(99.0)), (18, 10));
    // Another tenant sees its own.
    let others = kept.it.store.usage(&tenant("other"), &query()).unwrap();
    assert_eq!(others.groups[0].total.requests[1], 1000);
    assert!(kept.it.store.has_usage(&tenant("other"), &"shop".parse().unwrap()).unwrap());
    assert!(!kept.it.store.has_usage(&tenant("other"), &"blog".parse().unwrap()).unwrap());
}

#[test]
fn a_time_is_exact_to_the_minute_and_told_step_by_step() {
    let mut kept = Kept::new();
    for minute in 0..120 {
        kept.add(NOW - minute * 60, ("shop", "one", "api"), 1);
    }
    let last = |minutes: i64| {
        let from = NOW - minutes * 60;
        kept.counts(&UsageQuery { from, ..query() }).iter().map(|it| it.1).sum::<u64>()
    };
    assert_eq!((last(0), last(9), last(60), last(119)), (1, 10, 61, 120));
    let part = UsageQuery { from: NOW - 100 * 60, to: NOW - 90 * 60, ..query() };
    assert_eq!(kept.counts(&part), named(&[("shop/-/-", 10)]));
    let steps = |step| kept.used(&UsageQuery { step: Some(step), ..query() });
    let minutes = steps(UsageStep::Minute);
    assert_eq!(minutes.groups[0].points.len(), 120);
    let hours = steps(UsageStep::Hour);
    let points: Vec<_> =
        hours.groups[0].points.iter().map(|(at, usage)| (*at, usage.requests[1])).collect();
    assert_eq!(points, [(NOW - 9000, 29), (NOW - 5400, 60), (NOW - 1800, 31)]);
    assert_eq!(hours.groups[0].total.requests[1], 120);
}

#[test]
fn what_is_too_old_goes_and_longer_steps_stay() {
    let mut kept = Kept::new();
    let first = NOW - 800 * DAY;
    for (days, count) in [(0, 1), (100, 2), (750, 4), (799, 8), (800, 16)] {
        kept.add(first + days * DAY, ("shop", "one", "api"), count);
    }
    kept.book.prune(NOW).unwrap();
    let sum = |step, from| {
        let used = kept.used(&UsageQuery { step: Some(step), from, ..query() });
        used.groups.iter().map(|group| group.total.requests[1]).sum::<u64>()
    };
    assert_eq!(sum(UsageStep::Minute, 0), 8 + 16);
    assert_eq!(sum(UsageStep::Hour, 0), 4 + 8 + 16);
    assert_eq!(sum(UsageStep::Day, 0), 2 + 4 + 8 + 16);
    // As one sum, over all of it.
    assert_eq!(kept.counts(&UsageQuery { from: 0, ..query() }), named(&[("shop/-/-", 30)]));
    // A series that has nothing left is forgotten.
    kept.book.prune(NOW + 732 * DAY).unwrap();
    assert!(!kept.it.store.has_usage(&tenant("acme"), &"shop".parse().unwrap()).unwrap());
}

#[test]
fn there_are_so_many_series_and_the_rest_is_one() {
    let mut kept = Kept::new();
    let names: Vec<_> = (0..SERIES_OF_TENANT + 88).map(|number| format!("c{number:04}")).collect();
    let used: BTreeMap<_, _> =
        names.iter().map(|name| (key(1, ("shop", "one", name)), requests(1))).collect();
    for second in 0..3 {
        kept.book.add(&used, NOW + second).unwrap();
    }
    kept.add_of(2, NOW, ("shop", "one", "api"), 5);
    let groups = kept.counts(&UsageQuery { by: UsageBy::Component, ..query() });
    assert_eq!(groups.len() as u64, SERIES_OF_TENANT + 1);
    assert_eq!(groups[0], ("//-".to_owned(), 3 * 88));
    assert!(groups[1..].iter().all(|group| group.1 == 3));
    let total = kept.counts(&UsageQuery { by: UsageBy::Total, ..query() });
    assert_eq!(total, named(&[("-/-/-", 3 * (SERIES_OF_TENANT + 88))]));
    let too_much = UsageQuery { by: UsageBy::Component, step: Some(UsageStep::Minute), ..query() };
    for minute in 1..45 {
        kept.book.add(&used, NOW - minute * 60).unwrap();
    }
    let refused = kept.it.store.usage(&tenant("acme"), &too_much).unwrap_err();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
}

#[test]
fn a_tenant_that_is_made_anew_has_nothing_of_a_former_one() {
    let mut kept = Kept::new();
    kept.it.store.make_app(&by(), &app("shop")).unwrap();
    let made = release(&kept.it.store, &app("shop"), "one", &[]).unwrap();
    kept.it.store.activate(&by(), &app("shop"), &offer(&made.id, false), 100, None).unwrap();
    let number = kept.it.store.activation(&app("shop")).unwrap().unwrap().tenant_number;
    kept.add_of(number, NOW, ("shop", "one", "api"), 1);
    assert_eq!(kept.counts(&query()).len(), 1);
    kept.it.store.remove_app(&by(), &app("shop")).unwrap();
    assert_eq!(kept.counts(&query()).len(), 1, "what a removed app used stays");
    kept.it.store.remove_tenant(&by(), &tenant("acme")).unwrap();
    let gone = kept.it.store.usage(&tenant("acme"), &query()).unwrap_err();
    assert!(matches!(gone, StoreError::NotFound(_)), "{gone}");
    kept.it.store.make_tenant(&by(), &tenant("acme"), Terms::default()).unwrap();
    assert!(kept.counts(&query()).is_empty());
}

#[test]
fn what_was_written_is_there_for_the_next_process_and_in_copies() {
    let mut kept = Kept::new();
    kept.add(NOW, ("shop", "one", "api"), 3);
    drop(kept.book);
    kept.book = UsageBook::open(kept.it.store.folder()).unwrap();
    kept.add(NOW, ("shop", "one", "api"), 4);
    assert_eq!(kept.counts(&query()), named(&[("shop/-/-", 7)]));
    let (copy, restored) = (kept.it.folder.path().join("copy"), kept.it.folder.path().join("new"));
    kept.it.store.backup(&copy).unwrap();
    dayfly_store::restore(&copy, &restored).unwrap();
    let used = crate::open(&restored).usage(&tenant("acme"), &query()).unwrap();
    assert_eq!(used.groups[0].total.requests[1], 7);
}

#[test]
fn several_that_open_a_new_book_at_once_all_have_it() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| UsageBook::open(folder.path()))).collect();
        for one in all {
            one.join().unwrap().unwrap();
        }
    });
}
