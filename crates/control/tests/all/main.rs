//! The admin API, asked as clients ask it. Releases are made ready by a preparer that reads what they
//! ask for from their only layer; the one that compiles is tested with the binary.

mod audited;
mod coverage;
mod description;
mod fair;
mod flow;
mod logs;
mod making;
mod refusals;
mod repeated;
mod seen;
mod usage;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use dayfly_api::{
    AppId, BlobDigest, Client, MANIFEST, NewTenant, NewToken, Scope, Secret, TenantId, Upload,
};
use dayfly_control::{Control, ControlConfig, PrepareError, Preparer, Ready};
use dayfly_model::platform::{AppName, ArtifactStore as _, Grants, ReleaseId, ReleaseManifest};
use dayfly_store::{Key, Keyed, Store, digest_of};
use dayfly_testing::{Answer, Body};
use http::Method;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A control plane with the tenants `acme` and `other`.
struct Platform {
    folder: TempDir,
    address: SocketAddr,
    runtime: Runtime,
    operator: String,
    /// Held by a node.
    serving: Option<std::fs::File>,
}

/// Reads what a release asks for from its only layer, as JSON.
struct Layers(Arc<Store>);

impl Preparer for Layers {
    fn prepare(
        &self,
        _: &AppName,
        _: &ReleaseId,
        text: &[u8],
        room_bytes: Option<u64>,
    ) -> Result<Ready, PrepareError> {
        let odd = |error: &dyn std::error::Error| PrepareError::Unservable(error.to_string());
        let manifest = ReleaseManifest::parse(text).map_err(|error| odd(&error))?;
        let digest = manifest.blobs().into_keys().next().expect("a layer").clone();
        let layer = self.0.blob(&digest).expect("a store").expect("a blob");
        let layer = std::fs::read(layer).map_err(|error| odd(&error))?;
        let grants: Grants = serde_json::from_slice(&layer).map_err(|error| odd(&error))?;
        let (version, bytes) = ("1".to_owned(), layer.len() as u64);
        match room_bytes.is_some_and(|room| bytes > room) {
            true => Err(PrepareError::NoRoom(bytes)),
            false => Ok(Ready {
                version,
                grants,
                components: 1,
                component_bytes: 7,
                laid_out_bytes: bytes,
                stands_in: false,
            }),
        }
    }
}

/// How long followers of logs may take nothing.
const PATIENCE: Duration = Duration::from_secs(3);

impl Platform {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::parse(&"07".repeat(32)).unwrap();
        let store = Arc::new(Store::open(&folder.path().join("state"), key).unwrap());
        let operator = Control::begin(&store, false).unwrap().unwrap().as_str().to_owned();
        assert!(Control::begin(&store, true).unwrap().is_none());
        let serving = Some(store.serve().unwrap());
        let config = ControlConfig {
            base_domain: "apps.example".to_owned(),
            reached_by: Some(("https".to_owned(), None)),
            workers: 1,
            own_processes: 1,
            acme: None,
            follower_patience: PATIENCE,
        };
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let control = Control::new(store.clone(), Arc::new(Layers(store)), config);
        runtime.spawn(control.serve(listener));
        let platform = Self { folder, address, runtime, operator, serving };
        for name in ["acme", "other"] {
            let new = NewTenant {
                name: name.parse().unwrap(),
                quotas: None,
                grants: dayfly_api::GrantPolicy::Ask,
                domains: Vec::new(),
                isolation: dayfly_api::Isolation::Shared,
            };
            platform.operator().make_tenant(&new).unwrap();
        }
        platform
    }

    /// Its store, as the node has it.
    fn store(&self) -> Store {
        let key = Key::parse(&"07".repeat(32)).unwrap();
        Store::open(&self.folder.path().join("state"), key).unwrap()
    }

    /// Has nobody else write into its store as long as `work` takes.
    fn while_held<T>(&self, work: impl FnOnce() -> T) -> T {
        let store = self.store();
        let (held, is_held) = channel();
        let (release, is_released) = channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let key = "held".to_owned();
                let keyed = Keyed { token: key.clone(), key, request: Vec::new() };
                let hold = |_: &Store| {
                    held.send(()).unwrap();
                    let _ = is_released.recv();
                    Ok(Vec::new().into())
                };
                store.once(&keyed, hold).unwrap();
            });
            is_held.recv().unwrap();
            let done = work();
            drop(release);
            done
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self, token: &str) -> Client {
        Client::new(&self.url(), Some(Secret(token.to_owned()))).unwrap()
    }

    fn operator(&self) -> Client {
        self.client(&self.operator)
    }

    /// The text of a token of a tenant's.
    fn token(&self, owner: &str, scope: Scope) -> String {
        let new = NewToken { name: "tests".to_owned(), scope, expires_in_seconds: None };
        self.operator().make_token(Some(&tenant(owner)), &new).unwrap().text
    }

    /// The answer to a request as it stands.
    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let client = dayfly_testing::Client::http1(&self.url());
        let mut request = client.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(client.send(request.body(Body::full(body))))
    }
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn app(name: &str) -> AppId {
    AppId { tenant: tenant("acme"), app: name.parse().unwrap() }
}

/// A release that asks for these hosts: its layer, and its manifest.
fn package(hosts: &[&str]) -> (Bytes, Bytes) {
    let layer = format!(
        r#"{{"components":{{"a":{{"may_use":{{"host":{hosts:?}}},"limits":{{}}}}}},"triggers":["http"]}}"#
    );
    let (digest, size) = (digest_of(layer.as_bytes()), layer.len());
    let manifest = format!(
        r#"{{"mediaType":"{MANIFEST}","layers":[{{"mediaType":"x","digest":"{digest}","size":{size}}}]}}"#
    );
    (layer.into(), manifest.into())
}

/// Sends a layer.
fn send(client: &Client, layer: &Bytes) -> Result<(), dayfly_api::ClientError> {
    let digest: BlobDigest = digest_of(layer).parse().unwrap();
    client.send_blob(&tenant("acme"), &digest, Upload::Bytes(layer.clone()), |_| ())
}

/// The file of the API's description.
fn description() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}
