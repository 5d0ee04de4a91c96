//! HashiCorp Vault, or OpenBao: a variable is the field `value` of a secret of the key-value
//! engine, version 2. <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;

use crate::tls;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take, all in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest answer, in bytes: Vault itself takes no request longer than 32 MiB, and no entry of
/// its storage longer than 1 MiB.
const ANSWER_BYTES: usize = 1 << 20;

/// How many questions are under way at once; others wait.
const AT_ONCE: usize = 8;

/// Why a Vault gave no answer. What it said is not told: it may be anything.
#[derive(Debug, Clone, Error)]
pub enum VaultError {
    /// Its address cannot be asked.
    #[error("its `url` is not one that can be asked")]
    Url,
    /// Its token cannot be sent.
    #[error("its `token` has characters that no header can hold")]
    Token,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// It cannot be reached, or does not speak HTTP as it should.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with an error.
    #[error("it answered with status {0}")]
    Status(StatusCode),
    /// Its answer has no text `value`, or is too long.
    #[error("its answer is not a secret with a text `value`")]
    Malformed,
}

/// One Vault. It holds a token, so there is no `Debug`.
pub(super) struct Vault {
    /// Where its secrets are; a variable's name is the last segment.
    folder: Url,
    token: HeaderValue,
    client: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    turns: Semaphore,
}

impl Vault {
    pub(super) fn new(
        url: &str,
        token: &str,
        mount: &str,
        prefix: Option<&str>,
    ) -> Result<Self, VaultError> {
        let mut folder = Url::parse(url).map_err(|_| VaultError::Url)?;
        folder
            .path_segments_mut()
            .map_err(|()| VaultError::Url)?
            .pop_if_empty()
            .push("v1")
            .extend(parts(mount))
            .push("data")
            .extend(prefix.into_iter().flat_map(parts));
        folder.set_query(None);
        folder.set_fragment(None);
        let mut token = HeaderValue::from_str(token).map_err(|_| VaultError::Token)?;
        token.set_sensitive(true);
        Ok(Self { folder, token, client: client(), turns: Semaphore::new(AT_ONCE) })
    }

    /// The value of a variable; `None` if it has none.
    pub(super) async fn read(&self, name: &str) -> Result<Option<String>, VaultError> {
        let answer = async {
            // Never closed.
            let _turn = self.turns.acquire().await;
            self.ask(name).await
        };
        timeout(PATIENCE, answer).await.unwrap_or(Err(VaultError::Timeout))
    }

    async fn ask(&self, name: &str) -> Result<Option<String>, VaultError> {
        let mut url = self.folder.clone();
        url.path_segments_mut().map_err(|()| VaultError::Url)?.push(name);
        let request = Request::get(url.as_str())
            .header("x-vault-token", self.token.clone())
            .header("x-vault-request", "true")
            .body(Empty::new())
            .map_err(|_| VaultError::Url)?;
        let response = self.client.request(request).await.map_err(|error| explain(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(VaultError::Status(status)),
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| VaultError::Malformed)?.to_bytes();
        // Its error would show a piece of the secret.
        let answer: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| VaultError::Malformed)?;
        let value = answer.pointer("/data/data/value").and_then(|value| value.as_str());
        Ok(Some(value.ok_or(VaultError::Malformed)?.to_owned()))
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// A client that keeps no connection: it is shared by runtimes, none of which a connection may
/// outlive, and asks once a minute.
fn client() -> legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config((*tls::usual()).clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// What is wrong with a connection; the innermost cause says it, and never knows the request.
fn explain(error: &legacy::Error) -> VaultError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    VaultError::Unreachable(cause.to_string())
}
