//! The host's side of `fermyon:spin/llm`, whose two versions differ in nothing but their names.

use dayfly_engine::Flavour;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::{Backend, Embedded, Failure, Inferred, Params};
use crate::HostState;
use crate::refusals::{Refusal, shortened};

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] = &["fermyon:spin/llm", "fermyon:spin/llm@2.0.0"];

/// The longest prompt, and the longest texts of one request together, in bytes.
const INPUT_BYTES: usize = 4 << 20;

/// How many texts one request may have.
const TEXTS: usize = 2048;

#[derive(ComponentType, Lift)]
#[component(record)]
struct InferencingParams {
    #[component(name = "max-tokens")]
    max_tokens: u32,
    #[component(name = "repeat-penalty")]
    repeat_penalty: f32,
    #[component(name = "repeat-penalty-last-n-token-count")]
    repeat_penalty_last_n_token_count: u32,
    temperature: f32,
    #[component(name = "top-k")]
    top_k: u32,
    #[component(name = "top-p")]
    top_p: f32,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct InferencingResult {
    text: String,
    usage: InferencingUsage,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct InferencingUsage {
    #[component(name = "prompt-token-count")]
    prompt: u32,
    #[component(name = "generated-token-count")]
    generated: u32,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct EmbeddingsResult {
    embeddings: Vec<Vec<f32>>,
    usage: EmbeddingsUsage,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct EmbeddingsUsage {
    #[component(name = "prompt-token-count")]
    prompt: u32,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "model-not-supported")]
    ModelNotSupported,
    #[component(name = "runtime-error")]
    Runtime(String),
    #[component(name = "invalid-input")]
    InvalidInput(String),
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Infer = (String, String, Option<InferencingParams>);

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    for interface in INTERFACES {
        let mut llm = linker.instance(interface)?;
        llm.func_wrap_async("infer", |store: Store<'_>, (model, prompt, params): Infer| {
            Box::new(async move {
                let inferred = infer(store, &model, &prompt, params).await;
                Ok((inferred.map(InferencingResult::from).map_err(Error::from),))
            })
        })?;
        llm.func_wrap_async(
            "generate-embeddings",
            |store: Store<'_>, (model, texts): (String, Vec<String>)| {
                Box::new(async move {
                    let embedded = embed(store, &model, &texts).await;
                    Ok((embedded.map(EmbeddingsResult::from).map_err(Error::from),))
                })
            },
        )?;
    }
    Ok(())
}

async fn infer(
    mut store: Store<'_>,
    model: &str,
    prompt: &str,
    params: Option<InferencingParams>,
) -> Result<Inferred, Failure> {
    let grants = store.data().shared_grants();
    let backend = granted(store.data_mut(), &grants.llm, model, prompt.len())?;
    let params = params.map(Params::try_from).transpose()?;
    backend.infer(model, prompt, params).await
}

async fn embed(mut store: Store<'_>, model: &str, texts: &[String]) -> Result<Embedded, Failure> {
    if texts.len() > TEXTS {
        return Err(Failure::Input(format!("more than {TEXTS} texts")));
    }
    let bytes = texts.iter().map(String::len).fold(0, usize::saturating_add);
    let grants = store.data().shared_grants();
    granted(store.data_mut(), &grants.llm, model, bytes)?.embed(model, texts).await
}

/// Who answers for a model that the component may ask, with so many bytes.
fn granted<'a>(
    state: &mut HostState,
    grant: &'a super::Grant,
    model: &str,
    bytes: usize,
) -> Result<&'a Backend, Failure> {
    if !grant.models.iter().any(|granted| granted == model) {
        let grants = state.grants();
        grants.refusals.note(Refusal::Model, |unsaid| {
            let (component, model) = (&grants.component, shortened(model));
            tracing::warn!(%component, model, unsaid, "refused: `ai_models` does not grant this");
        });
        let text = format!("`ai_models` does not grant the model `{}`", shortened(model));
        return Err(Failure::Input(text));
    }
    if bytes > INPUT_BYTES {
        return Err(Failure::Input(format!("more than {INPUT_BYTES} bytes of text")));
    }
    if !state.spend_outbound() {
        return Err(Failure::Runtime("the instance made as many requests as it may".to_owned()));
    }
    let none = "no server of language models is configured (`llm_compute`)";
    grant.backend.as_deref().ok_or_else(|| Failure::Runtime(none.to_owned()))
}

impl TryFrom<InferencingParams> for Params {
    type Error = Failure;

    fn try_from(params: InferencingParams) -> Result<Self, Failure> {
        let InferencingParams { repeat_penalty, temperature, top_p, .. } = params;
        if ![repeat_penalty, temperature, top_p].iter().all(|number| number.is_finite()) {
            return Err(Failure::Input("a parameter is no finite number".to_owned()));
        }
        Ok(Self {
            max_tokens: params.max_tokens,
            repeat_penalty,
            repeat_penalty_last_n_token_count: params.repeat_penalty_last_n_token_count,
            temperature,
            top_k: params.top_k,
            top_p,
        })
    }
}

impl From<Inferred> for InferencingResult {
    fn from(inferred: Inferred) -> Self {
        let Inferred { text, prompt_tokens: prompt, generated_tokens: generated } = inferred;
        Self { text, usage: InferencingUsage { prompt, generated } }
    }
}

impl From<Embedded> for EmbeddingsResult {
    fn from(Embedded { embeddings, prompt_tokens: prompt }: Embedded) -> Self {
        Self { embeddings, usage: EmbeddingsUsage { prompt } }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ModelNotSupported => Self::ModelNotSupported,
            Failure::Input(text) => Self::InvalidInput(text),
            Failure::Runtime(text) => Self::Runtime(text),
        }
    }
}
