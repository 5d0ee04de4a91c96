//! Arguments from WAVE, and results to JSON.

use anyhow::{Error, Result, anyhow, bail};
use serde_json::{Value, json};
use wasm_wave::parser::ParserError;
use wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Type, Val, wasm_wave};

/// The longest argument, or call, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A function's name, and its arguments as text.
pub(super) struct Arguments<'a> {
    pub(super) function: &'a str,
    text: Text<'a>,
}

enum Text<'a> {
    /// `(1, 2)`.
    Call(&'a str),
    /// Each by itself.
    Words(&'a [String]),
}

impl<'a> Arguments<'a> {
    /// Takes `add(1, 2)` apart, or `add` with the words that follow it.
    ///
    /// # Errors
    /// If both are given, or too much.
    pub(super) fn split(call: &'a str, words: &'a [String]) -> Result<Self> {
        if call.len() > MAX_BYTES || words.iter().any(|word| word.len() > MAX_BYTES) {
            bail!("an argument is longer than {} KiB", MAX_BYTES >> 10);
        }
        let Some(parenthesis) = call.find('(') else {
            return Ok(Self { function: call.trim(), text: Text::Words(words) });
        };
        if let Some(word) = words.first() {
            bail!("the call `{call}` has its arguments already, so `{word}` is one too many");
        }
        let (function, arguments) = call.split_at(parenthesis);
        Ok(Self { function: function.trim(), text: Text::Call(arguments) })
    }

    /// The values of a function's parameters.
    ///
    /// # Errors
    /// If the text is no WAVE, or of other types.
    pub(super) fn parse(&self, function: &ComponentFunc) -> Result<Vec<Val>> {
        let types: Vec<Type> = function.params().map(|(_, ty)| ty).collect();
        match self.text {
            Text::Call(arguments) => {
                // The name may be one that WAVE does not know how to write.
                let source = format!("f{arguments}");
                UntypedFuncCall::parse(&source)
                    .and_then(|call| call.to_wasm_params(&types))
                    .map_err(|error| wrong("the arguments", &source, &error))
            }
            Text::Words(words) => {
                let names: Vec<&str> = function.params().map(|(name, _)| name).collect();
                self.parse_words(words, &types, &names)
            }
        }
    }

    fn parse_words(&self, words: &[String], types: &[Type], names: &[&str]) -> Result<Vec<Val>> {
        let omitted = types.get(words.len()..).unwrap_or_default();
        let is_option = |ty: &Type| matches!(ty, Type::Option(_));
        if words.len() > types.len() || !omitted.iter().all(is_option) {
            let (wanted, given) = (types.len(), words.len());
            bail!("`{}` takes {}, and got {given}", self.function, count(wanted));
        }
        let mut values = Vec::with_capacity(types.len());
        for ((word, ty), name) in words.iter().zip(types).zip(names) {
            values
                .push(value(word, ty).map_err(|error| wrong(&format!("`{name}`"), word, &error))?);
        }
        values.extend(omitted.iter().map(|_| Val::Option(None)));
        Ok(values)
    }
}

/// What `call` makes of its command line, as JSON.
#[cfg(fuzzing)]
pub fn arguments(
    call: &str,
    words: &[String],
    function: &ComponentFunc,
) -> Result<Vec<Value>, String> {
    let values = Arguments::split(call, words).and_then(|arguments| arguments.parse(function));
    Ok(values.map_err(|error| format!("{error:#}"))?.iter().map(json).collect())
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        several => format!("{several} arguments"),
    }
}

/// One argument. A shell takes the quotes of a text away, so a text does without them.
fn value(word: &str, ty: &Type) -> Result<Val, ParserError> {
    if matches!(ty, Type::String) && !word.trim_start().starts_with('"') {
        return Ok(Val::String(word.to_owned()));
    }
    wasm_wave::from_str(ty, word)
}

fn wrong(what: &str, source: &str, error: &ParserError) -> Error {
    let span = error.span();
    let near: String = source.get(span.start..).unwrap_or_default().chars().take(20).collect();
    let problem = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{}: {source}", error.kind()),
            None => error.kind().to_string(),
        },
    };
    match near.is_empty() {
        true => anyhow!("failed to read {what}: {problem}, at the end"),
        false => anyhow!("failed to read {what}: {problem}, near `{near}`"),
    }
}

/// A value as JSON: records are objects; `none` is null; a variant with a payload, `ok` and `err`
/// are objects of one key; other cases and characters are texts; flags are a list of those set. Numbers
/// that JSON does not have are texts.
pub(super) fn json(value: &Val) -> Value {
    let payload = |value: &Option<Box<Val>>| value.as_deref().map_or(Value::Null, json);
    match value {
        Val::Bool(value) => json!(value),
        Val::S8(value) => json!(value),
        Val::U8(value) => json!(value),
        Val::S16(value) => json!(value),
        Val::U16(value) => json!(value),
        Val::S32(value) => json!(value),
        Val::U32(value) => json!(value),
        Val::S64(value) => json!(value),
        Val::U64(value) => json!(value),
        Val::Float32(value) if value.is_finite() => json!(value),
        Val::Float64(value) if value.is_finite() => json!(value),
        Val::Char(value) => json!(value),
        Val::String(value) => json!(value),
        Val::List(values) | Val::FixedLengthList(values) | Val::Tuple(values) => {
            values.iter().map(json).collect()
        }
        Val::Record(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
        Val::Variant(case, None) | Val::Enum(case) => json!(case),
        Val::Variant(case, value) => json!({ case: payload(value) }),
        Val::Option(value) => payload(value),
        Val::Result(Ok(value)) => json!({ "ok": payload(value) }),
        Val::Result(Err(value)) => json!({ "err": payload(value) }),
        Val::Flags(names) => json!(names),
        other => json!(wasm_wave::to_string(other).unwrap_or_default()),
    }
}
