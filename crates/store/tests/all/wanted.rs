//! Releases whose code is missing.

use std::os::unix::net::UnixDatagram;

use dayfly_model::platform::{AppId, ArtifactStore as _, Generation, ReleaseStore as _};
use dayfly_store::{Making, Offer, Prepared, Wanted};

use crate::{Fixture, app, by, offer, open, record_as, release, send, tenant};

const DONE: Making<'_> = Making::Done { took_ms: 1 };

#[test]
fn what_is_wanted_is_made_once_for_all_who_ask() {
    let it = Fixture::new();
    let id = app("shop");
    let theirs = AppId { tenant: tenant("other"), app: "desk".parse().unwrap() };
    for app in [&id, &theirs] {
        it.store.make_app(&by(), app).unwrap();
    }
    let one = release(&it.store, &id, "one", &[]).unwrap();
    let two = release(&it.store, &id, "two", &[]).unwrap();
    let same = release(&it.store, &theirs, "one", &[]).unwrap();
    let want = |app, of: &dayfly_store::Release| it.store.want(app, &of.id).unwrap();
    assert_eq!(it.store.wanted().unwrap(), []);
    for _ in 0..3 {
        assert_eq!((want(&id, &one), want(&id, &two)), (None, None));
    }
    // Of each tenant the first, by the name that it lies under.
    let wanted = it.store.wanted().unwrap();
    assert_eq!(numbers(&wanted), [one.number]);
    assert_eq!((&wanted[0].tenant, &wanted[0].release), (&id.tenant, &one.id));
    want(&theirs, &same);
    let wanted = it.store.wanted().unwrap();
    assert_eq!(numbers(&wanted), [one.number, same.number]);
    assert!(wanted.iter().all(|it| it.name == id.app));

    it.store.settle_wanted(&wanted[0], DONE).unwrap();
    it.store.settle_wanted(&wanted[1], Making::Failed("it takes too long")).unwrap();
    // Neither is asked for again at once, and who asks hears why.
    assert_eq!(want(&id, &one), None);
    assert_eq!(want(&theirs, &same).as_deref(), Some("it takes too long"));
    assert_eq!(numbers(&it.store.wanted().unwrap()), [two.number]);
    // Another control plane begins anew.
    it.store.forget_settled().unwrap();
    assert_eq!((want(&id, &one), want(&theirs, &same)), (None, None));
    assert_eq!(numbers(&it.store.wanted().unwrap()), [two.number, same.number]);
}

#[test]
fn only_an_app_s_own_releases_can_be_wanted_and_they_go_with_it() {
    let it = Fixture::new();
    let (id, bare) = (app("shop"), app("bare"));
    for app in [&id, &bare] {
        it.store.make_app(&by(), app).unwrap();
    }
    let one = release(&it.store, &id, "one", &[]).unwrap();
    it.store.want(&bare, &one.id).unwrap_err();
    it.store.want(&app("none"), &one.id).unwrap_err();
    it.store.want(&id, &one.id).unwrap();
    let wanted = it.store.wanted().unwrap();
    it.store.remove_app(&by(), &id).unwrap();
    assert_eq!(it.store.wanted().unwrap(), []);
    it.store.settle_wanted(&wanted[0], Making::Failed("too late")).unwrap();
}

fn numbers(wanted: &[Wanted]) -> Vec<i64> {
    wanted.iter().map(|it| it.number).collect()
}

#[test]
fn whoever_listens_is_woken_by_what_is_new_and_by_nothing_else() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    // As another process has it.
    let node = open(&it.folder.path().join("state"));
    let bell = it.store.bell().unwrap();
    let rang = |bell: &UnixDatagram| bell.recv(&mut [0]).is_ok();
    node.want(&id, &one.id).unwrap();
    assert!(rang(&bell) && !rang(&bell));
    node.want(&id, &one.id).unwrap();
    assert!(!rang(&bell), "it was asked for before");
    // Whoever follows is rung at, and whoever leaves keeps nobody up.
    let next = it.store.bell().unwrap();
    let again = || {
        it.store.forget_settled().unwrap();
        node.want(&id, &one.id).unwrap();
    };
    it.store.settle_wanted(&it.store.wanted().unwrap()[0], DONE).unwrap();
    again();
    assert!(rang(&next) && !rang(&bell));
    drop((bell, next));
    it.store.settle_wanted(&it.store.wanted().unwrap()[0], DONE).unwrap();
    again();
    assert_eq!(numbers(&it.store.wanted().unwrap()), [one.number]);
}

#[test]
fn whoever_serves_is_woken_by_each_change_of_what_is_served() {
    let it = Fixture::new();
    let id = app("shop");
    let bell = it.store.bell_of_changes().unwrap();
    let rang = || bell.recv(&mut [0]).is_ok();
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    while rang() {}
    let offer = Offer { release: &one.id, accept: true, health_path: None };
    let active = it.store.activate(&by(), &id, &offer, 100, None).unwrap();
    assert!(rang() && !rang());
    // Nothing changes by that, nor by what is said of it.
    it.store.activate(&by(), &id, &offer, 100, None).unwrap();
    it.store.activate(&by(), &id, &offer, 100, Some(Generation(0))).unwrap_err();
    it.store.note(&id, active.generation, Ok(())).unwrap();
    it.store.want(&id, &one.id).unwrap();
    assert!(!rang());
    it.store.remove_app(&by(), &id).unwrap();
    assert!(rang());
}

#[test]
fn what_stands_in_has_better_code_asked_for_that_follows_once() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let made = |content: &str, baseline| {
        send(&it.store, id.tenant.as_str(), content.as_bytes()).unwrap();
        let prepared = Prepared { baseline, ..Prepared::default() };
        record_as(&it.store, &id, content, &[], &prepared).unwrap()
    };
    let bell = it.store.bell().unwrap();
    let whole = made("whole", false);
    assert_eq!(it.store.wanted().unwrap(), []);
    assert!(bell.recv(&mut [0]).is_err(), "nothing is to be made");
    let (first, second) = (made("first", true), made("second", true));
    assert!(bell.recv(&mut [0]).is_ok());
    // What has traffic comes before what was asked for earlier.
    let next = || it.store.wanted().unwrap().remove(0);
    assert_eq!((next().number, next().is_behind), (first.number, true));
    it.store.activate(&by(), &id, &offer(&second.id, true), 100, None).unwrap();
    assert_eq!(next().number, second.number);

    let optimised =
        |of: &dayfly_store::Release| it.store.release(&id, &of.id).unwrap().prepared.optimised_ms;
    // It is no less wanted because it could not be made.
    let failed = Making::Failed("a worker was killed");
    assert!(!it.store.settle_wanted(&next(), failed).unwrap());
    assert_eq!((optimised(&second), next().number), (None, first.number));
    assert_eq!(it.store.want(&id, &second.id).unwrap().as_deref(), Some("a worker was killed"));
    it.store.forget_settled().unwrap();
    assert_eq!(it.store.want(&id, &second.id).unwrap(), None);
    assert!(it.store.settle_wanted(&next(), Making::Done { took_ms: 700 }).unwrap());
    assert_eq!((optimised(&second), optimised(&first)), (Some(700), None));
    // When its code is lost one day, that is no first time.
    it.store.forget_settled().unwrap();
    it.store.want(&id, &second.id).unwrap();
    assert_eq!((next().number, next().is_behind), (second.number, false));
    assert!(!it.store.settle_wanted(&next(), Making::Done { took_ms: 9 }).unwrap());
    assert_eq!((optimised(&second), optimised(&whole)), (Some(700), None));
}
