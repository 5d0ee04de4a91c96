//! Apps, releases, and what is active.

use dayfly_model::platform::{Generation, ReleaseStore as _};
use dayfly_store::{Offer, Serving, StoreError, Terms};

use crate::{Fixture, app, by, offer, record, release, tenant};

#[test]
fn a_release_is_activated_as_one_and_rolled_back() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    assert!(it.store.stamps().unwrap().is_empty() && it.store.activation(&id).unwrap().is_none());
    let one = release(&it.store, &id, "one", &[]).unwrap();
    assert_eq!(release(&it.store, &id, "one", &[]).unwrap().number, one.number);
    let two = release(&it.store, &id, "two", &[]).unwrap();
    let activate = |digest, percent| {
        it.store.activate(&by(), &id, &offer(digest, false), percent, None).unwrap()
    };
    let first = activate(&one.id, 100);
    assert_eq!((first.shares.len(), &first.shares[0].release), (1, &one.id));
    assert_eq!(it.store.generation().unwrap(), first.generation);
    // The same again changes nothing.
    assert_eq!(activate(&one.id, 100).generation, first.generation);

    let split = activate(&two.id, 10);
    let shares: Vec<_> = split.shares.iter().map(|it| (&it.release, it.percent)).collect();
    assert_eq!(shares, [(&one.id, 90), (&two.id, 10)]);
    let most = activate(&two.id, 60);
    let shares: Vec<_> = most.shares.iter().map(|it| (&it.release, it.percent)).collect();
    assert_eq!(shares, [(&two.id, 60), (&one.id, 40)]);
    activate(&two.id, 100);
    let read = it.store.activation(&id).unwrap().unwrap();
    assert_eq!((read.shares.len(), read.shares[0].percent), (1, 100));
    assert_eq!(it.store.stamps().unwrap()[&id], read.generation);

    let back = it.store.roll_back(&by(), &id, None, false, None).unwrap();
    assert_eq!(back.shares[0].release, one.id);
    let forth = it.store.roll_back(&by(), &id, Some(&two.id), false, None).unwrap();
    assert_eq!(forth.shares[0].release, two.id);
}

#[test]
fn nothing_to_roll_back_to_is_said() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    let two = release(&it.store, &id, "two", &[]).unwrap();
    for to in [None, Some(&two.id)] {
        let refused = it.store.roll_back(&by(), &id, to, false, None);
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    }
}

#[test]
fn nobody_goes_back_to_what_did_not_do() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let [a, b, c, d] =
        ["a", "b", "c", "d"].map(|text| release(&it.store, &id, text, &[]).unwrap().id);
    let activate =
        |digest| it.store.activate(&by(), &id, &offer(digest, false), 100, None).unwrap();
    let note =
        |generation, outcome: Result<(), &str>| it.store.note(&id, generation, outcome).unwrap();
    let back = |to, failed| it.store.roll_back(&by(), &id, to, failed, None).unwrap();
    note(activate(&a).generation, Ok(()));
    // The node cannot serve one, and it is undone; of another one its deployer says that it does not do.
    note(activate(&b).generation, Err("it lacks a variable"));
    note(back(Some(&a), false).generation, Ok(()));
    note(activate(&c).generation, Ok(()));
    note(back(Some(&a), true).generation, Ok(()));
    let refused = it.store.roll_back(&by(), &id, None, false, None);
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    note(activate(&d).generation, Ok(()));
    // What was served once was, though it cannot be with what it is told now.
    note(it.store.app(&id).unwrap().active.generation, Err("it lacks a variable"));
    note(activate(&a).generation, Ok(()));
    assert_eq!(back(None, false).shares[0].release, d);
    assert_eq!(back(None, false).shares[0].release, a);
    // Who names one gets it.
    assert_eq!(back(Some(&c), false).shares[0].release, c);
}

#[test]
fn a_release_that_came_by_halves_is_rolled_back_to() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|text| release(&it.store, &id, text, &[]).unwrap().id);
    let activate = |digest, percent| {
        it.store.activate(&by(), &id, &offer(digest, false), percent, None).unwrap()
    };
    activate(&a, 100);
    let half = activate(&b, 50);
    // What was first stays first, and is read so.
    assert_eq!(half.shares.iter().map(|it| &it.release).collect::<Vec<_>>(), [&a, &b]);
    assert_eq!(it.store.app(&id).unwrap().active.shares, half.shares);
    // The same again changes nothing, of whichever half.
    assert_eq!(activate(&b, 50).generation, half.generation);
    assert_eq!(activate(&a, 50).generation, half.generation);
    activate(&b, 100);
    activate(&c, 100);
    let back =
        |to| it.store.roll_back(&by(), &id, to, false, None).unwrap().shares[0].release.clone();
    assert_eq!(back(None), b);
    assert_eq!(back(Some(&c)), c);
    assert_eq!(back(Some(&b)), b);
    assert_eq!(back(Some(&a)), a);
}

