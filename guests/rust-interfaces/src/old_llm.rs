//! `fermyon:spin/llm` without a version: `/old-llm/infer` and `/old-llm/embed`, text in the body.

use crate::bindings::fermyon::spin::llm::{Error, generate_embeddings, infer};
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn ask(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let text = String::from_utf8(crate::body(exchange)?)?;
    let answer = match operation {
        "embed" => embed(&text),
        _ => complete(&text),
    };
    exchange.text(&answer.map_err(|error| wit_failure("llm", error))?)
}

fn complete(prompt: &str) -> Result<String, Error> {
    let result = infer("test-model", prompt, None)?;
    let usage = &result.usage;
    Ok(format!("{} {} {}", usage.prompt_token_count, usage.generated_token_count, result.text))
}

/// One text a line.
fn embed(text: &str) -> Result<String, Error> {
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let result = generate_embeddings("test-model", &texts)?;
    Ok(format!("{} {:?}", result.usage.prompt_token_count, result.embeddings))
}
