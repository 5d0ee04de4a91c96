//! A server that speaks the part of Vault's HTTP API by which secrets of its key-value engine,
//! version 2, are read: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>. No Vault
//! can be installed from the registries that tests draw on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A Vault on a free port of this machine, with an engine at `secret`.
pub struct Vault {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    token: String,
    secrets: BTreeMap<String, Value>,
    mood: Mood,
    asked: Vec<String>,
}

/// How a [`Vault`] answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// That it is sealed.
    Sealed,
    /// Not at all.
    Silent,
    /// With something that is no answer, without end.
    Raving,
}

impl Vault {
    /// A Vault without secrets, which opens to this token.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(token: &str) -> Self {
        let state = Arc::new(Mutex::new(State { token: token.to_owned(), ..State::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(state.clone(), request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, state, task }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the field `value` of a secret.
    pub fn put(&self, path: &str, value: impl Into<Value>) {
        self.lock().secrets.insert(path.to_owned(), json!({ "value": value.into() }));
    }

    /// From now on it answers in this way.
    pub fn be(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// The paths that were asked for, and forgets them.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mood, (status, body)) = {
        let mut state = state.lock().expect("nobody panics with the lock");
        state.asked.push(request.uri().path().to_owned());
        (state.mood, state.answer(&request))
    };
    let body = match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Raving => "x".repeat(8 << 20),
        Mood::Well | Mood::Sealed => body.to_string(),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(body.into())).expect("a response"))
}

impl State {
    fn answer(&self, request: &Request<Incoming>) -> (u16, Value) {
        let errors = |status, texts: &[&str]| (status, json!({ "errors": texts }));
        if self.mood == Mood::Sealed {
            return errors(503, &["Vault is sealed"]);
        }
        let token = request.headers().get("x-vault-token");
        if token.is_none_or(|token| token.as_bytes() != self.token.as_bytes()) {
            return errors(403, &["permission denied"]);
        }
        let secret = request.uri().path().strip_prefix("/v1/secret/data/");
        if *request.method() != Method::GET {
            return errors(405, &["unsupported operation"]);
        }
        match secret.and_then(|path| self.secrets.get(path)) {
            None => errors(404, &[]),
            Some(data) => {
                let metadata = json!({
                    "created_time": "2026-01-01T00:00:00.000000000Z",
                    "custom_metadata": null,
                    "deletion_time": "",
                    "destroyed": false,
                    "version": 1,
                });
                (
                    200,
                    json!({
                        "request_id": "6f1b1f3e-0000-0000-0000-000000000000",
                        "lease_id": "",
                        "renewable": false,
                        "lease_duration": 0,
                        "data": { "data": data, "metadata": metadata },
                        "wrap_info": null,
                        "warnings": null,
                        "auth": null,
                    }),
                )
            }
        }
    }
}
