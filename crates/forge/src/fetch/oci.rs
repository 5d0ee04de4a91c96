//! OCI's distribution protocol, as far as one pulls: tags, manifests, and the blobs that these name.

use std::collections::BTreeMap;
use std::path::Path;

use http::header::{ACCEPT, AUTHORIZATION, LINK, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming as Body;
use semver::Version;
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::{Asker, FetchFailure, Message, led};
use super::credentials::{self, Login};
use super::registry::base;
use super::store::{Store, digest_of, is_digest};
use super::{Copy, Reference, Tell, hex, reference};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What registries name that hold more than one manifest by one tag, too.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json;q=0.1";
const WASM: &str = "application/wasm";

/// How many pages of tags are read.
const MAX_PAGES: usize = 100;

/// A repository of a registry.
pub(crate) struct Oci<'a> {
    pub(super) asker: &'a Asker,
    registry: String,
    base: Url,
    repository: String,
    /// What the user has for this registry: what follows `Basic`.
    credentials: Option<HeaderValue>,
    /// What the registry wants to see.
    authorization: Option<HeaderValue>,
}

/// A manifest, as far as it is of use here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

/// A blob of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// The digits of its digest, if that is one of SHA-256.
    pub(crate) fn digits(&self) -> Option<&str> {
        self.digest.strip_prefix("sha256:").filter(|digits| is_digest(digits))
    }
}

/// What is said of a registry that does not know a name.
const NO_PACKAGE: &str = "has no such package or version";

#[derive(Deserialize)]
struct Tags {
    /// `null` where there are none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Oci<'a> {
    pub(super) fn new(
        asker: &'a Asker,
        registry: String,
        base: Url,
        repository: String,
        credentials: Option<&Path>,
    ) -> Self {
        let credentials = credentials.and_then(|file| credentials::find(file, &registry));
        Self { asker, registry, base, repository, credentials, authorization: None }
    }

    /// The repository of a package.
    pub(crate) fn of(
        asker: &'a Asker,
        reference: &Reference,
        credentials: Option<&Path>,
    ) -> Result<Self, FetchFailure> {
        let Reference { registry, repository, .. } = reference;
        let (host, mut repository) = (reference::asked(registry), repository.clone());
        if host != registry && !repository.contains('/') {
            repository = format!("library/{repository}");
        }
        Ok(Self::new(asker, registry.clone(), base(host)?, repository, credentials))
    }

    /// A registry, without any repository.
    pub(super) fn of_registry(asker: &'a Asker, registry: &str) -> Result<Self, FetchFailure> {
        let base = base(reference::asked(registry))?;
        Ok(Self::new(asker, registry.to_owned(), base, String::new(), None))
    }

    pub(crate) fn failed(&self, what: impl Into<String>) -> FetchFailure {
        FetchFailure::Registry { registry: self.registry.clone(), what: what.into() }
    }

    /// The versions that the repository has; tags that are none are not of packages.
    pub(super) async fn versions(&mut self) -> Result<Vec<Version>, FetchFailure> {
        let mut versions = Vec::new();
        let mut next = Some(self.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let response = self.get(&url, "application/json", NO_PACKAGE).await?;
            next = next_page(&response, &url);
            let Tags { tags } = self.read(response, "its list of tags").await?;
            let tags = tags.unwrap_or_default();
            versions
                .extend(tags.iter().filter_map(|tag| Version::parse(&tag.replace('_', "+")).ok()));
        }
        Ok(versions)
    }

    /// The digest of a version's WebAssembly.
    pub(super) async fn layer(&mut self, version: &Version) -> Result<String, FetchFailure> {
        // A tag has no `+`.
        let tag = version.to_string().replace('+', "_");
        let (Manifest { layers, .. }, _) = self.manifest(&tag).await?;
        let mut modules = layers.into_iter().filter(|layer| layer.media_type == WASM);
        let (Some(layer), None) = (modules.next(), modules.next()) else {
            return Err(self.failed("has a package of not exactly one layer of WebAssembly"));
        };
        let digits = layer.digits().map(str::to_owned);
        digits.ok_or_else(|| self.failed("names a layer by a digest that is not SHA-256"))
    }

