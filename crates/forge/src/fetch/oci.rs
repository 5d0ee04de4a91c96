//! OCI's distribution protocol, as far as one pulls a package: tags, a manifest, and its one layer of
//! WebAssembly.

use std::path::Path;

use http::header::{ACCEPT, AUTHORIZATION, LINK, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming as Body;
use semver::Version;
use serde::Deserialize;
use url::Url;

use super::client::{Asker, FetchFailure, parse};
use super::store::is_digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const WASM: &str = "application/wasm";

/// How many pages of tags are read.
const MAX_PAGES: usize = 100;

/// A repository of a registry.
pub(super) struct Oci<'a> {
    asker: &'a Asker,
    registry: String,
    base: Url,
    repository: String,
    /// What the user has for this registry: what follows `Basic`.
    credentials: Option<HeaderValue>,
    /// What the registry wants to see.
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Tags {
    /// `null` where there are none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What Docker and others write into `config.json`, as far as it is of use here.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<String>,
}

impl<'a> Oci<'a> {
    pub(super) fn new(
        asker: &'a Asker,
        registry: String,
        base: Url,
        repository: String,
        credentials: Option<&Path>,
    ) -> Self {
        let credentials = credentials.and_then(|file| credentials_for(file, &registry));
        Self { asker, registry, base, repository, credentials, authorization: None }
    }

    pub(super) fn failed(&self, what: impl Into<String>) -> FetchFailure {
        FetchFailure::Registry { registry: self.registry.clone(), what: what.into() }
    }

    /// The versions that the repository has; tags that are none are not of packages.
    pub(super) async fn versions(&mut self) -> Result<Vec<Version>, FetchFailure> {
        let mut versions = Vec::new();
        let mut next = Some(self.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let response = self.ask(&url, ACCEPT, "application/json").await?;
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
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.ask(&url, ACCEPT, MANIFEST).await?;
        let Manifest { layers } = self.read(response, "a manifest").await?;
        let mut modules = layers.into_iter().filter(|layer| layer.media_type == WASM);
        let (Some(Layer { digest, .. }), None) = (modules.next(), modules.next()) else {
            return Err(self.failed("has a package of not exactly one layer of WebAssembly"));
        };
        match digest.strip_prefix("sha256:") {
            Some(digest) if is_digest(digest) => Ok(digest.to_owned()),
            _ => Err(self.failed("names a layer by a digest that is not SHA-256")),
        }
    }

    pub(super) async fn blob(&mut self, digest: &str) -> Result<Response<Body>, FetchFailure> {
        let url = self.url(&format!("blobs/sha256:{digest}"))?;
        self.ask(&url, ACCEPT, "*/*").await
    }

    fn url(&self, path: &str) -> Result<Url, FetchFailure> {
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

    /// Asks the registry, and once more with what it wants to see first.
    async fn ask(
        &mut self,
        url: &Url,
        name: HeaderName,
        value: &'static str,
    ) -> Result<Response<Body>, FetchFailure> {
        for again in [true, false] {
            let mut headers = vec![(name.clone(), HeaderValue::from_static(value))];
            headers.extend(self.authorization.clone().map(|it| (AUTHORIZATION, it)));
            let response = self.asker.ask(url, &headers).await?;
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED if again => {
                    self.authorization = Some(self.authorize(&response).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => break,
                StatusCode::NOT_FOUND => return Err(self.failed("has no such package or version")),
                status => return Err(FetchFailure::Status(status.as_u16())),
            }
        }
        Err(self.refused())
    }

    fn refused(&self) -> FetchFailure {
        self.failed(match self.credentials {
            Some(_) => "does not accept the user's credentials",
            None => "wants credentials, and the user has none for it (`docker login` writes them)",
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
        let mut url = parse(realm)?;
        let scope = format!("repository:{}:pull", self.repository);
        url.query_pairs_mut()
            .extend_pairs(parameter("service").map(|service| ("service", service)))
            .append_pair("scope", parameter("scope").unwrap_or(&scope));
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

/// What the user's file says for a registry.
fn credentials_for(file: &Path, registry: &str) -> Option<HeaderValue> {
    let text = std::fs::read(file).ok()?;
    let DockerConfig { auths } = serde_json::from_slice(&text).ok()?;
    let names =
        [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/")];
    let auth = names.iter().find_map(|name| auths.get(name))?.auth.as_deref()?;
    let mut value = HeaderValue::from_str(&format!("Basic {auth}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn credentials_are_those_of_the_registry() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            r#"{"auths":{"a.example":{"auth":"dXNlcg=="},"https://b.example":{"auth":"eA=="}}}"#;
        std::fs::write(file.path(), text).unwrap();
        let found = |registry| credentials_for(file.path(), registry);
        assert_eq!(found("a.example").unwrap(), "Basic dXNlcg==");
        assert_eq!(found("b.example").unwrap(), "Basic eA==");
        assert!(found("c.example").is_none());
        assert_eq!(format!("{:?}", found("a.example").unwrap()), "Sensitive");
    }
}
