//! OCI's distribution protocol, as far as one pushes: a blob is sent unless it is there, and the
//! manifest that names them all comes last.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming as Body;
use serde::Deserialize;

use super::client::{FetchFailure, Message, led};
use super::oci::{MANIFEST, Oci};
use super::{Tell, hex};

/// How much is shown of what a registry says about a failure, in characters.
const SHOWN: usize = 300;

#[derive(Deserialize)]
struct Said {
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
    message: Option<String>,
}

impl Oci<'_> {
    /// Whether the registry has a blob.
    pub(crate) async fn has_blob(&mut self, digits: &str) -> Result<bool, FetchFailure> {
        let url = self.url(&format!("blobs/sha256:{digits}"))?;
        let response = self.request(Message::new(Method::HEAD, &url), &mut |_| ()).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(FetchFailure::Status(status.as_u16())),
        }
    }

    /// Sends a blob, whole.
    pub(crate) async fn put_blob(
        &mut self,
        digits: &str,
        bytes: Bytes,
        tell: Tell<'_>,
    ) -> Result<(), FetchFailure> {
        let url = self.url("blobs/uploads/")?;
        let response = self.request(Message::new(Method::POST, &url), &mut |_| ()).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.said(response, "takes no upload").await);
        }
        let place = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
        let place = place.ok_or_else(|| self.failed("does not say where an upload goes"))?;
        let mut place = led(&url, place)?;
        place.query_pairs_mut().append_pair("digest", &format!("sha256:{digits}"));
        let message = Message { body: bytes, ..Message::new(Method::PUT, &place) };
        let message = message.header(CONTENT_TYPE, "application/octet-stream");
        let response = self.request(message, tell).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.said(response, "does not take a blob").await),
        }
    }

    /// The digits of the digest of the manifest that has a tag.
    pub(crate) async fn tagged(&mut self, tag: &str) -> Result<Option<String>, FetchFailure> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let message = Message::new(Method::HEAD, &url).header(ACCEPT, MANIFEST);
        let response = self.request(message, &mut |_| ()).await?;
        let digest = response.headers().get("docker-content-digest");
        let digest = digest.filter(|_| response.status().is_success());
        Ok(digest.and_then(|it| it.to_str().ok()).map(|it| hex(it).to_owned()))
    }

    /// Gives a manifest a tag.
    pub(crate) async fn put_manifest(
        &mut self,
        tag: &str,
        manifest: Bytes,
    ) -> Result<(), FetchFailure> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let message = Message { body: manifest, ..Message::new(Method::PUT, &url) };
        let message = message.header(CONTENT_TYPE, MANIFEST);
        let response = self.request(message, &mut |_| ()).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK => Ok(()),
            _ => Err(self.said(response, "does not take the manifest").await),
        }
    }

    /// A failure, with what the registry says about it.
    async fn said(&self, response: Response<Body>, what: &str) -> FetchFailure {
        let status = response.status().as_u16();
        let document = self.asker.document(response).await.unwrap_or_default();
        let said = serde_json::from_slice(&document).unwrap_or(Said { errors: Vec::new() });
        let problem = said.errors.into_iter().next();
        let text = problem.and_then(|it| it.message.or(it.code)).unwrap_or_default();
        let text: String = text.chars().take(SHOWN).collect();
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        self.failed(format!("{what} (status {status}){said}"))
    }
}
