//! A server of language models that answers what a test says, by OpenAI's interface.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dayfly_model::test_file::LlmFake;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::matching;

/// The longest prompt, in bytes.
const PROMPT_BYTES: usize = 32 << 20;

/// Answers until its runtime ends.
pub(super) async fn serve(listener: TcpListener, fakes: Vec<LlmFake>) {
    let fakes: Arc<[LlmFake]> = fakes.into();
    while let Ok((stream, _)) = listener.accept().await {
        let fakes = fakes.clone();
        let service = service_fn(move |request| {
            let fakes = fakes.clone();
            async move { Ok::<_, Infallible>(answer(&fakes, request).await) }
        });
        let serving = hyper::server::conn::http1::Builder::new();
        tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(fakes: &[LlmFake], request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_prompt = request.uri().path().ends_with("/chat/completions");
    let body = Limited::new(request.into_body(), PROMPT_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let prompt = asked["messages"][0]["content"].as_str().unwrap_or_default();
    let model = asked["model"].as_str().unwrap_or_default();
    let found = fakes.iter().filter(|_| is_prompt).find(|fake| {
        fake.model.as_deref().is_none_or(|named| named == model)
            && fake.prompt.as_ref().is_none_or(|it| matching::fits(it, Some(prompt.as_bytes())))
    });
    let (status, answer) = match found {
        Some(fake) => (StatusCode::OK, completion(prompt, &fake.answer)),
        None => {
            let message = "no `setup.llm` of the test answers this";
            (StatusCode::BAD_REQUEST, json!({ "error": { "message": message } }))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    *response.status_mut() = status;
    response
}

/// A word counts as a token.
fn completion(prompt: &str, answer: &str) -> Value {
    let words = |text: &str| text.split_whitespace().count();
    json!({
        "choices": [{ "message": { "role": "assistant", "content": answer } }],
        "usage": { "prompt_tokens": words(prompt), "completion_tokens": words(answer) },
    })
}
