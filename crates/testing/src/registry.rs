//! A real registry of OCI artifacts (Debian's `docker-registry`), and packages in it as `wkg` lays
//! them out.

use std::process::Stdio;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::client::{Answer, Client};
use crate::lines::Lines;
use crate::program::program;

/// A line of `htpasswd`: the user `tester` with the password `secret`.
const USERS: &str = "tester:$2b$04$ftsxXZFIl4CVJKsgw2N2mu8WSvRdI9k3PtNa3VyGNQlB0BiGaJLce\n";

/// A registry on a free port of this machine, empty at first. Killed when dropped.
pub struct Registry {
    _child: Child,
    _folder: TempDir,
    host: String,
    log: Lines,
    client: Client,
    /// What follows `Basic`, if it wants to see that.
    credentials: Option<&'static str>,
}

impl Registry {
    /// A registry that everybody may read and write.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One that wants to see the credentials [`Self::credentials`].
    pub async fn start_closed() -> Self {
        Self::start_with(Some("dGVzdGVyOnNlY3JldA==")).await
    }

    async fn start_with(credentials: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (users, config) = (folder.path().join("users"), folder.path().join("config.json"));
        std::fs::write(&users, USERS).expect("a new file");
        let mut settings = json!({
            "version": "0.1",
            "log": { "level": "info" },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("data") } },
            "http": { "addr": "127.0.0.1:0", "secret": "none" },
        });
        if credentials.is_some() {
            settings["auth"] = json!({ "htpasswd": { "realm": "test", "path": users } });
        }
        // JSON is YAML, too.
        std::fs::write(&config, settings.to_string()).expect("a new file");
        let mut child = program("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let lines = Lines::collect(child.stderr.take().expect("a pipe"));
        let line = lines.containing("listening on 127.0.0.1:").await;
        let (_, rest) = line.split_once("listening on ").expect("the line says where");
        let host = rest.split('"').next().expect("an address").to_owned();
        let client = Client::http1(&format!("http://{host}"));
        Self { _child: child, _folder: folder, host, log: lines, client, credentials }
    }

    /// Its address and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How many requests of a method it has answered.
    pub fn answered(&self, method: &str) -> usize {
        let method = format!("http.request.method={method} ");
        let lines = self.log.all();
        let answers = lines.iter().filter(|line| line.contains("response completed"));
        answers.filter(|line| line.contains(&method)).count()
    }

    /// A Docker configuration with credentials for it.
    pub fn docker_config(&self) -> String {
        json!({ "auths": { &self.host: { "auth": self.credentials } } }).to_string()
    }

    /// Puts a version of a package into it: `repository` is `NAMESPACE/NAME`.
    ///
    /// # Panics
    /// If it does not take it.
    pub async fn push(&self, repository: &str, version: &str, wasm: &[u8]) {
        self.push_as(repository, version, &[("application/wasm", wasm)]).await;
    }

    /// The same with layers of any kind.
    ///
    /// # Panics
    /// If it does not take it.
    pub async fn push_as(&self, repository: &str, version: &str, layers: &[(&str, &[u8])]) {
        let config = json!({ "architecture": "wasm", "os": "wasip2" }).to_string();
        let config = ("application/vnd.wasm.config.v0+json", config.as_bytes());
        self.push_with(repository, version, config, layers).await;
    }

    /// The same with a config of any kind.
    ///
    /// # Panics
    /// If it does not take it.
    pub async fn push_with(
        &self,
        repository: &str,
        version: &str,
        (kind, config): (&str, &[u8]),
        layers: &[(&str, &[u8])],
    ) {
        let config = self.blob(repository, kind, config).await;
        let mut described = Vec::new();
        for (kind, bytes) in layers {
            described.push(self.blob(repository, kind, bytes).await);
        }
        self.manifest(repository, version, config, described).await;
    }

    async fn manifest(&self, repository: &str, tag: &str, config: Value, layers: Vec<Value>) {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.send(Method::PUT, &path, kind, manifest.to_string().as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Puts signatures of a manifest beside it, as `cosign` does: payloads, and what signs them.
    ///
    /// # Panics
    /// If it does not take them.
    pub async fn sign(&self, repository: &str, digest: &str, signed: &[(&str, &str)]) {
        let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
        let mut layers = Vec::new();
        for (payload, signature) in signed {
            let mut layer = self.blob(repository, kind, payload.as_bytes()).await;
            layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
            layers.push(layer);
        }
        let config = self.blob(repository, "application/vnd.oci.image.config.v1+json", b"{}");
        let tag = format!("{}.sig", digest.replace("sha256:", "sha256-"));
        self.manifest(repository, &tag, config.await, layers).await;
    }

    /// The manifest of a version, and its blobs by their kinds.
    ///
    /// # Panics
    /// If it has none.
    pub async fn pulled(&self, repository: &str, version: &str) -> Vec<(String, Vec<u8>)> {
        let path = format!("/v2/{repository}/manifests/{version}");
        let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
        let answer = self.client.get_with(&path, &accept).await;
        let manifest: Value = serde_json::from_str(&answer.text()).expect("a manifest");
        let layers = manifest["layers"].as_array().expect("a list").clone();
        let mut blobs = Vec::new();
        for blob in [vec![manifest["config"].clone()], layers].concat() {
            let text = |key: &str| blob[key].as_str().expect("a text").to_owned();
            let path = format!("/v2/{repository}/blobs/{}", text("digest"));
            let bytes = self.client.get(&path).await.body;
            blobs.push((text("mediaType"), bytes.to_vec()));
        }
        blobs
    }

    /// Uploads a blob; the descriptor of it.
    async fn blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.send(Method::POST, &path, "application/octet-stream", b"").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let place = answer.header("location");
        let place = place.strip_prefix(self.client.base()).unwrap_or(place);
        let join = if place.contains('?') { '&' } else { '?' };
        let path = format!("{place}{join}digest=sha256:{digest}");
        let answer = self.send(Method::PUT, &path, "application/octet-stream", bytes).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    }

    async fn send(&self, method: Method, path: &str, kind: &str, bytes: &[u8]) -> Answer {
        let mut request = self.client.request(method, path).header("content-type", kind);
        if let Some(credentials) = self.credentials {
            request = request.header("authorization", format!("Basic {credentials}"));
        }
        self.client.send(request.body(crate::Body::full(bytes.to_vec()))).await
    }
}

/// The SHA-256 digest of bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