#[test]
fn a_half_that_had_most_stays_first() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let [a, b] = ["a", "b"].map(|text| release(&it.store, &id, text, &[]).unwrap().id);
    let activate = |digest, percent| {
        it.store.activate(&by(), &id, &offer(digest, false), percent, None).unwrap()
    };
    activate(&a, 100);
    activate(&b, 60);
    for half in [activate(&a, 50), activate(&b, 50), it.store.app(&id).unwrap().active] {
        assert_eq!(half.shares.iter().map(|it| &it.release).collect::<Vec<_>>(), [&b, &a]);
    }
    activate(&b, 100);
    assert_eq!(it.store.roll_back(&by(), &id, None, false, None).unwrap().shares[0].release, a);
}

#[test]
fn whoever_saw_an_older_generation_changes_nothing() {
    let it = Fixture::new();
    let id = app("shop");
    let seen = it.store.make_app(&by(), &id).unwrap().active.generation;
    let one = release(&it.store, &id, "one", &[]).unwrap();
    let two = release(&it.store, &id, "two", &[]).unwrap();
    let now =
        it.store.activate(&by(), &id, &offer(&one.id, false), 100, Some(seen)).unwrap().generation;
    let late = it.store.activate(&by(), &id, &offer(&two.id, false), 100, Some(seen));
    assert!(
        matches!(late, Err(StoreError::Changed { expected, actual }) if expected == seen && actual == now)
    );
    assert_eq!(it.store.app(&id).unwrap().active.shares[0].release, one.id);
}

#[test]
fn more_is_refused_unless_it_is_accepted() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &["https://a.example"]).unwrap();
    let two = release(&it.store, &id, "two", &["https://a.example", "https://b.example"]).unwrap();
    // The first one asks nobody.
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    let (against, asks) = it.store.difference(&id, &two.id).unwrap();
    assert_eq!((against, asks.len()), (Some(one.id.clone()), 1));
    let refused = it.store.activate(&by(), &id, &offer(&two.id, false), 100, None);
    let Err(StoreError::Grants(asks)) = refused else { panic!("{refused:?}") };
    assert_eq!((&*asks[0].kind, &*asks[0].name), ("host", "https://b.example"));
    // Neither is a small share of the traffic.
    assert!(it.store.activate(&by(), &id, &offer(&two.id, false), 1, None).is_err());
    it.store.activate(&by(), &id, &offer(&two.id, true), 100, None).unwrap();
    // Less is nothing to accept.
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    // Where the tenant's policy says so, more is none either.
    let terms = Terms { accepts_grants: Some(true), ..Terms::default() };
    it.store.change_tenant(&by(), &tenant("acme"), terms).unwrap();
    it.store.activate(&by(), &id, &offer(&two.id, false), 100, None).unwrap();
}

#[test]
fn a_share_needs_somebody_for_the_rest() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    for percent in [0, 50, 101] {
        let refused = it.store.activate(&by(), &id, &offer(&one.id, false), percent, None);
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{percent}");
    }
}

#[test]
fn what_the_node_notes_holds_for_its_generation() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    let active = it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    assert_eq!(active.serving, Serving::Pending);
    let serving = || it.store.app(&id).unwrap().active.serving;
    it.store.note(&id, active.generation, Err("it has no room")).unwrap();
    assert_eq!(serving(), Serving::Failed("it has no room".to_owned()));
    // A note of an older one comes too late.
    it.store.note(&id, Generation(active.generation.0 - 1), Ok(())).unwrap();
    assert_eq!(serving(), Serving::Failed("it has no room".to_owned()));
    it.store.note(&id, active.generation, Ok(())).unwrap();
    assert_eq!(serving(), Serving::Yes);
    it.store.note(&app("gone"), active.generation, Ok(())).unwrap();
}

#[test]
fn a_release_of_blobs_that_others_sent_is_none() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    crate::send(&it.store, "other", b"theirs").unwrap();
    let refused = record(&it.store, &id, "theirs", &[]);
    assert!(matches!(refused, Err(StoreError::Missing(missing)) if missing.len() == 1));
}

