//! A server of language models, as OpenAI documents its interface and Spin's own server has it. What
//! it answers can be foretold: it says a prompt backwards.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a free port of this machine with the models `test-model` and
/// `llama3.1:8b`. It wants the token
/// [`Models::TOKEN`]; a prompt of `slow` is answered after five seconds, and one of `broken` by half an
/// answer.
pub struct Models {
    address: SocketAddr,
    task: JoinHandle<()>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Models {
    /// The token that it wants.
    pub const TOKEN: &'static str = "token-of-the-operator";

    /// Starts it.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let seen = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, &seen));
                    let stream = TokioIo::new(stream);
                    let _ = http1::Builder::new().serve_connection(stream, service).await;
                });
            }
        });
        Self { address, task, asked }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of all requests so far.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

async fn answer(request: Request<Incoming>, asked: &Mutex<Vec<Value>>) -> Answer {
    let (parts, body) = request.into_parts();
    let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let scheme = token.and_then(|token| token.split_once(' '));
    let is_known = scheme.is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && token == Models::TOKEN
    });
    if !is_known {
        let text = format!("incorrect key: {}", token.unwrap_or_default());
        return error(401, &text, "invalid_api_key");
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(400, "no JSON", "invalid_json");
    };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(body.clone());
    if !["test-model", "llama3.1:8b"].iter().any(|name| body["model"] == *name) {
        return error(404, "no such model", "model_not_found");
    }
    match parts.uri.path() {
        "/v1/chat/completions" => completion(&body).await,
        "/v1/embeddings" => {
            let data = embeddings(&body["input"]).into_iter().enumerate().rev();
            let data: Vec<Value> = data
                .map(|(index, embedding)| {
                    json!({ "object": "embedding", "index": index, "embedding": embedding })
                })
                .collect();
            let usage = json!({ "prompt_tokens": words(&body["input"]), "total_tokens": 0 });
            json_of(200, &json!({ "object": "list", "data": data, "usage": usage }))
        }
        "/infer" => {
            let prompt = body["prompt"].as_str().unwrap_or_default();
            let usage = json!({ "promptTokenCount": 3, "generatedTokenCount": 5 });
            json_of(200, &json!({ "text": backwards(prompt), "usage": usage }))
        }
        "/embed" => {
            let usage = json!({ "promptTokenCount": words(&body["input"]) });
            json_of(200, &json!({ "embeddings": embeddings(&body["input"]), "usage": usage }))
        }
        _ => error(404, "no such path", "not_found"),
    }
}

async fn completion(body: &Value) -> Answer {
    let message = &body["messages"][0];
    let prompt = message["content"].as_str().unwrap_or_default();
    match prompt {
        _ if message["role"] != "user" => return error(400, "no user", "invalid_request_error"),
        "" => return error(400, "the prompt is empty", "invalid_request_error"),
        "slow" => tokio::time::sleep(Duration::from_secs(5)).await,
        "broken" => return Ok(Response::new(Full::new("{\"choices\": [".into()))),
        _ => {}
    }
    let message = json!({ "role": "assistant", "content": backwards(prompt), "refusal": null });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8 });
    json_of(200, &json!({ "object": "chat.completion", "choices": [choice], "usage": usage }))
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

/// How many characters and words a text has.
fn embeddings(texts: &Value) -> Vec<Value> {
    let texts = texts.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| json!([text.chars().count(), text.split(' ').count(), 0.5])).collect()
}

fn words(texts: &Value) -> usize {
    let texts = texts.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| text.split(' ').count()).sum()
}

fn error(status: u16, message: &str, code: &str) -> Answer {
    json_of(status, &json!({ "error": { "message": message, "type": "error", "code": code } }))
}

fn json_of(status: u16, body: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}
