//! OpenAI's interface: chat completions and embeddings, as its reference states them.

use serde_json::{Value, json};

use super::{Embedded, Inferred, Params};

/// The body of a request for an answer. `top-k` and the number of tokens that the repeat penalty
/// looks back on have no counterpart; without parameters the server's own hold, but for the length.
pub(super) fn completion(model: &str, prompt: &str, params: Option<Params>) -> Value {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": prompt }],
        "max_completion_tokens": params.unwrap_or_default().max_tokens,
    });
    if let Some(params) = params {
        body["temperature"] = params.temperature.into();
        body["top_p"] = params.top_p.into();
        // Spin's is a factor, which is 1 for none; this one is an addend from -2 to 2.
        body["frequency_penalty"] = (params.repeat_penalty - 1.0).clamp(-2.0, 2.0).into();
    }
    body
}

/// The answer.
pub(super) fn completed(answer: &Value) -> Option<Inferred> {
    let message = answer["choices"].get(0)?.get("message")?;
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        // A model that declines says so elsewhere.
        Value::Null => message["refusal"].as_str().unwrap_or_default().to_owned(),
        _ => return None,
    };
    let usage = &answer["usage"];
    let (prompt_tokens, generated_tokens) =
        (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
    Some(Inferred { text, prompt_tokens, generated_tokens })
}

/// The body of a request for embeddings.
pub(super) fn embeddings(model: &str, texts: &[String]) -> Value {
    json!({ "model": model, "input": texts, "encoding_format": "float" })
}

/// The embeddings, in the order of their texts.
pub(super) fn embedded(answer: &Value) -> Option<Embedded> {
    let mut found = Vec::new();
    for (position, item) in answer["data"].as_array()?.iter().enumerate() {
        let index = item["index"].as_u64().unwrap_or(position as u64);
        found.push((index, vector(&item["embedding"])?));
    }
    found.sort_by_key(|(index, _)| *index);
    let embeddings = found.into_iter().map(|(_, vector)| vector).collect();
    Some(Embedded { embeddings, prompt_tokens: count(&answer["usage"]["prompt_tokens"]) })
}

/// A list of numbers.
pub(super) fn vector(value: &Value) -> Option<Vec<f32>> {
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    value.as_array()?.iter().map(number).collect()
}

/// A number of tokens; servers may leave it out.
pub(super) fn count(value: &Value) -> u32 {
    value.as_u64().map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_in_the_order_of_their_texts() {
        let answer = json!({
            "data": [
                { "index": 1, "embedding": [2.0] },
                { "index": 0, "embedding": [1.0, 1.5] },
            ],
            "usage": { "prompt_tokens": 7 },
        });
        let embedded = embedded(&answer).unwrap();
        assert_eq!(embedded.embeddings, [vec![1.0, 1.5], vec![2.0]]);
        assert_eq!(embedded.prompt_tokens, 7);
    }

    #[test]
    fn an_answer_that_says_something_else_is_none() {
        for answer in [
            json!({}),
            json!({ "choices": [] }),
            json!({ "choices": [{ "message": { "content": 1 } }] }),
        ] {
            assert_eq!(completed(&answer), None);
        }
        assert_eq!(embedded(&json!({ "data": [{ "embedding": ["a"] }] })), None);
    }
}
