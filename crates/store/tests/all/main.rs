//! The store, on a real disk: what it keeps, what it refuses, and what is left after a `kill -9`.

mod answers;
mod apps;
mod backup;
mod blobs;
mod killed;
mod logs;
mod secrets;
mod tenants;
mod usage;
mod wanted;

use std::path::Path;

use dayfly_model::platform::{
    AppId, BlobDigest, Grants, Quotas, ReleaseId, ReleaseManifest, TenantId,
};
use dayfly_store::{
    Actor, Key, NewRelease, Offer, Prepared, Release, Result, Store, Terms, digest_of,
};
use tempfile::TempDir;

/// A store in a folder of its own, with the tenants `acme` and `other`.
struct Fixture {
    folder: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("state"));
        for name in ["acme", "other"] {
            store.make_tenant(&by(), &tenant(name), Terms::default()).unwrap();
        }
        Self { folder, store }
    }

    fn quotas(&self, name: &str, change: impl FnOnce(&mut Quotas)) {
        let mut quotas = self.store.tenant(&tenant(name)).unwrap().quotas;
        change(&mut quotas);
        let terms = Terms { quotas: Some(&quotas), ..Terms::default() };
        self.store.change_tenant(&by(), &tenant(name), terms).unwrap();
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, Key::parse(&"07".repeat(32)).unwrap()).unwrap()
}

fn by() -> Actor {
    Actor {
        token: Some("t1".to_owned()),
        name: Some("tests".to_owned()),
        source: Some("192.0.2.1".to_owned()),
    }
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn app(name: &str) -> AppId {
    AppId { tenant: tenant("acme"), app: name.parse().unwrap() }
}

/// Sends a blob of a tenant's.
fn send(store: &Store, owner: &str, bytes: &[u8]) -> Result<BlobDigest> {
    let digest: BlobDigest = digest_of(bytes).parse().unwrap();
    let mut blob = store.take_blob(&tenant(owner), &digest)?;
    blob.write(bytes)?;
    store.keep_blob(blob)?;
    Ok(digest)
}

/// A manifest of one layer.
fn manifest(content: &[u8]) -> String {
    let (digest, size) = (digest_of(content), content.len());
    format!(r#"{{"layers":[{{"mediaType":"x","digest":"{digest}","size":{size}}}]}}"#)
}

/// Makes a release of one layer, which is sent, that asks for these hosts.
fn release(store: &Store, id: &AppId, content: &str, hosts: &[&str]) -> Result<Release> {
    send(store, id.tenant.as_str(), content.as_bytes())?;
    record(store, id, content, hosts)
}

/// The same of a layer that may not be there.
fn record(store: &Store, id: &AppId, content: &str, hosts: &[&str]) -> Result<Release> {
    record_as(store, id, content, hosts, &Prepared::default())
}

/// The same, which came to this.
fn record_as(
    store: &Store,
    id: &AppId,
    content: &str,
    hosts: &[&str],
    prepared: &Prepared,
) -> Result<Release> {
    let text = manifest(content.as_bytes());
    let digest: ReleaseId = digest_of(text.as_bytes()).parse().unwrap();
    let mut grants = Grants::default();
    let component = grants.components.entry("a".to_owned()).or_default();
    let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
    component.may_use.insert("host".to_owned(), hosts);
    let new = NewRelease {
        id: &digest,
        text: text.as_bytes(),
        manifest: &ReleaseManifest::parse(text.as_bytes()).unwrap(),
        version: "1.0.0",
        grants: &grants,
        prepared,
    };
    store.make_release(&by(), id, &new)
}

/// A release that is to be served as it was looked at before.
fn offer(release: &ReleaseId, accept: bool) -> Offer<'_> {
    Offer { release, accept, health_path: None }
}
