//! Every endpoint of the description, asked by nobody, by a wrong token, by another tenant, and by a
//! token that may only read. An endpoint that is new is asked, too, because it is in the description;
//! one whose path names no tenant has to be listed here with what a tenant's token gets.

use std::collections::BTreeMap;

use bytes::Bytes;
use dayfly_api::Scope;
use http::Method;
use serde_json::Value;

use crate::Platform;

/// Without a tenant in the path: what the admin of a tenant is answered.
const OTHERS: [(&str, &str, u16); 10] = [
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/health", 204),
    ("GET", "/v1/ready", 204),
    ("GET", "/v1/whoami", 200),
    ("GET", "/v1/tenants", 200),
    ("POST", "/v1/tenants", 404),
    ("GET", "/v1/tokens", 404),
    ("POST", "/v1/tokens", 404),
    ("DELETE", "/v1/tokens/{token}", 404),
    ("GET", "/v1/audit", 404),
];

/// What is told to everybody.
const PUBLIC: [&str; 3] = ["/openapi.json", "/v1/health", "/v1/ready"];

/// All that the description has.
pub(crate) fn endpoints() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&dayfly_control::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if let Ok(method) = method.to_uppercase().parse::<Method>()
                && method.as_str().chars().all(|c| c.is_ascii_uppercase())
            {
                found.push((method, path.clone()));
            }
        }
    }
    assert!(found.len() >= 30, "{found:?}");
    found
}

/// A path with names in it; a body that its endpoint understands.
fn filled(path: &str) -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    let names = [
        ("{tenant}", "acme"),
        ("{app}", "shop"),
        ("{token}", "0011223344556677"),
        ("{domain}", "www.example.com"),
        ("{preview}", "pr-12"),
        ("{release}", &digest),
        ("{digest}", &digest),
    ];
    names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

fn body(method: &Method, path: &str) -> (&'static str, Bytes) {
    let digest = format!("sha256:{}", "0".repeat(64));
    let json = match (method.as_str(), path.rsplit('/').next().unwrap()) {
        ("POST", "tenants") => r#"{"name":"third"}"#.to_owned(),
        ("POST", "tokens") => r#"{"name":"x","scope":"read"}"#.to_owned(),
        ("POST", "missing") => r#"{"digests":[]}"#.to_owned(),
        ("PUT", "activation") => format!(r#"{{"release":"{digest}"}}"#),
        ("PUT", "{preview}") => format!(r#"{{"release":"{digest}"}}"#),
        ("PUT", "certificate") => r#"{"chain":"","key":""}"#.to_owned(),
        ("POST", "releases") => return (dayfly_api::MANIFEST, r#"{"layers":[]}"#.into()),
        ("PUT", "{digest}") => return ("application/octet-stream", Bytes::new()),
        _ => "{}".to_owned(),
    };
    ("application/json", json.into())
}

/// What each endpoint answers to a token.
fn answers(platform: &Platform, token: Option<&str>) -> BTreeMap<(String, String), u16> {
    let mut found = BTreeMap::new();
    let bearer = token.map(|token| format!("Bearer {token}"));
    for (method, path) in endpoints() {
        let (content_type, body) = body(&method, &path);
        let mut headers = vec![("content-type", content_type)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let answer = platform.ask(method.clone(), &filled(&path), &headers, body);
        let is_problem =
            answer.status < 400 || answer.headers["content-type"] == "application/problem+json";
        assert!(is_problem, "{method} {path}: {}", answer.text());
        for header in ["cache-control", "content-security-policy", "x-content-type-options"] {
            assert!(answer.headers.contains_key(header), "{method} {path}: {header}");
        }
        found.insert((method.to_string(), path), answer.status);
    }
    found
}

#[test]
fn nobody_is_answered_without_a_token() {
    let platform = Platform::new();
    for ((method, path), status) in answers(&platform, None) {
        let expected = if PUBLIC.contains(&&*path) { 200..=204 } else { 401..=401 };
        assert!(expected.contains(&status), "{method} {path}: {status}");
    }
}

#[test]
fn what_another_tenant_has_is_not_there() {
    let platform = Platform::new();
    let client = platform.operator();
    client.make_app(&crate::app("shop")).unwrap();
    let token = platform.token("other", Scope::Admin);
    for ((method, path), status) in answers(&platform, Some(&token)) {
        if path.contains("{tenant}") {
            assert_eq!(status, 404, "{method} {path}");
            continue;
        }
        let listed = OTHERS.iter().find(|(m, p, _)| (*m, *p) == (&*method, &*path));
        let (.., expected) = listed.unwrap_or_else(|| panic!("{method} {path} is not listed"));
        assert_eq!(status, *expected, "{method} {path}");
    }
    // Of the list of tenants, it sees its own.
    let own = platform.client(&token).tenants().unwrap();
    assert_eq!(own.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn a_token_that_reads_changes_nothing() {
    let platform = Platform::new();
    platform.operator().make_app(&crate::app("shop")).unwrap();
    let token = platform.token("acme", Scope::Read);
    for ((method, path), status) in answers(&platform, Some(&token)) {
        let is_own = path.contains("{tenant}");
        if is_own && method != "GET" {
            // A tenant itself is the operator's to change.
            let expected = if path.ends_with("{tenant}") { 404 } else { 403 };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    assert!(platform.operator().app(&crate::app("shop")).is_ok());
}

#[test]
fn what_is_not_there_is_a_problem_like_any_other() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    for path in ["/", "/v1", "/v1/nothing", "/v1/tenants/NO", "/v1/tenants/acme/apps/.."] {
        let answer = platform.ask(Method::GET, path, &[("authorization", &bearer)], Bytes::new());
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[test]
fn it_is_ready_while_a_node_serves() {
    let mut platform = Platform::new();
    let ask = |platform: &Platform| platform.ask(Method::GET, "/v1/ready", &[], Bytes::new());
    assert_eq!(ask(&platform).status, 204);
    platform.serving = None;
    let answer = ask(&platform);
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text());
}
