//! Language models: `fermyon:spin/llm`, answered by a server of the operator's.

mod backend;
mod host;
mod openai;
mod spin;

use std::sync::Arc;

use dayfly_model::Component;

pub use backend::Backend;

use crate::registry::Capability;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "llm",
    interfaces: host::INTERFACES,
    granted_by: &[("ai_models", host::INTERFACES)],
    link: host::link,
};

/// One component's share: the models that it may ask, and who answers.
#[derive(Default)]
pub struct Grant {
    models: Vec<String>,
    backend: Option<Arc<Backend>>,
}

impl Grant {
    pub(crate) fn prepare(component: &Component, backend: Option<Arc<Backend>>) -> Self {
        let models = component.ai_models.clone();
        // One that may ask for nothing has no way to ask.
        let backend = if models.is_empty() { None } else { backend };
        Self { models, backend }
    }
}

/// How a model is to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Params {
    max_tokens: u32,
    repeat_penalty: f32,
    repeat_penalty_last_n_token_count: u32,
    temperature: f32,
    top_k: u32,
    top_p: f32,
}

impl Default for Params {
    /// As Spin has them.
    fn default() -> Self {
        Self {
            max_tokens: 100,
            repeat_penalty: 1.1,
            repeat_penalty_last_n_token_count: 64,
            temperature: 0.8,
            top_k: 40,
            top_p: 0.9,
        }
    }
}

/// What a model said.
#[derive(Debug, PartialEq, Eq)]
struct Inferred {
    text: String,
    prompt_tokens: u32,
    generated_tokens: u32,
}

/// What texts mean to a model: a vector each.
#[derive(Debug, PartialEq)]
struct Embedded {
    embeddings: Vec<Vec<f32>>,
    prompt_tokens: u32,
}

/// Why there is no answer; the guest is told all of it.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The server has no such model.
    ModelNotSupported,
    /// The guest's mistake.
    Input(String),
    /// Anything else.
    Runtime(String),
}