    /// The manifest of a tag or a digest, and the digits of its digest.
    pub(crate) async fn manifest(
        &mut self,
        version: &str,
    ) -> Result<(Manifest, String), FetchFailure> {
        let url = self.url(&format!("manifests/{version}"))?;
        let response = self.get(&url, MANIFESTS, NO_PACKAGE).await?;
        let stated = response.headers().get("docker-content-digest");
        let stated = stated.and_then(|it| it.to_str().ok()).map(|it| hex(it).to_owned());
        let document = self.asker.document(response).await?;
        let actual = digest_of(&document);
        let named = version.strip_prefix("sha256:").map(str::to_owned);
        if let Some(expected) = named.or(stated).filter(|expected| *expected != actual) {
            return Err(FetchFailure::Digest { expected, actual });
        }
        let manifest = serde_json::from_slice(&document);
        let manifest = manifest.map_err(|error| {
            self.failed(format!("answers with a manifest that is none: {error}"))
        })?;
        Ok((manifest, actual))
    }

    pub(super) async fn blob(&mut self, digits: &str) -> Result<Response<Body>, FetchFailure> {
        let url = self.url(&format!("blobs/sha256:{digits}"))?;
        let missing = format!("does not have `sha256:{digits}`, which its manifest names");
        self.get(&url, "*/*", &missing).await
    }

    /// Brings a blob, unless it is kept, and says how many bytes came.
    pub(crate) async fn bring(
        &mut self,
        blob: &Descriptor,
        store: &Store,
        tell: Tell<'_>,
    ) -> Result<(Copy, u64), FetchFailure> {
        let digits = blob.digits();
        let digits = digits.ok_or_else(|| self.failed("names a blob by no SHA-256 digest"))?;
        if let Some(copy) = store.find(digits) {
            return Ok((copy, 0));
        }
        let response = self.blob(digits).await?;
        let kept = self.asker.keep(response, store, digits, blob.size, tell).await;
        kept.map_err(|failure| match failure {
            FetchFailure::TooLarge { .. } => FetchFailure::Longer { stated_bytes: blob.size },
            other => other,
        })
    }

    /// Reads a small blob into memory.
    pub(crate) async fn small(&mut self, blob: &Descriptor) -> Result<Vec<u8>, FetchFailure> {
        let digits = blob.digits();
        let expected = digits.ok_or_else(|| self.failed("names a blob by no SHA-256 digest"))?;
        let response = self.blob(expected).await?;
        let document = self.asker.document(response).await?;
        match digest_of(&document) {
            actual if actual == expected => Ok(document),
            actual => Err(FetchFailure::Digest { expected: expected.to_owned(), actual }),
        }
    }

    /// Whether the registry accepts these credentials.
    pub(super) async fn accepts(&mut self, header: HeaderValue) -> Result<Login, FetchFailure> {
        self.credentials = Some(header);
        let url = self.base.join("v2/").map_err(|_| FetchFailure::Address)?;
        let response = self.request(Message::new(Method::GET, &url), &mut |_| ()).await?;
        match response.status() {
            status if !status.is_success() => Err(FetchFailure::Status(status.as_u16())),
            _ if self.authorization.is_some() => Ok(Login::Accepted),
            _ => Ok(Login::NotAsked),
        }
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, FetchFailure> {
        let path = format!("v2/{}/{path}", self.repository);
        self.base.join(&path).map_err(|_| FetchFailure::Address)
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        response: Response<Body>,
        what: &str,
    ) -> Result<T, FetchFailure> {
        let document = self.asker.document(response).await?;
        serde_json::from_slice(&document)
            .map_err(|error| self.failed(format!("answers with {what} that is none: {error}")))
    }

    /// What the registry has at an address, or what is said where it has nothing.
    async fn get(
        &mut self,
        url: &Url,
        accept: &'static str,
        missing: &str,
    ) -> Result<Response<Body>, FetchFailure> {
        let message = Message::new(Method::GET, url).header(ACCEPT, accept);
        let response = self.request(message, &mut |_| ()).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(self.failed(missing)),
            status => Err(FetchFailure::Status(status.as_u16())),
        }
    }

