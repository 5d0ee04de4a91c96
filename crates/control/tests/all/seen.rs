//! Whoever changes something may say what they have seen of it (`If-Match`), and overwrites nothing else.

use bytes::Bytes;
use dayfly_api::{ChangeTenant, Code, Scope};
use http::Method;
use serde_json::{Value, json};

use crate::{Platform, app, package, send, tenant};

/// What is put without `If-Match`, and why that is right.
const WITHOUT: [(&str, &str, &str); 4] = [
    (
        "PUT",
        "/v1/tenants/{tenant}/apps/{app}",
        "makes one, or nothing: there is nothing to replace",
    ),
    (
        "PUT",
        "/v1/tenants/{tenant}/apps/{app}/domains/{domain}",
        "adds one, or nothing: there is nothing to replace",
    ),
    (
        "PUT",
        "/v1/tenants/{tenant}/apps/{app}/domains/{domain}/certificate",
        "is whole by itself: nothing of the former one is in it that somebody could have changed",
    ),
    ("PUT", "/v1/tenants/{tenant}/blobs/{digest}", "is named by what it is: it is never another"),
];

/// The endpoints that replace something, and whether each takes `If-Match`, and says when it does not match.
fn replacing() -> Vec<(String, String, bool)> {
    let document: Value = serde_json::from_str(&dayfly_control::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["put", "patch"] {
            let Some(endpoint) = item.get(method) else { continue };
            let parameters = endpoint["parameters"].as_array().unwrap().iter();
            let mut names = parameters.filter(|it| it["in"] == "header").map(|it| &it["name"]);
            let takes = names.any(|name| name == "if-match");
            let says = endpoint["responses"].get("412").is_some();
            assert_eq!(takes, says, "{method} {path}");
            found.push((method.to_uppercase(), path.clone(), takes));
        }
    }
    found
}

#[test]
fn whatever_replaces_something_takes_if_match() {
    let all = replacing();
    let is_excepted = |method: &str, path: &str| {
        WITHOUT.iter().any(|(other, without, _)| (*other, *without) == (method, path))
    };
    for (method, path, takes) in &all {
        let is_excepted = is_excepted(method, path);
        assert!(
            *takes != is_excepted,
            "{method} {path}: it either takes `If-Match`, or `WITHOUT` says why it does not"
        );
    }
    for (method, path, _) in WITHOUT {
        let is_there = all.iter().any(|(other, there, _)| (&**other, &**there) == (method, path));
        assert!(is_there, "{method} {path} is excepted, and there is no such endpoint");
    }
    assert_eq!(all.iter().filter(|(_, _, takes)| *takes).count(), 4, "{all:?}");
}

#[test]
fn who_gives_a_domain_takes_none_back_that_another_gave_meanwhile() {
    let platform = Platform::new();
    let operator = platform.operator();
    let give = |names: &[&str], seen: &str| {
        let domains = Some(names.iter().map(|it| it.parse().unwrap()).collect());
        let change = ChangeTenant { domains, ..Default::default() };
        operator.change_tenant(&tenant("acme"), &change, Some(seen))
    };
    let seen = operator.tenant(&tenant("acme")).unwrap().version;
    let first = give(&["a.example"], &seen).unwrap();
    assert_ne!(first.version, seen);
    let late = give(&["b.example"], &seen).unwrap_err();
    assert_eq!(late.code(), Some(Code::Changed), "{late}");
    assert!(late.to_string().contains("tenant `acme` has changed since it was read"), "{late}");
    let found = operator.tenant(&tenant("acme")).unwrap();
    assert_eq!((&found.domains, &found.version), (&first.domains, &first.version));
    // What else becomes of the tenant is no change of it.
    operator.make_app(&app("shop")).unwrap();
    give(&["a.example", "b.example"], &first.version).unwrap();
}

#[test]
fn what_somebody_else_has_changed_since_stays_as_it_is() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Deploy));
    let made = client.make_app(&app("shop")).unwrap();
    let (layer, manifest) = package(&[]);
    send(&client, &layer).unwrap();
    let release = client.make_release(&app("shop"), manifest).unwrap().id;
    let bearer = format!("Bearer {}", platform.token("acme", Scope::Deploy));
    let ask = |method: Method, path: &str, tag: &str, body: &Value| {
        let headers =
            [("authorization", &*bearer), ("content-type", "application/json"), ("if-match", tag)];
        let path = format!("/v1/tenants/acme/apps/shop/{path}");
        platform.ask(method, &path, &headers, Bytes::from(body.to_string()))
    };
    let setting = json!({ "set": [{ "name": "level", "value": "debug" }], "unset": [] });
    let preview = json!({ "release": release });
    for (method, path, body) in
        [(Method::PATCH, "settings", &setting), (Method::PUT, "previews/next", &preview)]
    {
        if path == "settings" {
            let tag = format!("\"{}\"", made.active.generation);
            assert_eq!(ask(method.clone(), path, &tag, body).status, 200);
        } else {
            // There is none that could have been seen.
            assert_eq!(ask(method.clone(), path, "\"1\"", body).status, 404);
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let path = format!("/v1/tenants/acme/apps/shop/{path}");
            let body = Bytes::from(body.to_string());
            assert_eq!(platform.ask(method.clone(), &path, &headers, body).status, 200);
        }
        let stale = format!("\"{}\"", made.active.generation);
        let refused = ask(method.clone(), path, &stale, body);
        assert_eq!(refused.status, 412, "{path}: {}", refused.text());
        for odd in ["*", "1", "W/\"1\"", "\"1\", \"2\"", "\"x\""] {
            assert_eq!(ask(method.clone(), path, odd, body).status, 400, "{path} {odd}");
        }
    }
    let shown = ask(Method::GET, "previews/next", "\"1\"", &json!({}));
    let tag = shown.header("etag").to_owned();
    assert_eq!(ask(Method::PUT, "previews/next", &tag, &preview).status, 200);
}
