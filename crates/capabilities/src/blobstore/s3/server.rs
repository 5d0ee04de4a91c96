//! The servers that a runtime configuration names. What it leaves out, the environment of the
//! process says, by the names that all of AWS's tools know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dayfly_model::runtime_config::{BlobStore, S3Credentials, Secret};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};
use thiserror::Error as ThisError;

use super::Part;
use super::client::Client;

/// How often a request is sent again, and until when.
const RETRIES: usize = 3;
const RETRY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(2);

/// A variable of the environment, if it is there and not empty.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a blob store of the runtime configuration cannot be used.
#[derive(Debug, ThisError)]
pub enum UnusableStore {
    /// There is no key.
    #[error(
        "blob store `{0}` has no credentials: neither the runtime configuration nor the \
         environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`) has them"
    )]
    NoCredentials(String),
    /// The environment names no server.
    #[error("the environment's `{1}`, which blob store `{0}` is to use, is no URL of a server")]
    Endpoint(String, &'static str),
    /// The containers of one would lie in those of the other.
    #[error(
        "blob stores `{0}` and `{1}` share a bucket, and the prefix of one lies in the other's"
    )]
    Nested(String, String),
    /// It is wrong in another way.
    #[error("blob store `{0}` cannot be used")]
    Other(String, #[source] object_store::Error),
}

/// The servers, by label.
#[derive(Default)]
pub(in super::super) struct Servers(BTreeMap<String, Server>);

struct Server {
    store: Arc<AmazonS3>,
    endpoint: Option<String>,
    bucket: String,
    prefix: String,
}

/// Where a container's keys begin.
fn place_of(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

impl Servers {
    /// What a configuration describes. `app` is the app's name. Nothing is connected yet.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(in super::super) fn new(
        stores: &BTreeMap<String, BlobStore>,
        app: &str,
    ) -> Result<Self, UnusableStore> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::with(stores, app, &environment)
    }

    fn with(
        stores: &BTreeMap<String, BlobStore>,
        app: &str,
        environment: Environment<'_>,
    ) -> Result<Self, UnusableStore> {
        let mut servers = BTreeMap::new();
        for (label, store) in stores {
            let server = Server::new(label, store, app, environment)?;
            let nested = |(other, one): (&String, &Server)| {
                one.is_nested_with(&server).then(|| other.clone())
            };
            if let Some(other) = servers.iter().find_map(nested) {
                return Err(UnusableStore::Nested(other, label.clone()));
            }
            servers.insert(label.clone(), server);
        }
        Ok(Self(servers))
    }

    /// What belongs to a container, if it is in a bucket: by its own entry, else by `default`.
    pub(in super::super) fn part(&self, container: &str) -> Option<Part> {
        let server = self.0.get(container).or_else(|| self.0.get("default"))?;
        Some(Part::new(server.store.clone(), place_of(&server.prefix, container)))
    }
}