#[test]
fn the_oldest_releases_leave_but_none_that_may_be_needed() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    it.quotas("acme", |quotas| quotas.releases = 3);
    let make = |text| release(&it.store, &id, text, &[]).unwrap().id;
    let (one, two) = (make("one"), make("two"));
    it.store.activate(&by(), &id, &offer(&one, false), 100, None).unwrap();
    it.store.activate(&by(), &id, &offer(&two, false), 100, None).unwrap();
    let (_three, four) = (make("three"), make("four"));
    let left = it.store.releases(&id, None, 10).unwrap().into_iter().map(|it| it.id);
    assert_eq!(left.collect::<Vec<_>>(), [four, two, one.clone()]);
    assert_eq!(it.store.roll_back(&by(), &id, None, false, None).unwrap().shares[0].release, one);
}

#[test]
fn an_app_of_the_same_name_finds_nothing_of_a_former_one() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    let before = it.store.activation(&id).unwrap().unwrap().number;
    it.store.remove_app(&by(), &id).unwrap();
    assert!(it.store.activation(&id).unwrap().is_none() && it.store.stamps().unwrap().is_empty());
    it.store.make_app(&by(), &id).unwrap();
    assert!(it.store.releases(&id, None, 10).unwrap().is_empty());
    record(&it.store, &id, "one", &[]).unwrap();
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    assert!(it.store.activation(&id).unwrap().unwrap().number > before);
}

#[test]
fn an_active_release_has_the_name_of_the_app_that_had_it_first() {
    let it = Fixture::new();
    let (shop, mirror, idle) = (app("shop"), app("mirror"), app("idle"));
    let one = [&shop, &mirror, &idle].map(|id| {
        it.store.make_app(&by(), id).unwrap();
        release(&it.store, id, "one", &[]).unwrap().id
    });
    let two = release(&it.store, &idle, "two", &[]).unwrap().id;
    assert!(it.store.active_releases().unwrap().is_empty());
    it.store.activate(&by(), &mirror, &offer(&one[0], false), 100, None).unwrap();
    let active = || it.store.active_releases().unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(active(), [(one[0].clone(), shop.app.clone())]);
    it.store.activate(&by(), &idle, &offer(&two, false), 100, None).unwrap();
    assert!(active().contains(&(two, idle.app.clone())) && active().len() == 2);
    // What that one left, the next one has.
    it.store.remove_app(&by(), &shop).unwrap();
    assert!(active().contains(&(one[0].clone(), mirror.app.clone())));
}

#[test]
fn a_domain_has_one_app() {
    let it = Fixture::new();
    let (id, domain) = (app("shop"), "www.example.com".parse().unwrap());
    let theirs =
        dayfly_model::platform::AppId { tenant: tenant("other"), app: "shop".parse().unwrap() };
    it.store.make_app(&by(), &id).unwrap();
    it.store.make_app(&by(), &theirs).unwrap();
    let add = |id, domain| it.store.add_domain(&by(), id, domain, true);
    add(&id, &domain).unwrap();
    add(&id, &domain).unwrap();
    assert!(matches!(add(&theirs, &domain), Err(StoreError::Taken(_))));
    assert!(it.store.remove_domain(&by(), &theirs, &domain).is_err());
    it.quotas("acme", |quotas| quotas.domains = 1);
    let more = ["b.example.com", "c.example.com"].map(|it| it.parse().unwrap());
    let another = add(&id, &more[0]);
    assert!(matches!(another, Err(StoreError::Quota { quota: "domains", .. })));
    it.store.remove_domain(&by(), &id, &domain).unwrap();
    add(&theirs, &domain).unwrap();
    // Whoever may have none gets none.
    it.quotas("acme", |quotas| quotas.domains = 0);
    let none = add(&id, &more[1]);
    let refused = StoreError::Quota { quota: "domains", limit: 0, needed: 1 };
    assert_eq!(none.unwrap_err().to_string(), refused.to_string());
}

