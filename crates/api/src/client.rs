//! A client that blocks: what a command line needs, over one connection, with no wait without an end.
//! What changes something bears an idempotency key, so that it is safe to ask again when a connection
//! breaks.

mod calls;
mod error;
mod logs;
mod transport;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use dayfly_model::runtime_config::Secret;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use http::{HeaderValue, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

pub use error::ClientError;
use upload::Payload;
pub use upload::Upload;

use crate::{Page, Problem};
use transport::{Answer, Transport};

/// How long an answer may take, once all was sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may take that is waited for by somebody who sees that.
const LONG: Duration = Duration::from_secs(15 * 60);

/// How often something is asked for when there is no answer.
const ATTEMPTS: u32 = 4;

/// The wait before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

const JSON: &str = "application/json";

/// A client of one platform.
pub struct Client {
    transport: Transport,
    base: Url,
    token: Option<Secret>,
}

/// What is asked.
struct Call<'a> {
    method: Method,
    path: String,
    content_type: &'static str,
    body: Upload<'a>,
    /// The generation or version that the caller has seen.
    seen: Option<String>,
    patience: Duration,
}

impl Client {
    /// A client of the platform at an address such as `https://admin.example.com`. Nothing is asked
    /// yet. Without encryption only this machine itself is asked, because a token travels along.
    ///
    /// # Errors
    /// If the address is none, or would be asked without encryption.
    pub fn new(url: &str, token: Option<Secret>) -> Result<Self, ClientError> {
        let mut base: Url = url.parse().map_err(|_| ClientError::Address(url.to_owned()))?;
        transport::check(&base)?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { transport: Transport::new()?, base, token })
    }

    /// The address of the platform, with a slash at its end.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Asks for something that is there.
    fn get<T: DeserializeOwned>(&self, path: impl Into<String>) -> Result<T, ClientError> {
        self.json(&Call::new(Method::GET, path))
    }

    /// All pages of a list, or as many items as `most` says.
    fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>, ClientError> {
        let mut items: Vec<T> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query
                .append_pair("limit", &most.saturating_sub(items.len()).clamp(1, 1000).to_string());
            if let Some(cursor) = &cursor {
                query.append_pair("cursor", cursor);
            }
            let page: Page<T> = self.get(format!("{path}?{}", query.finish()))?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Has something changed, and reads what is answered.
    fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: impl Into<String>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(&Call::new(method, path).with(body)?)
    }

    fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ClientError> {
        let answer = self.ask(call, &mut |_| ())?;
        serde_json::from_slice(&answer.body).map_err(ClientError::Unread)
    }

    /// Asks, again where nobody answers, and takes anything but a success for an error. `sent` is told
    /// how many bytes of the body are on their way.
    fn ask(&self, call: &Call<'_>, sent: &mut dyn FnMut(u64)) -> Result<Answer, ClientError> {
        let key = idempotency_key(call)?;
        let mut pause = PAUSE;
        for attempt in 1.. {
            let answered = self.once(call, key.as_ref(), sent);
            let again = match &answered {
                Err(error) => error.is_passing(),
                Ok(answer) => answer.status.as_u16() == 503,
            };
            if !again || attempt == ATTEMPTS {
                return answered.and_then(understood);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Err(ClientError::Broken(Box::from("nobody answered")))
    }

    fn once(
        &self,
        call: &Call<'_>,
        key: Option<&HeaderValue>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<Answer, ClientError> {
        let request = self.request(call, key)?;
        self.transport.send(request, call.patience, sent)
    }

    fn request(
        &self,
        call: &Call<'_>,
        key: Option<&HeaderValue>,
    ) -> Result<http::Request<Payload>, ClientError> {
        let address = || ClientError::Address(call.path.clone());
        let url = self.base.join(&call.path).map_err(|_| address())?;
        let mut request = http::Request::builder().method(call.method.clone()).uri(url.as_str());
        if let Some(Secret(token)) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(key) = key {
            request = request.header(crate::IDEMPOTENCY_KEY, key);
        }
        if let Some(seen) = &call.seen {
            request = request.header(IF_MATCH, format!("\"{seen}\""));
        }
        if !call.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, call.content_type);
        }
        request.body(call.body.open()?).map_err(|_| address())
    }
}

impl<'a> Call<'a> {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            content_type: "",
            body: Upload::Bytes(Bytes::new()),
            seen: None,
            patience: PATIENCE,
        }
    }

    fn with(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        self.body = Upload::Bytes(serde_json::to_vec(body).map_err(ClientError::Unread)?.into());
        self.content_type = JSON;
        Ok(self)
    }
}

/// A key for a request that would do something twice, or be refused, if it came twice.
fn idempotency_key(call: &Call<'_>) -> Result<Option<HeaderValue>, ClientError> {
    let is_repeatable = call.method != Method::POST && call.method != Method::PATCH;
    if is_repeatable && call.seen.is_none() {
        return Ok(None);
    }
    let key = uuid::Uuid::new_v4().to_string();
    HeaderValue::from_str(&key).map(Some).map_err(|_| ClientError::Token)
}

fn understood(answer: Answer) -> Result<Answer, ClientError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
        Err(_) => Err(ClientError::Status(answer.status.as_u16())),
    }
}
