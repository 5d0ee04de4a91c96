//! Releases whose code is missing.

use std::os::unix::net::UnixDatagram;

use dayfly_model::platform::{AppId, ArtifactStore as _, Generation, ReleaseStore as _};
use dayfly_store::{Offer, Wanted};

use crate::{Fixture, app, by, open, release, tenant};

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

    it.store.settle_wanted(&wanted[0], Ok(())).unwrap();
    it.store.settle_wanted(&wanted[1], Err("it takes too long")).unwrap();
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
    it.store.settle_wanted(&wanted[0], Err("too late")).unwrap();
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
    it.store.settle_wanted(&it.store.wanted().unwrap()[0], Ok(())).unwrap();
    again();
    assert!(rang(&next) && !rang(&bell));
    drop((bell, next));
    it.store.settle_wanted(&it.store.wanted().unwrap()[0], Ok(())).unwrap();
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
