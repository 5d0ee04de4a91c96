//! Tenants, tokens, and the log of changes.

use dayfly_model::platform::{
    ArtifactStore as _, Isolation, Quotas, ReleaseStore as _, TenantId, Used, UsedStore as _,
};
use dayfly_store::{StoreError, Taken, Terms, TokenScope, TokenText};

use crate::{Fixture, app, by, open, release, tenant};

#[test]
fn a_token_is_valid_until_it_is_revoked_or_expires() {
    let it = Fixture::new();
    let owner = tenant("acme");
    let make = |expires| {
        it.store.make_token(&by(), Some(&owner), "ci", TokenScope::Deploy, expires).unwrap()
    };
    let (token, text) = make(None);
    let found = it.store.authenticate(&text).unwrap().unwrap();
    assert_eq!((&found.id, found.tenant.as_ref()), (&token.id, Some(&owner)));
    assert_eq!(found.scope, TokenScope::Deploy);
    let (_, expired) = make(Some(1));
    assert!(it.store.authenticate(&expired).unwrap().is_none());
    let listed = it.store.tokens(Some(&owner), None, 10).unwrap();
    assert!(listed.iter().any(|other| other.id == token.id && other.used_ms.is_some()));
    // Another tenant's, and the operator's, is not there.
    for other in [Some(&tenant("other")), None] {
        let removed = it.store.remove_token(&by(), other, &token.id);
        assert!(matches!(removed, Err(StoreError::NotFound(_))));
    }
    it.store.remove_token(&by(), Some(&owner), &token.id).unwrap();
    assert!(it.store.authenticate(&text).unwrap().is_none());
}

#[test]
fn a_wrong_token_is_none_however_it_is_wrong() {
    let it = Fixture::new();
    let (_, text) = it.store.make_token(&by(), None, "op", TokenScope::Admin, None).unwrap();
    let right = text.as_str();
    let mut last = right.to_owned();
    let end = if last.ends_with('A') { 'B' } else { 'A' };
    last.pop();
    last.push(end);
    for wrong in ["", "dayfly_", &right[1..], &right.to_uppercase(), &format!("{right}A"), &last] {
        assert!(it.store.authenticate(&TokenText::new(wrong)).unwrap().is_none(), "{wrong}");
    }
    assert!(it.store.authenticate(&TokenText::new(right)).unwrap().is_some());
}

#[test]
fn no_token_is_on_the_disk() {
    let it = Fixture::new();
    let (token, text) = it.store.make_token(&by(), None, "op", TokenScope::Admin, None).unwrap();
    let secret = text.as_str().splitn(3, '_').nth(2).unwrap().as_bytes().to_owned();
    let (folder, mut found_id) = (it.folder.path().join("state"), false);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            assert!(!has(&secret), "{}", path.display());
            found_id |= has(token.id.as_bytes());
        }
    }
    assert!(found_id, "the test looks at the right files");
}

#[test]
fn the_operator_is_never_locked_out() {
    let it = Fixture::new();
    assert!(!it.store.has_operator(true).unwrap());
    let make =
        |scope, expires| it.store.make_token(&by(), None, "op", scope, expires).unwrap().0.id;
    let (first, reads) = (make(TokenScope::Admin, None), make(TokenScope::Read, None));
    make(TokenScope::Admin, Some(i64::MAX));
    let refused = it.store.remove_token(&by(), None, &first);
    assert!(matches!(refused, Err(StoreError::InUse(_))));
    // One that nobody has used may have been lost before anybody saw it.
    assert!(it.store.has_operator(true).unwrap() && !it.store.has_operator(false).unwrap());
    it.store.remove_token(&by(), None, &reads).unwrap();
    make(TokenScope::Admin, None);
    it.store.remove_token(&by(), None, &first).unwrap();
}

#[test]
fn every_quota_says_which_it_is() {
    let it = Fixture::new();
    it.quotas("acme", |quotas| {
        (quotas.apps, quotas.tokens) = (1, 1);
    });
    it.store.make_app(&by(), &app("a")).unwrap();
    it.store.make_app(&by(), &app("a")).unwrap();
    let beyond = it.store.make_app(&by(), &app("b")).unwrap_err();
    assert!(matches!(beyond, StoreError::Quota { quota: "apps", limit: 1, needed: 2 }));
    let token = || it.store.make_token(&by(), Some(&tenant("acme")), "t", TokenScope::Read, None);
    token().unwrap();
    assert!(matches!(token(), Err(StoreError::Quota { quota: "tokens", .. })));
}

