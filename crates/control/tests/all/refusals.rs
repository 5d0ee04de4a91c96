//! What is hostile, wrong or too much.

use bytes::Bytes;
use dayfly_api::{Client, ClientError, Code, Scope, Secret};
use dayfly_store::digest_of;
use http::Method;

use crate::{Platform, app, package, send};

fn code(body: &[u8]) -> Code {
    let problem: dayfly_api::Problem = serde_json::from_slice(body).unwrap();
    assert_eq!(problem.kind, format!("urn:dayfly:problem:{}", problem.code.as_str()));
    assert_eq!(problem.status, problem.code.status());
    problem.code
}

#[test]
fn whoever_guesses_tokens_has_to_wait() {
    let platform = Platform::new();
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        platform.ask(Method::GET, "/v1/whoami", &[("authorization", &bearer)], Bytes::new())
    };
    for number in 0..20 {
        assert_eq!(ask(&format!("dayfly_{number:016}_{}", "a".repeat(43))).status, 401);
    }
    let limited = ask("dayfly_x");
    assert_eq!((limited.status, code(&limited.body)), (429, Code::RateLimited));
    let wait: u32 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    // Whoever has a valid one at that address is not locked out, and frees nobody else.
    assert_eq!(ask(&platform.operator).status, 200);
    assert_eq!(ask("dayfly_x").status, 429);
}

#[test]
fn two_authorizations_are_none() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    let both = [("authorization", &*bearer), ("authorization", "Bearer x")];
    assert_eq!(platform.ask(Method::GET, "/v1/whoami", &both, Bytes::new()).status, 401);
    let odd = [("authorization", &*format!("Basic {}", platform.operator))];
    assert_eq!(platform.ask(Method::GET, "/v1/whoami", &odd, Bytes::new()).status, 401);
}

#[test]
fn bodies_are_bounded_and_are_what_they_have_to_be() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    let post = |content_type: &str, body: Bytes| {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        platform.ask(Method::POST, "/v1/tenants", &headers, body)
    };
    let long = post("application/json", vec![b' '; (2 << 20) + 1].into());
    assert_eq!((long.status, code(&long.body)), (413, Code::TooLarge));
    assert_eq!(post("text/plain", "{}".into()).status, 400);
    assert_eq!(post("application/json", "{".into()).status, 400);
    assert_eq!(post("application/json", r#"{"name":"x","odd":1}"#.into()).status, 400);
    let named = post("application/json", r#"{"name":"../x"}"#.into());
    assert!(named.text().contains("is no name of a tenant"), "{}", named.text());
}

#[test]
fn blobs_are_what_they_are_called_or_refused() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    let put = |digest: &str, body: &'static str| {
        let path = format!("/v1/tenants/acme/blobs/{digest}");
        let answer = platform.ask(Method::PUT, &path, &[("authorization", &bearer)], body.into());
        (answer.status, answer)
    };
    let (status, answer) = put(&digest_of(b"bytes"), "other");
    assert_eq!((status, code(&answer.body)), (400, Code::Digest));
    assert_eq!(put(&digest_of(b"bytes"), "bytes").0, 204);
    for odd in ["sha256:../../x", "sha256:00", "..%2f..%2fx"] {
        assert_eq!(put(odd, "bytes").0, 404, "{odd}");
    }
    let quotas = dayfly_api::Quotas { storage_bytes: 8, ..Default::default() };
    let change = dayfly_api::ChangeTenant { quotas: Some(quotas), ..Default::default() };
    platform.operator().change_tenant(&crate::tenant("acme"), &change, None).unwrap();
    let (status, answer) = put(&digest_of(b"more"), "more");
    assert_eq!((status, code(&answer.body)), (403, Code::Quota));
    assert!(answer.text().contains("may have 8 of `storage_bytes`, and would have 9"));
}

#[test]
fn a_release_that_cannot_be_served_says_why() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Deploy));
    client.make_app(&app("shop")).unwrap();
    let layer = Bytes::from("no grants");
    send(&client, &layer).unwrap();
    let manifest =
        format!(r#"{{"layers":[{{"mediaType":"x","digest":"{}","size":9}}]}}"#, digest_of(&layer));
    let refused = client.make_release(&app("shop"), manifest.into()).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unservable));
    let refused = client.make_release(&app("shop"), "[]".into()).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Invalid));
    assert!(client.releases(&app("shop"), 10).unwrap().is_empty());
    let size = r#"{"layers":[{"mediaType":"x","digest":"DIGEST","size":8}]}"#;
    let size = size.replace("DIGEST", &digest_of(&layer));
    let refused = client.make_release(&app("shop"), size.into()).unwrap_err();
    assert!(refused.to_string().contains("has 9 bytes, and the manifest says 8"), "{refused}");
    // One that is of an app that is not there is not made ready.
    let (layer, manifest) = package(&[]);
    send(&client, &layer).unwrap();
    let refused = client.make_release(&app("none"), manifest).unwrap_err();
    assert_eq!(refused.code(), Some(Code::NotFound));
}

