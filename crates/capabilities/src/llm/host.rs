//! The host's side of `fermyon:spin/llm`, whose two versions differ in nothing but their names.

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::{Backend, Embedded, Failure, Grant, Inferred, Params};
use crate::HostState;
use crate::calls::Call;
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
    let call = grants.call(Capability::Llm, "infer");
    if let Err(refused) = granted(store.data_mut(), model, prompt.len()) {
        return call.end_with(Err(refused), |_| true);
    }
    let mut call = asking(call, "text_completion", model);
    let inferred = async {
        let params = params.map(Params::try_from).transpose()?;
        grants.llm.backend()?.infer(model, prompt, params).await
    };
    let inferred = inferred.await;
    if let (Some(span), Ok(inferred)) = (call.span(), &inferred) {
        span.integer("gen_ai.usage.input_tokens", inferred.prompt_tokens.into());
        span.integer("gen_ai.usage.output_tokens", inferred.generated_tokens.into());
    }
    call.end(inferred)
}

async fn embed(mut store: Store<'_>, model: &str, texts: &[String]) -> Result<Embedded, Failure> {
    let grants = store.data().shared_grants();
    let call = grants.call(Capability::Llm, "generate-embeddings");
    if texts.len() > TEXTS {
        let too_many = Failure::Input(format!("more than {TEXTS} texts"));
        return call.end_with(Err(too_many), |_| true);
    }
    let bytes = texts.iter().map(String::len).fold(0, usize::saturating_add);
    if let Err(refused) = granted(store.data_mut(), model, bytes) {
        return call.end_with(Err(refused), |_| true);
    }
    let mut call = asking(call, "embeddings", model);
    let embedded = async { grants.llm.backend()?.embed(model, texts).await };
    let embedded = embedded.await;
    if let (Some(span), Ok(embedded)) = (call.span(), &embedded) {
        span.integer("gen_ai.usage.input_tokens", embedded.prompt_tokens.into());
    }
    call.end(embedded)
}

/// Says what is asked of which model, by OpenTelemetry's conventions. The model is one of those
/// that the manifest names.
fn asking(mut call: Call, operation: &'static str, model: &str) -> Call {
    if let Some(span) = call.span() {
        span.rename(format!("{operation} {model}"));
        span.text("gen_ai.operation.name", operation);
        span.text("gen_ai.request.model", model);
    }
    call
}

/// Whether the component may ask a model, with so many bytes.
fn granted(state: &mut HostState, model: &str, bytes: usize) -> Result<(), Failure> {
    let grants = state.grants();
    if !grants.llm.models.iter().any(|granted| granted == model) {
        grants.refusals.note(Refusal::Model, |unsaid| {
            let (component, model) = (&grants.component, shortened(model));
            tracing::warn!(%component, model, unsaid, "refused: `ai_models` does not grant this");
            grants.tell_ungranted("ai_models", format_args!("[{model:?}]"));
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
    Ok(())
}

impl Grant {
    /// Who answers.
    fn backend(&self) -> Result<&Backend, Failure> {
        let none = "no server of language models is configured (`llm_compute`)";
        self.backend.as_deref().ok_or_else(|| Failure::Runtime(none.to_owned()))
    }
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