#[test]
fn tenants_come_and_go_and_all_of_it_is_in_the_log() {
    let it = Fixture::new();
    let again = it.store.make_tenant(&by(), &tenant("acme"), Terms::default());
    assert!(matches!(again, Err(StoreError::Taken(_))));
    it.store.make_app(&by(), &app("a")).unwrap();
    let in_use = it.store.remove_tenant(&by(), &tenant("acme"));
    assert!(matches!(in_use, Err(StoreError::InUse(_))));
    it.store.remove_app(&by(), &app("a")).unwrap();
    it.store.remove_tenant(&by(), &tenant("acme")).unwrap();
    let names = it.store.tenants(None, 10).unwrap().into_iter().map(|it| it.name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["other"]);

    let log = it.store.audit(Some(&tenant("acme")), None, 10).unwrap();
    let said: Vec<_> = log.iter().map(|it| (&*it.action, &*it.object)).collect();
    assert_eq!(
        said,
        [
            ("tenant.remove", "acme"),
            ("app.remove", "a"),
            ("app.make", "a"),
            ("tenant.make", "acme")
        ]
    );
    let by = &log[0].by;
    assert_eq!(by.token.as_deref(), Some("t1"));
    assert_eq!(by.source.as_deref(), Some("192.0.2.1"));
    let older = it.store.audit(Some(&tenant("acme")), Some(log[1].id), 1).unwrap();
    assert_eq!(older[0].id, log[2].id);
    // Opened again, it is all there.
    let again = open(&it.folder.path().join("state"));
    assert_eq!(again.audit(None, None, 10).unwrap().len(), 5);
}

#[test]
fn whom_the_operator_trusts_is_in_the_log() {
    let it = Fixture::new();
    let trust = |name: &str, accepts| {
        let terms = Terms { accepts_grants: Some(accepts), ..Terms::default() };
        it.store.change_tenant(&by(), &tenant(name), terms).unwrap().accepts_grants
    };
    assert!(trust("acme", true) && trust("acme", true) && !trust("acme", false));
    let quotas = Quotas { apps: 7, ..Quotas::default() };
    let terms = Terms { accepts_grants: Some(true), quotas: Some(&quotas), ..Terms::default() };
    assert!(it.store.make_tenant(&by(), &tenant("third"), terms).unwrap().accepts_grants);
    let said = |name: &str, action: &str| -> Vec<String> {
        let log = it.store.audit(Some(&tenant(name)), None, 20).unwrap().into_iter();
        log.filter(|it| it.action == action).filter_map(|it| it.detail).collect()
    };
    assert_eq!(said("acme", "tenant.grants"), ["ask", "accept"]);
    assert_eq!(said("third", "tenant.grants"), ["accept"]);
    assert!(said("third", "tenant.make")[0].contains("\"apps\":7"));
}

#[test]
fn what_a_tenant_took_is_kept_until_it_goes() {
    let it = Fixture::new();
    let used = |cpu_us| Used { month: 682, cpu_us, day: 20_787, log_bytes: 5, state_bytes: cpu_us };
    assert_eq!(it.store.used(&tenant("acme")).unwrap(), Used::default());
    let add = |all: &[(TenantId, Used)]| it.store.add_used(all).unwrap();
    add(&[(tenant("acme"), used(7)), (tenant("nobody"), used(1))]);
    add(&[(tenant("acme"), used(1 << 47)), (tenant("other"), used(2))]);
    let again = open(&it.folder.path().join("state"));
    let both = Used { log_bytes: 10, state_bytes: 1 << 47, ..used((1 << 47) + 7) };
    assert_eq!(again.used(&tenant("acme")).unwrap(), both);
    assert_eq!(again.used(&tenant("nobody")).unwrap(), Used::default());
    // A month begins anew, and a day; what comes of a former one after that is not of this one.
    let next = Used { month: 683, day: 20_788, ..used(3) };
    assert_eq!(next.since(&both), next);
    add(&[(tenant("acme"), next)]);
    add(&[(tenant("acme"), used(9))]);
    let next = Used { state_bytes: 9, ..next };
    assert_eq!(it.store.used(&tenant("acme")).unwrap(), next);
    let later = Used { cpu_us: 5, log_bytes: 6, ..next };
    add(&[(tenant("acme"), later.since(&next))]);
    assert_eq!(it.store.used(&tenant("acme")).unwrap(), later);
    // One of the same name that comes later has taken nothing.
    it.store.remove_tenant(&by(), &tenant("acme")).unwrap();
    it.store.make_tenant(&by(), &tenant("acme"), Terms::default()).unwrap();
    assert_eq!(it.store.used(&tenant("acme")).unwrap(), Used::default());
    assert_eq!(it.store.used(&tenant("other")).unwrap(), used(2));
}

