//! The server that answers: one client for all components of an app, few requests at once, bounded
//! answers. The operator named it, so no grant is asked for its address.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use dayfly_model::runtime_config::{LlmApi, LlmCompute};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;

use super::{Embedded, Failure, Inferred, Params, openai, spin};
use crate::tls::usual;

/// How long the server may take to be reached, and for a whole answer; a guest's own time is over
/// before, unless its manifest says otherwise.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(600);

/// How many requests may be under way, and how long others wait.
const REQUESTS: usize = 64;
const WAIT: Duration = Duration::from_secs(10);

/// The longest answer, in bytes.
const ANSWER_BYTES: usize = 32 << 20;

/// How much of the server's own words a guest is told, in bytes.
const WORDS: usize = 512;

type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A server of language models.
pub struct Backend {
    config: LlmCompute,
    client: OnceLock<Client>,
    turns: Semaphore,
}

impl Backend {
    /// The server that a runtime configuration names; nothing is opened yet.
    pub fn new(config: LlmCompute) -> Self {
        Self { config, client: OnceLock::new(), turns: Semaphore::new(REQUESTS) }
    }

    pub(super) async fn infer(
        &self,
        model: &str,
        prompt: &str,
        params: Option<Params>,
    ) -> Result<Inferred, Failure> {
        let answer = match self.config.api {
            LlmApi::OpenAi => {
                let body = openai::completion(model, prompt, params);
                openai::completed(&self.post(&["v1", "chat", "completions"], &body).await?)
            }
            LlmApi::Spin => {
                let body = spin::infer(model, prompt, params.unwrap_or_default());
                spin::inferred(&self.post(&["infer"], &body).await?)
            }
        };
        answer.ok_or_else(malformed)
    }

    pub(super) async fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, Failure> {
        let answer = match self.config.api {
            LlmApi::OpenAi => {
                let body = openai::embeddings(model, texts);
                openai::embedded(&self.post(&["v1", "embeddings"], &body).await?)
            }
            LlmApi::Spin => {
                let body = spin::embed(model, texts);
                spin::embedded(&self.post(&["embed"], &body).await?)
            }
        };
        answer.filter(|answer| answer.embeddings.len() == texts.len()).ok_or_else(malformed)
    }

    /// Posts JSON and reads JSON.
    async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let request = self.request(path, body)?;
        let client = self.client.get_or_init(client);
        let turn = timeout(WAIT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| runtime("too many requests to the server are under way"))?;
        let answer = async {
            let response = client.request(request).await.map_err(|error| {
                tracing::warn!(?error, "the server of language models is not reached");
                runtime("the server of language models is not reached")
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| {
                tracing::warn!(error, "the answer of the server of language models was not read");
                runtime("the server's answer broke off or is too long")
            })?;
            Ok((status, body.to_bytes()))
        };
        let answer = timeout(ANSWER, answer).await;
        let (status, body) = answer.map_err(|_| runtime("the server did not answer in time"))??;
        let answer = serde_json::from_slice(&body);
        if status.is_success() {
            return answer.map_err(|_| malformed());
        }
        tracing::warn!(status = status.as_u16(), "the server of language models answered an error");
        Err(self.explain(status, &answer.unwrap_or_default()))
    }

    fn request(&self, path: &[&str], body: &Value) -> Result<Request<Full<Bytes>>, Failure> {
        let unusable = || runtime("the configured URL or token (`llm_compute`) is unusable");
        let url = endpoint(&self.config.url.0, path).ok_or_else(unusable)?;
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().map_err(|_| unusable())?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = &self.config.auth_token.0;
        if !token.is_empty() {
            let token = HeaderValue::try_from(format!("Bearer {token}"));
            let mut token = token.map_err(|_| unusable())?;
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        Ok(request)
    }

    /// What the guest is told of an error that the server answered. What it says of credentials is
    /// the operator's business.
    fn explain(&self, status: StatusCode, answer: &Value) -> Failure {
        let error = &answer["error"];
        let code = error["code"].as_str().unwrap_or_default();
        if code == "model_not_found" || status == StatusCode::NOT_FOUND {
            return Failure::ModelNotSupported;
        }
        let is_input = matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY
        );
        if !is_input {
            return Failure::Runtime(format!("the server answered {}", status.as_u16()));
        }
        let said = error["message"].as_str().or(error.as_str()).unwrap_or("the server refused it");
        let said = match self.config.auth_token.0.as_str() {
            "" => said.to_owned(),
            token => said.replace(token, "[redacted]"),
        };
        Failure::Input(said[..said.floor_char_boundary(WORDS)].to_owned())
    }
}

/// The URL of a path at the server. Where the configured one has a path, that is what stands before
/// the version's own: both `http://host` and `http://host/v1` mean `http://host/v1/…`.
fn endpoint(base: &str, path: &[&str]) -> Option<Url> {
    let mut url = Url::parse(base).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let has_path = url.path_segments().is_some_and(|mut parts| parts.any(|part| !part.is_empty()));
    let path = if has_path && path[0] == "v1" { &path[1..] } else { path };
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    url.set_fragment(None);
    Some(url)
}

fn client() -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config((*usual()).clone())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_max_idle_per_host(8);
    builder.build(connector)
}

fn runtime(text: &str) -> Failure {
    Failure::Runtime(text.to_owned())
}

fn malformed() -> Failure {
    runtime("the server's answer is not what its interface says")
}

#[cfg(test)]
mod tests {
    use dayfly_model::runtime_config::Secret;

    use super::*;

    fn backend(url: &str) -> Backend {
        let auth_token = Secret("s3cret".to_owned());
        Backend::new(LlmCompute { api: LlmApi::OpenAi, url: Secret(url.to_owned()), auth_token })
    }

    #[test]
    fn a_path_of_the_servers_own_is_kept() {
        let url = |base| endpoint(base, &["v1", "embeddings"]).map(String::from);
        let expected = Some("http://host:1/v1/embeddings".to_owned());
        assert_eq!(url("http://host:1"), expected);
        assert_eq!(url("http://host:1/v1/"), expected);
        assert_eq!(url("https://host/api/v2"), Some("https://host/api/v2/embeddings".to_owned()));
        assert_eq!(url("redis://host"), None);
        assert_eq!(
            endpoint("http://host/base", &["infer"]).map(String::from),
            Some("http://host/base/infer".to_owned())
        );
    }

    #[test]
    fn the_token_is_in_no_text() {
        let backend = backend("http://host");
        let said = serde_json::json!({ "error": { "message": "not s3cret" } });
        let told = backend.explain(StatusCode::BAD_REQUEST, &said);
        assert_eq!(told, Failure::Input("not [redacted]".to_owned()));
        let told = backend.explain(StatusCode::UNAUTHORIZED, &said);
        assert_eq!(told, Failure::Runtime("the server answered 401".to_owned()));
        let request = backend.request(&["infer"], &Value::Null).unwrap();
        assert!(!format!("{request:?}").contains("s3cret"));
    }

    #[test]
    fn a_model_that_is_not_there_has_an_error_of_its_own() {
        let backend = backend("http://host");
        let said = serde_json::json!({ "error": { "code": "model_not_found" } });
        assert_eq!(backend.explain(StatusCode::BAD_REQUEST, &said), Failure::ModelNotSupported);
        assert_eq!(
            backend.explain(StatusCode::NOT_FOUND, &Value::Null),
            Failure::ModelNotSupported
        );
    }
}