#[test]
fn a_tenant_has_the_domains_that_it_is_given() {
    let it = Fixture::new();
    let id = app("shop");
    let theirs =
        dayfly_model::platform::AppId { tenant: tenant("other"), app: "shop".parse().unwrap() };
    it.store.make_app(&by(), &id).unwrap();
    it.store.make_app(&by(), &theirs).unwrap();
    let give = |owner: &str, domains: &[&str]| {
        let domains: Vec<_> = domains.iter().map(|it| it.parse().unwrap()).collect();
        let terms = Terms { domains: Some(&domains), ..Terms::default() };
        it.store.change_tenant(&by(), &tenant(owner), terms).unwrap()
    };
    let add = |id, domain: &str| it.store.add_domain(&by(), id, &domain.parse().unwrap(), false);
    let none = add(&id, "www.acme.example").unwrap_err();
    assert_eq!(
        none.to_string(),
        "tenant `acme` was not given the domain `www.acme.example`: it was given none"
    );
    give("acme", &["acme.example", "*.acme.example"]);
    add(&id, "acme.example").unwrap();
    add(&id, "a.b.acme.example").unwrap();
    // Whether a domain that it was not given is there, it does not learn.
    it.store.add_domain(&by(), &theirs, &"www.other.example".parse().unwrap(), true).unwrap();
    for domain in ["www.other.example", "new.other.example", "notacme.example"] {
        let refused = add(&id, domain).unwrap_err();
        assert!(matches!(refused, StoreError::NotGiven { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.ends_with("it was given `acme.example`, `*.acme.example`"), "{said}");
    }
    // What it has stays, and nothing comes to it.
    assert!(give("acme", &[]).domains.is_empty());
    add(&id, "acme.example").unwrap();
    assert!(add(&id, "www.acme.example").is_err());
    assert_eq!(it.store.domains(&id, None, 10).unwrap().len(), 2);
    // Two may be given the same: whoever comes first has it.
    give("acme", &["*"]);
    give("other", &["*.acme.example"]);
    add(&theirs, "www.acme.example").unwrap();
    assert!(matches!(add(&id, "www.acme.example"), Err(StoreError::Taken(_))));
    let many: Vec<_> = (0..201).map(|n| format!("a{n}.example").parse().unwrap()).collect();
    let terms = Terms { domains: Some(&many), ..Terms::default() };
    let refused = it.store.change_tenant(&by(), &tenant("acme"), terms).unwrap_err();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
    let log = it.store.audit(Some(&tenant("acme")), None, 100).unwrap();
    let given = log.iter().filter(|it| it.action == "tenant.domains");
    let given: Vec<_> = given.map(|it| it.detail.as_deref().unwrap()).collect();
    assert_eq!(given, ["*", "", "acme.example *.acme.example"]);
}

#[test]
fn where_a_release_is_looked_at_changes_with_what_is_active_or_not_at_all() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap().id;
    let two = release(&it.store, &id, "two", &["more.example"]).unwrap().id;
    let at = |release, path| Offer { release, accept: false, health_path: Some(path) };
    let path_of = |release| it.store.release(&id, release).unwrap().health_path;
    let activate = |offer, expected| it.store.activate(&by(), &id, &offer, 100, expected);
    let active = activate(at(&one, "/up"), None).unwrap();
    assert_eq!(path_of(&one).as_deref(), Some("/up"));
    // Refused by the generation, by the grants, by the path itself.
    assert!(activate(at(&one, "/late"), Some(Generation(0))).is_err());
    assert!(activate(at(&two, "/more"), None).is_err());
    assert!(activate(at(&one, "no path"), None).is_err());
    let preview = "pr-1".parse().unwrap();
    let expires_ms = i64::MAX;
    assert!(
        it.store.preview(&by(), &id, &preview, &at(&two, "/more"), (expires_ms, None)).is_err()
    );
    assert_eq!((path_of(&one).as_deref(), path_of(&two)), (Some("/up"), None));
    // A preview is looked at where it says, and what is live where that said.
    it.store.preview(&by(), &id, &preview, &at(&one, "/seen"), (expires_ms, None)).unwrap();
    assert_eq!(path_of(&one).as_deref(), Some("/up"));
    let own = it.store.release(&app("pr-1--shop"), &one).unwrap();
    assert_eq!(own.health_path.as_deref(), Some("/seen"));
    // The same release as before.
    let same = activate(at(&one, "/other"), None).unwrap();
    assert_eq!(same.generation, active.generation);
    assert_eq!(path_of(&one).as_deref(), Some("/other"));
    let log = it.store.audit(None, None, 3).unwrap();
    let told: Vec<_> = log.into_iter().map(|it| (it.action, it.detail.unwrap())).collect();
    let line = |action: &str, what: String| (action.to_owned(), what);
    assert_eq!(
        told,
        [
            line("app.activate", format!("{one} 100%, once `/other` answers well")),
            line("preview.make", format!("pr-1 {one}, once `/seen` answers well")),
            line("app.activate", format!("{one} 100%, once `/up` answers well")),
        ]
    );
}