#[test]
fn what_a_tenant_has_taken_is_told_by_its_quotas() {
    let it = Fixture::new();
    assert_eq!(it.store.taken(&tenant("acme")).unwrap(), Taken::default());
    assert!(matches!(it.store.taken(&tenant("nobody")), Err(StoreError::NotFound(_))));
    for name in ["a", "b"] {
        it.store.make_app(&by(), &app(name)).unwrap();
    }
    for (name, content) in [("a", "one"), ("a", "three"), ("b", "one")] {
        release(&it.store, &app(name), content, &[]).unwrap();
    }
    it.store.add_domain(&by(), &app("b"), &"b.example.com".parse().unwrap(), true).unwrap();
    let acme = tenant("acme");
    it.store.make_token(&by(), Some(&acme), "t", TokenScope::Read, None).unwrap();
    let now = chrono::Utc::now();
    let month = (chrono::Datelike::year(&now) - 1970) * 12;
    let month =
        u16::try_from(month).unwrap() + u16::try_from(chrono::Datelike::month0(&now)).unwrap();
    let day = u16::try_from(now.timestamp() / 86_400).unwrap();
    let used = Used { month, cpu_us: 7, day, log_bytes: 5, state_bytes: 4096 };
    it.store.add_used(&[(acme.clone(), used)]).unwrap();
    let taken = it.store.taken(&acme).unwrap();
    assert_eq!((taken.apps, taken.releases, taken.domains, taken.tokens), (2, 2, 1, 1));
    assert_eq!((taken.package_bytes, taken.storage_bytes), (5, 8));
    assert_eq!((taken.cpu_us, taken.log_bytes, taken.state_bytes), (7, 5, 4096));
    assert_eq!(it.store.taken(&tenant("other")).unwrap(), Taken::default());
    // What was of a month or a day that is over is not of this one.
    let later = Used { month: month + 1, day: day + 1, ..used };
    it.store.add_used(&[(acme.clone(), later)]).unwrap();
    let taken = it.store.taken(&acme).unwrap();
    assert_eq!((taken.cpu_us, taken.log_bytes, taken.state_bytes), (0, 0, 4096));
}

#[test]
fn a_tenant_has_a_process_of_its_own_where_there_is_room() {
    let it = Fixture::new();
    let isolate = |name: &str, isolation, own_processes| {
        let terms = Terms { isolation: Some(isolation), own_processes, ..Terms::default() };
        it.store.change_tenant(&by(), &tenant(name), terms)
    };
    it.store.make_app(&by(), &app("a")).unwrap();
    assert_eq!(it.store.tenant(&tenant("acme")).unwrap().isolation, Isolation::Shared);
    let before = it.store.generation().unwrap();
    let own = isolate("acme", Isolation::OwnProcess, 1).unwrap();
    assert_eq!(own.isolation, Isolation::OwnProcess);
    assert!(it.store.generation().unwrap() > before, "the node looks at its apps again");
    // It has it already.
    isolate("acme", Isolation::OwnProcess, 1).unwrap();
    let refused = isolate("other", Isolation::OwnProcess, 1).unwrap_err().to_string();
    assert!(refused.contains("1 tenants") && refused.contains("--own-processes"), "{refused}");
    let terms = Terms { isolation: Some(Isolation::OwnProcess), ..Terms::default() };
    assert!(it.store.make_tenant(&by(), &tenant("third"), terms).is_err());
    assert!(it.store.tenant(&tenant("third")).is_err(), "nothing of it is there");
    isolate("acme", Isolation::Shared, 1).unwrap();
    isolate("other", Isolation::OwnProcess, 1).unwrap();
    let log = it.store.audit(Some(&tenant("acme")), None, 10).unwrap();
    let said = log.iter().filter(|it| it.action == "tenant.isolate");
    let said: Vec<_> = said.map(|it| it.detail.as_deref().unwrap_or_default()).collect();
    assert_eq!(said, ["shared", "own-process"]);
}

#[test]
fn what_a_tenant_s_process_may_open_is_the_tenant_s() {
    let it = Fixture::new();
    it.store.make_app(&by(), &app("a")).unwrap();
    let state = it.folder.path().join("state");
    assert_eq!(it.store.state_folder(1, 1), state.join("apps/t1/1"));
    // As an earlier version had it.
    std::fs::create_dir(state.join("apps/1")).unwrap();
    assert_eq!(it.store.state_folder(1, 1), state.join("apps/1"));
    assert_eq!(it.store.state_folders(1).unwrap(), [state.join("apps/t1"), state.join("apps/1")]);
    assert_eq!(it.store.state_folders(2).unwrap(), [state.join("apps/t2")]);
    let release = crate::release(&it.store, &app("a"), "one", &[]).unwrap().id;
    // Nothing is there to be lent.
    it.store.lend(1, &release).unwrap();
    let folder = it.store.release_folder(&release);
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    std::fs::write(folder.join("assets/page"), "text").unwrap();
    it.store.lend(1, &release).unwrap();
    it.store.lend(1, &release).unwrap();
    let lent = it.store.own_releases(1).unwrap().join(release.digits());
    assert_eq!(std::fs::read_to_string(lent.join("assets/page")).unwrap(), "text");
    it.store.collect(std::time::Duration::ZERO).unwrap();
    assert!(lent.is_dir());
    it.store.remove_app(&by(), &app("a")).unwrap();
    it.store.collect(std::time::Duration::ZERO).unwrap();
    assert!(!lent.exists());
}