#[test]
fn a_release_that_there_is_no_room_for_says_how_much_it_would_be() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Deploy));
    client.make_app(&app("shop")).unwrap();
    let (layer, manifest) = package(&[]);
    send(&client, &layer).unwrap();
    // As it was sent, and as it is laid out.
    let needed = 2 * layer.len() as u64;
    let allow = |storage_bytes| {
        let quotas = dayfly_api::Quotas { storage_bytes, ..Default::default() };
        let change = dayfly_api::ChangeTenant { quotas: Some(quotas), ..Default::default() };
        platform.operator().change_tenant(&crate::tenant("acme"), &change, None).unwrap();
    };
    allow(needed - 1);
    let refused = client.make_release(&app("shop"), manifest.clone()).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Quota));
    let text = format!("may have {} of `storage_bytes`, and would have {needed}", needed - 1);
    assert!(refused.to_string().contains(&text), "{refused}");
    assert!(client.releases(&app("shop"), 10).unwrap().is_empty());
    allow(needed);
    client.make_release(&app("shop"), manifest).unwrap();
    let stored = platform.operator().tenant(&crate::tenant("acme")).unwrap().storage_bytes;
    assert_eq!(stored, needed);
}

#[test]
fn the_same_key_does_it_once() {
    let platform = Platform::new();
    let bearer = format!("Bearer {}", platform.operator);
    let post = |key: &str, name: &str| {
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = format!(r#"{{"name":"{name}","scope":"read"}}"#);
        platform.ask(Method::POST, "/v1/tokens", &headers, body.into())
    };
    let first = post("one", "a");
    assert_eq!(first.status, 201);
    let again = post("one", "a");
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.headers["content-type"], "application/json");
    assert_ne!(post("two", "a").body, first.body);
    let other = post("one", "b");
    assert_eq!((other.status, code(&other.body)), (422, Code::Idempotency));
    assert_eq!(post(&"x".repeat(201), "a").status, 400);
    // What failed is tried again.
    assert_eq!(post("three", "").status, 400);
    assert_eq!(post("three", "c").status, 201);
}

#[test]
fn a_token_goes_nowhere_without_encryption() {
    let client = Client::new("http://192.0.2.1:3001", Some(Secret("x".to_owned())));
    assert!(matches!(client.map(drop), Err(ClientError::Insecure { .. })));
    let client = Client::new("http://127.0.0.1:1", Some(Secret("x".to_owned()))).unwrap();
    let failed = client.whoami().unwrap_err();
    assert!(matches!(failed, ClientError::Connect(_)));
    assert!(failed.hint().unwrap().contains("dayfly serve"));
}

#[test]
fn a_domain_that_a_tenant_was_not_given_is_refused_with_how_to_mend_it() {
    let platform = Platform::new();
    let (operator, acme, other) = (
        platform.operator(),
        platform.client(&platform.token("acme", Scope::Admin)),
        platform.client(&platform.token("other", Scope::Admin)),
    );
    let theirs = dayfly_api::AppId { tenant: crate::tenant("other"), ..app("shop") };
    operator.make_app(&app("shop")).unwrap();
    operator.make_app(&theirs).unwrap();
    let give = |owner: &str, domain: &str| {
        let domains = Some(vec![domain.parse().unwrap()]);
        let change = dayfly_api::ChangeTenant { domains, ..Default::default() };
        operator.change_tenant(&crate::tenant(owner), &change, None).unwrap();
    };
    give("acme", "*.acme.example");
    give("other", "*.other.example");
    let domain = |name: &str| name.parse().unwrap();
    acme.add_domain(&app("shop"), &domain("www.acme.example")).unwrap();
    // One that is there, and one that is not, are refused alike.
    for name in ["www.acme.example", "new.acme.example", "acme.example", "www.example.com"] {
        let ClientError::Problem(refused) = other.add_domain(&theirs, &domain(name)).unwrap_err()
        else {
            panic!("{name}: no problem")
        };
        assert_eq!((refused.code, refused.status), (Code::Forbidden, 403));
        assert_eq!(
            refused.detail.unwrap(),
            format!(
                "tenant `other` was not given the domain `{name}`: it was given `*.other.example`"
            )
        );
        let hint = refused.hint.unwrap();
        assert!(hint.contains(&format!("`dayfly tenants change other --domain {name}`")), "{hint}");
    }
    // The operator adds what they like, but what is another's.
    operator.add_domain(&theirs, &domain("www.example.com")).unwrap();
    let taken = operator.add_domain(&theirs, &domain("www.acme.example")).unwrap_err();
    assert_eq!(taken.code(), Some(Code::Conflict));
    let shown = other.tenant(&crate::tenant("other")).unwrap();
    assert_eq!(shown.used.unwrap().domains, 1);
    assert!(other.tenants().unwrap()[0].used.is_none(), "lists are short");
}
