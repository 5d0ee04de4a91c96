//! The way of an app, by the client.

use std::io::Write as _;

use dayfly_api::{
    Activate, ChangeSettings, Code, NewToken, Rollback, Scope, ServingState, Setting, Upload,
};

use crate::{Platform, app, package, send, tenant};

#[test]
fn an_app_is_deployed_and_rolled_back() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Deploy));
    let who = client.whoami().unwrap();
    assert_eq!((who.tenant, who.token.scope), (Some(tenant("acme")), Scope::Deploy));
    let id = app("shop");
    let made = client.make_app(&id).unwrap();
    assert_eq!(made.url.as_deref(), Some("https://shop.acme.apps.example/"));
    assert_eq!(made.active.state, ServingState::Idle);

    let (layer, manifest) = package(&["https://a.example"]);
    let missing = client.make_release(&id, manifest.clone()).unwrap_err();
    assert_eq!(missing.code(), Some(Code::MissingBlobs));
    let digests = missing.problem().unwrap().missing.clone();
    assert_eq!(client.missing(&id.tenant, &digests).unwrap(), digests);
    // From a file, with progress.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&layer).unwrap();
    let mut told = 0;
    client
        .send_blob(&id.tenant, &digests[0], Upload::File(file.path()), |sent| told = sent)
        .unwrap();
    assert_eq!(told, layer.len() as u64);
    assert!(client.missing(&id.tenant, &digests).unwrap().is_empty());
    let one = client.make_release(&id, manifest.clone()).unwrap();
    assert_eq!((one.created_by.as_str(), one.prepared.component_bytes), ("tests", 7));
    assert_eq!(client.make_release(&id, manifest).unwrap().created_at, one.created_at);

    let activate = |release: &dayfly_api::Release, accept, generation| {
        let activate =
            Activate { release: release.id.clone(), percent: 100, accept, health_path: None };
        client.activate(&id, &activate, generation)
    };
    let first = activate(&one, false, Some(made.active.generation)).unwrap();
    assert_eq!((first.state, first.shares[0].percent), (ServingState::Pending, 100));

    let (layer, manifest) = package(&["https://a.example", "https://b.example"]);
    send(&client, &layer).unwrap();
    let two = client.make_release(&id, manifest).unwrap();
    let asks = client.difference(&id, &two.id).unwrap();
    assert_eq!((asks.against.as_ref(), &*asks.asks[0].name), (Some(&one.id), "https://b.example"));
    let refused = activate(&two, false, None).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Grants));
    assert_eq!(refused.problem().unwrap().asks, asks.asks);
    assert!(refused.hint().unwrap().contains("--accept"));
    let stale = activate(&two, true, Some(made.active.generation)).unwrap_err();
    assert_eq!(stale.code(), Some(Code::Changed));
    activate(&two, true, Some(first.generation)).unwrap();
    let back = client.roll_back(&id, &Rollback::default(), None).unwrap();
    assert_eq!(back.shares[0].release, one.id);
    let listed = client.releases(&id, 10).unwrap();
    let listed: Vec<_> = listed.iter().map(|it| (&it.id, it.percent)).collect();
    assert_eq!(listed, [(&two.id, 0), (&one.id, 100)]);
    assert_eq!(client.releases(&id, 1).unwrap().len(), 1);
    assert_eq!(client.activation(&id).unwrap(), back);

    let log = platform.operator().audit(Some(&tenant("acme")), 3).unwrap();
    let said: Vec<_> = log.iter().map(|it| &*it.action).collect();
    assert_eq!(said, ["app.rollback", "app.activate", "release.make"]);
    assert_eq!(log[0].from.as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_secret_is_set_and_never_shown() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Admin));
    let id = app("shop");
    client.make_app(&id).unwrap();
    let setting = |name: &str, value: &str, secret| Setting {
        name: name.parse().unwrap(),
        secret,
        value: Some(value.to_owned()),
        set_at: None,
    };
    let set = vec![setting("TOKEN", "hidden", true), setting("level", "debug", false)];
    client.change_settings(&id, &ChangeSettings { set, unset: Vec::new() }).unwrap();
    let shown = client.settings(&id).unwrap();
    let shown: Vec<_> = shown.iter().map(|it| (it.name.as_str(), it.value.as_deref())).collect();
    assert_eq!(shown, [("TOKEN", None), ("level", Some("debug"))]);
    let log = client.audit(Some(&tenant("acme")), 100).unwrap();
    assert!(!format!("{log:?}").contains("hidden"));

    let domain = "www.example.com".parse().unwrap();
    let refused = client.add_domain(&id, &domain).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
    let given = vec!["*.example.com".parse().unwrap(), "*".parse().unwrap()];
    let change = dayfly_api::ChangeTenant { domains: Some(given), ..Default::default() };
    // Nobody gives a domain to themselves.
    let own = client.change_tenant(&tenant("acme"), &change, None).unwrap_err();
    assert_eq!(own.code(), Some(Code::NotFound));
    let changed = platform.operator().change_tenant(&tenant("acme"), &change, None).unwrap();
    assert_eq!(changed.domains.len(), 2);
    client.add_domain(&id, &domain).unwrap();
    assert_eq!(client.domains(&id).unwrap().len(), 1);
    for own in ["apps.example", "shop.other.apps.example", "x.apps.example"] {
        let refused = client.add_domain(&id, &own.parse().unwrap()).unwrap_err();
        assert_eq!(refused.code(), Some(Code::Conflict), "{own}");
    }
    client.remove_domain(&id, &"www.example.com".parse().unwrap()).unwrap();
    client.remove_app(&id).unwrap();
    assert_eq!(client.app(&id).unwrap_err().code(), Some(Code::NotFound));
}

