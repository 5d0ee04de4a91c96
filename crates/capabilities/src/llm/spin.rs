//! The interface of Spin's own server of language models (`cloud-gpu`), which it calls `default`.

use serde_json::{Value, json};

use super::openai::{count, vector};
use super::{Embedded, Inferred, Params};

/// The body of a request for an answer.
pub(super) fn infer(model: &str, prompt: &str, params: Params) -> Value {
    json!({
        "model": model,
        "prompt": prompt,
        "options": {
            "maxTokens": params.max_tokens,
            "repeatPenalty": params.repeat_penalty,
            "repeatPenaltyLastNTokenCount": params.repeat_penalty_last_n_token_count,
            "temperature": params.temperature,
            "topK": params.top_k,
            "topP": params.top_p,
        },
    })
}

/// The answer.
pub(super) fn inferred(answer: &Value) -> Option<Inferred> {
    let usage = &answer["usage"];
    let (prompt_tokens, generated_tokens) =
        (count(&usage["promptTokenCount"]), count(&usage["generatedTokenCount"]));
    Some(Inferred { text: answer["text"].as_str()?.to_owned(), prompt_tokens, generated_tokens })
}

/// The body of a request for embeddings.
pub(super) fn embed(model: &str, texts: &[String]) -> Value {
    json!({ "model": model, "input": texts })
}

/// The embeddings.
pub(super) fn embedded(answer: &Value) -> Option<Embedded> {
    let embeddings: Option<_> = answer["embeddings"].as_array()?.iter().map(vector).collect();
    let prompt_tokens = count(&answer["usage"]["promptTokenCount"]);
    Some(Embedded { embeddings: embeddings?, prompt_tokens })
}