impl Server {
    fn new(
        label: &str,
        store: &BlobStore,
        app: &str,
        environment: Environment<'_>,
    ) -> Result<Self, UnusableStore> {
        let endpoint = endpoint(label, store, environment)?;
        let credentials = credentials(store, environment)
            .ok_or_else(|| UnusableStore::NoCredentials(label.to_owned()))?;
        let region = store.region.clone();
        let region = region
            .or_else(|| environment("AWS_REGION"))
            .or_else(|| environment("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let in_the_clear = endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
        let path_style = store.path_style.unwrap_or(endpoint.is_some());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&store.bucket)
            .with_region(region)
            .with_access_key_id(&credentials.access_key_id.0)
            .with_secret_access_key(&credentials.secret_access_key.0)
            .with_virtual_hosted_style_request(!path_style)
            .with_allow_http(in_the_clear)
            // TLS sees to it that a payload arrives as it was sent.
            .with_unsigned_payload(!in_the_clear)
            .with_retry(retries())
            .with_http_connector(Client::new(in_the_clear));
        if let Some(Secret(token)) = &credentials.session_token {
            builder = builder.with_token(token);
        }
        if let Some(url) = &endpoint {
            builder = builder.with_endpoint(match (path_style, url.split_once("://")) {
                (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", store.bucket),
                _ => url.clone(),
            });
        }
        let built = builder.build();
        let prefix = store.prefix.clone().or_else(|| super::keys::encode_segment(app));
        Ok(Self {
            store: Arc::new(built.map_err(|e| UnusableStore::Other(label.to_owned(), e))?),
            endpoint,
            bucket: store.bucket.clone(),
            prefix: prefix.unwrap_or_default(),
        })
    }

    /// Whether an object of one could be one of another container of the other.
    fn is_nested_with(&self, other: &Self) -> bool {
        let within = |inner: &str, outer: &str| {
            inner != outer && (outer.is_empty() || inner.starts_with(&format!("{outer}/")))
        };
        (&self.endpoint, &self.bucket) == (&other.endpoint, &other.bucket)
            && (within(&self.prefix, &other.prefix) || within(&other.prefix, &self.prefix))
    }
}

fn endpoint(
    label: &str,
    store: &BlobStore,
    environment: Environment<'_>,
) -> Result<Option<String>, UnusableStore> {
    let bare = |url: &str| url.trim_end_matches('/').to_owned();
    if let Some(Secret(url)) = &store.endpoint {
        return Ok(Some(bare(url)));
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let Some(url) = environment(name) else { continue };
        let parsed = url::Url::parse(&url).ok().filter(|parsed| {
            matches!(parsed.scheme(), "http" | "https")
                && parsed.has_host()
                && parsed.path() == "/"
                && parsed.query().is_none()
                && parsed.fragment().is_none()
                && parsed.username().is_empty()
                && parsed.password().is_none()
        });
        if parsed.is_none() {
            return Err(UnusableStore::Endpoint(label.to_owned(), name));
        }
        return Ok(Some(bare(&url)));
    }
    Ok(None)
}

fn credentials(store: &BlobStore, environment: Environment<'_>) -> Option<S3Credentials> {
    if let Some(stated) = &store.credentials {
        return Some(stated.clone());
    }
    Some(S3Credentials {
        access_key_id: Secret(environment("AWS_ACCESS_KEY_ID")?),
        secret_access_key: Secret(environment("AWS_SECRET_ACCESS_KEY")?),
        session_token: environment("AWS_SESSION_TOKEN").map(Secret),
    })
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: PAUSE, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(prefix: Option<&str>) -> BlobStore {
        BlobStore {
            bucket: "bucket".to_owned(),
            prefix: prefix.map(str::to_owned),
            endpoint: None,
            region: None,
            path_style: None,
            credentials: None,
        }
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "AWS_ACCESS_KEY_ID" => Some("id".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hunter2".to_owned()),
            _ => None,
        }
    }

    fn servers(prefixes: &[(&str, Option<&str>)]) -> Result<Servers, UnusableStore> {
        let stores = prefixes.iter().map(|(label, prefix)| ((*label).to_owned(), store(*prefix)));
        Servers::with(&stores.collect(), "shop", &environment)
    }

    #[test]
    fn no_container_lies_in_another() {
        for prefixes in [
            [("default", None), ("a", Some("shop/b"))],
            [("default", Some("")), ("a", None)],
            [("default", Some("x/y")), ("a", Some("x"))],
        ] {
            let nested = servers(&prefixes).err().expect("they are nested").to_string();
            assert!(nested.starts_with("blob stores `a` and `default` share"), "{nested}");
        }
        for prefixes in [
            [("default", None), ("a", Some("shop"))],
            [("default", Some("")), ("a", Some(""))],
            [("default", Some("x")), ("a", Some("xy"))],
        ] {
            assert!(servers(&prefixes).is_ok());
        }
    }

    #[test]
    fn a_container_is_in_its_own_store_or_the_default_one() {
        let servers = servers(&[("default", None), ("a", Some("other"))]).unwrap();
        assert_eq!(servers.part("a").unwrap().prefix, "other/a");
        assert_eq!(servers.part("b").unwrap().prefix, "shop/b");
        assert!(Servers::default().part("a").is_none());
    }

    #[test]
    fn credentials_are_needed_and_never_shown() {
        let stores = BTreeMap::from([("default".to_owned(), store(None))]);
        let none = Servers::with(&stores, "shop", &|_| None).err().unwrap();
        assert!(matches!(none, UnusableStore::NoCredentials(_)));
        let servers = Servers::with(&stores, "shop", &environment).unwrap();
        let shown = format!("{:?}", servers.0["default"].store.to_string());
        assert!(!shown.contains("hunter2"), "{shown}");
        let wrong = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("http://user:hunter2@host".to_owned()),
            other => environment(other),
        };
        let wrong = Servers::with(&stores, "shop", &wrong).err().unwrap().to_string();
        assert!(wrong.contains("`AWS_ENDPOINT_URL`") && !wrong.contains("hunter2"), "{wrong}");
    }
}