    /// Asks the registry, and once more with what it wants to see first.
    pub(super) async fn request(
        &mut self,
        mut message: Message<'_>,
        tell: Tell<'_>,
    ) -> Result<Response<Body>, FetchFailure> {
        // It may have another server answer or take an upload, which gets no credentials, nor says
        // who gets them.
        let is_own = message.url.origin() == self.base.origin();
        for again in [true, false] {
            message.headers.retain(|(name, _)| *name != AUTHORIZATION);
            let authorization = self.authorization.clone().filter(|_| is_own);
            message.headers.extend(authorization.map(|it| (AUTHORIZATION, it)));
            let (response, by_own) = match message.method {
                Method::GET | Method::HEAD => {
                    let (response, at) = self.asker.follow(&message).await?;
                    (response, at.origin() == self.base.origin())
                }
                _ => (self.asker.send(&message, tell).await?, is_own),
            };
            match response.status() {
                StatusCode::UNAUTHORIZED if again && is_own && by_own => {
                    self.authorization = Some(self.authorize(&response).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => break,
                _ => return Ok(response),
            }
        }
        Err(self.refused())
    }

    fn refused(&self) -> FetchFailure {
        self.failed(match self.credentials {
            Some(_) => "does not accept the user's credentials, or they do not allow that",
            None => "wants credentials, and the user has none for it (`dayfly login` keeps them)",
        })
    }

    /// What a registry wants to see that refused a request: a token, or the credentials themselves.
    async fn authorize(&self, refusal: &Response<Body>) -> Result<HeaderValue, FetchFailure> {
        let challenge = refusal.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
        let (scheme, rest) = challenge.and_then(|it| it.split_once(' ')).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("basic") {
            return self.credentials.clone().ok_or_else(|| self.refused());
        }
        let parameter = |name| parameters(rest).find(|(key, _)| *key == name).map(|(_, it)| it);
        let realm = parameter("realm").ok_or_else(|| self.refused())?;
        let mut url = led(&self.base, realm)?;
        let own = format!("repository:{}:pull", self.repository);
        let own = Some(own.as_str()).filter(|_| !self.repository.is_empty());
        url.query_pairs_mut()
            .extend_pairs(parameter("service").map(|service| ("service", service)))
            .extend_pairs(parameter("scope").or(own).map(|scope| ("scope", scope)));
        let credentials = self.credentials.clone().map(|it| (AUTHORIZATION, it));
        let response = self.asker.ask(&url, credentials.as_slice()).await?;
        if !response.status().is_success() {
            return Err(self.refused());
        }
        let Token { token, access_token } = self.read(response, "a token").await?;
        let token = token.or(access_token).ok_or_else(|| self.refused())?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| self.failed("answers with a token that is none"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The parameters of a challenge: `name="value"`, commas between.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (name, value) = rest.split_once("=\"")?;
        let (value, after) = value.split_once('"')?;
        rest = after;
        Some((name.trim_start_matches([',', ' ']), value))
    })
}

/// The address of the next page, which must be of the same server.
fn next_page(response: &Response<Body>, url: &Url) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    let next = relation.contains("next").then(|| url.join(target).ok())??;
    (next.origin() == url.origin()).then_some(next)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::Client;
    use super::*;

    /// Answers a few requests, all alike; what it heard, and its host.
    fn server(answer: impl FnOnce(&str) -> String) -> (Arc<Mutex<String>>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answer = format!("HTTP/1.1 {}\r\nconnection: close\r\n\r\n", answer(&host));
        let heard = Arc::new(Mutex::new(String::new()));
        let all = heard.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(8).flatten() {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).unwrap_or_default();
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&request[..length]));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (heard, host)
    }

    #[test]
    fn who_a_registry_leads_to_gets_no_credentials() {
        for scheme in ["Basic", "Bearer"] {
            let (elsewhere, other) = server(|host| {
                let realm = format!("{scheme} realm=\"http://{host}/token\"");
                format!("401 Unauthorized\r\nwww-authenticate: {realm}")
            });
            let (own, host) =
                server(|_| format!("307 Temporary Redirect\r\nlocation: http://{other}/"));
            let client = Client::new(Duration::from_secs(5)).unwrap();
            let url = base(&host).unwrap();
            let mut oci = Oci::new(client.asker(), host, url, "a/b".to_owned(), None);
            oci.credentials = Some(HeaderValue::from_static("Basic secret"));
            client.run(|_| oci.manifest("1")).unwrap_err();
            assert!(elsewhere.lock().unwrap().contains("GET / "));
            for heard in [elsewhere, own] {
                assert!(!heard.lock().unwrap().to_lowercase().contains("secret"), "{scheme}");
            }
        }
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let text =
            "realm=\"https://a.example/token\",service=\"b\", scope=\"repository:x/y:pull,push\"";
        let found: Vec<_> = parameters(text).collect();
        assert_eq!(
            found,
            [
                ("realm", "https://a.example/token"),
                ("service", "b"),
                ("scope", "repository:x/y:pull,push")
            ]
        );
        assert_eq!(parameters("nothing").count(), 0);
        assert_eq!(parameters("open=\"never closed").count(), 0);
    }
}
