//! `fermyon:spin/llm@2.0.0`: `/llm/infer` and `/llm/embed`, each with a model in `?model=` and text in
//! the body. With `?temperature=`, which may be anything, `infer` states parameters.

use spin_sdk::llm::{
    EmbeddingModel, Error, InferencingModel, InferencingParams, generate_embeddings, infer,
    infer_with_options,
};

/// The answer to a call of the guest.
pub fn handle(operation: &str, query: &str, body: &[u8]) -> (u16, String) {
    let model = value(query, "model").unwrap_or("test-model");
    let text = String::from_utf8_lossy(body).into_owned();
    let answer = match operation {
        "embed" => embed(model, &text),
        _ => complete(model, &text, value(query, "temperature")),
    };
    match answer {
        Ok(text) => (200, text),
        Err(error) => (502, format!("{error:?}\n")),
    }
}

fn complete(model: &str, prompt: &str, temperature: Option<&str>) -> Result<String, Error> {
    let model = InferencingModel::Other(model);
    let result = match temperature.and_then(|text| text.parse().ok()) {
        None => infer(model, prompt)?,
        Some(temperature) => {
            let options =
                InferencingParams { max_tokens: 7, temperature, ..InferencingParams::default() };
            infer_with_options(model, prompt, options)?
        }
    };
    let usage = &result.usage;
    Ok(format!("{} {} {}", usage.prompt_token_count, usage.generated_token_count, result.text))
}

/// One text a line.
fn embed(model: &str, text: &str) -> Result<String, Error> {
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let result = generate_embeddings(EmbeddingModel::Other(model), &texts)?;
    Ok(format!("{} {:?}", result.usage.prompt_token_count, result.embeddings))
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}
