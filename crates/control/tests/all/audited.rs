//! Every endpoint that changes something, asked to by the operator: the log of changes says then what was done,
//! by whom, and from where. One that is new has to be asked here, too.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dayfly_api::MANIFEST;
use http::Method;
use serde_json::{Value, json};

use crate::coverage::endpoints;
use crate::{Platform, package, send};

/// What leaves no line in the log, and why that is right.
const UNTOLD: [(&str, &str, &str); 2] = [
    ("POST", "/v1/tenants/{tenant}/blobs/missing", "it asks, and changes nothing"),
    (
        "PUT",
        "/v1/tenants/{tenant}/blobs/{digest}",
        "a blob is nobody's but a release's that names it, and that is told",
    ),
];

/// Somebody who changes one thing after the other.
struct Operator<'a> {
    platform: &'a Platform,
    /// What stands in paths for these names.
    names: BTreeMap<&'static str, String>,
    asked: BTreeSet<(String, String)>,
}

impl<'a> Operator<'a> {
    fn of(platform: &'a Platform) -> Self {
        let names = [
            ("{tenant}", "acme"),
            ("{app}", "shop"),
            ("{domain}", "www.example.com"),
            ("{preview}", "pr-12"),
        ];
        let names = names.map(|(name, value)| (name, value.to_owned())).into();
        Self { platform, names, asked: BTreeSet::new() }
    }

    /// Makes a change, which the log has to call `action`; what was answered.
    fn does(&mut self, action: &str, method: &str, path: &str, body: &Value) -> Value {
        self.sends(action, (method, path), ("application/json", body.to_string().into()))
    }

    fn sends(
        &mut self,
        action: &str,
        (method, path): (&str, &str),
        (kind, body): (&str, Bytes),
    ) -> Value {
        self.asked.insert((method.to_owned(), path.to_owned()));
        let filled = self.names.iter().fold(path.to_owned(), |it, (name, to)| it.replace(name, to));
        let bearer = format!("Bearer {}", self.platform.operator);
        let headers = [("authorization", &*bearer), ("content-type", kind)];
        let method: Method = method.parse().unwrap();
        let answer = self.platform.ask(method, &filled, &headers, body);
        assert!(answer.status < 300, "{filled}: {} {}", answer.status, answer.text());
        let log = self.platform.operator().audit(None, 1).unwrap();
        assert_eq!(log[0].action, action, "{filled}: {log:?}");
        assert_eq!(log[0].token_name.as_deref(), Some("operator"), "{log:?}");
        assert_eq!(log[0].from.as_deref(), Some("127.0.0.1"), "{log:?}");
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Makes a release of app `shop`; its digest.
    fn releases(&mut self, host: &str) -> String {
        let (layer, manifest) = package(&[host]);
        send(&self.platform.operator(), &layer).unwrap();
        let path = "/v1/tenants/{tenant}/apps/{app}/releases";
        let made = self.sends("release.make", ("POST", path), (MANIFEST, manifest));
        made["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn every_change_is_in_the_log_with_who_made_it_and_from_where() {
    let platform = Platform::new();
    let mut it = Operator::of(&platform);
    for tokens in ["/v1/tokens", "/v1/tenants/{tenant}/tokens"] {
        let new = json!({ "name": "ci", "scope": "read" });
        let made = it.does("token.make", "POST", tokens, &new);
        it.names.insert("{token}", made["id"].as_str().unwrap().to_owned());
        it.does("token.remove", "DELETE", &format!("{tokens}/{{token}}"), &json!({}));
    }
    let app = "/v1/tenants/{tenant}/apps/{app}";
    it.does("app.make", "PUT", app, &json!({}));
    for host in ["https://a.example", "https://b.example"] {
        let active = json!({ "release": it.releases(host), "accept": true });
        it.does("app.activate", "PUT", &format!("{app}/activation"), &active);
    }
    it.does("app.rollback", "POST", &format!("{app}/rollback"), &json!({}));
    let set = json!({ "set": [{ "name": "LEVEL", "value": "debug" }] });
    it.does("app.settings", "PATCH", &format!("{app}/settings"), &set);
    let domain = format!("{app}/domains/{{domain}}");
    it.does("domain.add", "PUT", &domain, &json!({}));
    let own = rcgen::generate_simple_self_signed(["www.example.com".to_owned()]).unwrap();
    let own = json!({ "chain": own.cert.pem(), "key": own.signing_key.serialize_pem() });
    it.does("certificate.upload", "PUT", &format!("{domain}/certificate"), &own);
    it.does("certificate.remove", "DELETE", &format!("{domain}/certificate"), &json!({}));
    it.does("domain.remove", "DELETE", &domain, &json!({}));
    let shown = json!({ "release": it.releases("https://c.example"), "accept": true });
    let preview = format!("{app}/previews/{{preview}}");
    it.does("preview.make", "PUT", &preview, &shown);
    it.does("preview.remove", "DELETE", &preview, &json!({}));
    it.does("app.remove", "DELETE", app, &json!({}));
    it.does("tenant.make", "POST", "/v1/tenants", &json!({ "name": "third" }));
    it.names.insert("{tenant}", "third".to_owned());
    let trusted = json!({ "grants": "accept" });
    it.does("tenant.grants", "PATCH", "/v1/tenants/{tenant}", &trusted);
    it.does("tenant.remove", "DELETE", "/v1/tenants/{tenant}", &json!({}));

    let is_untold = |method: &str, path: &str| {
        UNTOLD.iter().any(|(other, untold, _)| (*other, *untold) == (method, path))
    };
    for (method, path) in endpoints().into_iter().filter(|(method, _)| !method.is_safe()) {
        let is_told = it.asked.contains(&(method.to_string(), path.clone()));
        let text = "its change has to be in the log, or `UNTOLD` says why it is not";
        assert!(is_told != is_untold(method.as_str(), &path), "{method} {path}: {text}");
    }
}