#[test]
fn a_token_makes_none_that_allows_more() {
    let platform = Platform::new();
    let admin = platform.client(&platform.token("acme", Scope::Admin));
    let new =
        |scope, expires| NewToken { name: "ci".to_owned(), scope, expires_in_seconds: expires };
    let made = admin.make_token(Some(&tenant("acme")), &new(Scope::Deploy, Some(3600))).unwrap();
    assert!(made.token.expires_at.is_some() && !format!("{made:?}").contains(&made.text));
    let client = platform.client(&made.text);
    let refused = client.make_token(Some(&tenant("acme")), &new(Scope::Read, None)).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
    let expired = admin.make_token(Some(&tenant("acme")), &new(Scope::Admin, Some(0))).unwrap();
    let refused = platform.client(&expired.text).whoami().unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated));
    admin.remove_token(Some(&tenant("acme")), &made.token.id).unwrap();
    assert_eq!(client.whoami().unwrap_err().code(), Some(Code::Unauthenticated));
}

#[test]
fn long_lists_come_in_pages() {
    let platform = Platform::new();
    let client = platform.operator();
    for number in 0..105 {
        let quotas = dayfly_api::Quotas { apps: 1000, ..dayfly_api::Quotas::default() };
        if number == 0 {
            let change = dayfly_api::ChangeTenant { quotas: Some(quotas), ..Default::default() };
            client.change_tenant(&tenant("acme"), &change, None).unwrap();
        }
        client.make_app(&app(&format!("app-{number:03}"))).unwrap();
    }
    let names: Vec<_> =
        client.apps(&tenant("acme")).unwrap().iter().map(|it| it.name.to_string()).collect();
    let expected: Vec<_> = (0..105).map(|number| format!("app-{number:03}")).collect();
    assert_eq!(names, expected);
    let bearer = format!("Bearer {}", platform.operator);
    let page = |query: &str| {
        let path = format!("/v1/tenants/acme/apps?{query}");
        let headers = [("authorization", &*bearer)];
        platform.ask(http::Method::GET, &path, &headers, bytes::Bytes::new())
    };
    let first: serde_json::Value = serde_json::from_slice(&page("limit=2").body).unwrap();
    assert_eq!(first["next"], "app-001");
    assert_eq!(page("limit=0").status, 400);
    assert_eq!(page("limit=x").status, 400);
}
