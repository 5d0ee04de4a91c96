//! `dayfly call`: one typed export of a component, with arguments and result in WAVE.

mod exports;
mod types;
mod values;

#[cfg(fuzzing)]
pub use values::arguments;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_capabilities::HostState;
use dayfly_capabilities::wasi::{Invocation, Stdio};
use serde_json::json;
use wasmtime::Store;
use wasmtime::component::{Val, wasm_wave};

use crate::engine::EngineArgs;
use crate::oneshot::{self, Ending, GrantArgs, Guest, StderrLog};
use crate::{logging, output, report};
use exports::Export;
use values::Arguments;

/// Call a function that a component exports; without FUNC, list those that can be called
///
/// Arguments and result are in WAVE, the component model's text form of values: `42`, `"text"`,
/// `[1, 2]`, `{name: "a"}`, `some(1)`, `err("why")`. A text argument may stand without its quotes.
/// What the guest prints goes to standard error, so that standard output holds the result alone.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Call {
    /// The component, `.wasm` or `.wat`
    file: PathBuf,

    /// The function: `greet`, `math#add`, `acme:tools/math@0.1.0#add`; or a call of it:
    /// `add(1, 2)`
    #[arg(value_name = "FUNC")]
    function: Option<String>,

    /// Its arguments, each in WAVE
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    arguments: Vec<String>,

    /// Print the result, or the list, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    grants: GrantArgs,
}

const EXAMPLES: &str = "\
Exit status:
  0 when the function returned, 1 when it returned an `err`, 134 when it trapped or was stopped at
  a limit, 2 when no such function can be called in this way

Examples:
  dayfly call math.wasm
  dayfly call math.wasm add 1 2
  dayfly call greeter.wasm 'greet({name: \"Ada\", polite: true})' --json";

/// The exit status of a call that cannot be made.
const MISUSED: u8 = 2;

impl Call {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let prepared = oneshot::prepare(&self.file)?;
        let limits = self.grants.limits();
        let engine = self.engine.build(oneshot::INSTANCES, 0, [&limits])?;
        let code = oneshot::load(&engine, &prepared.wasm, &limits)?;
        let exports = exports::list(code.component());
        let Some(call) = &self.function else {
            return self.list(&exports);
        };
        let (export, arguments) = match self.parse(&exports, call) {
            Ok(parsed) => parsed,
            Err(error) => {
                report::print(&error);
                return Ok(ExitCode::from(MISUSED));
            }
        };
        let guest = Guest::link(code)?;
        drop(prepared);
        let stdio = Stdio::Log(std::sync::Arc::new(StderrLog));
        let grants = self.grants.open(&self.file)?;
        self.grants.harden()?;
        let state = HostState::for_command(grants, stdio, Invocation::default());
        let mut store = guest.code.store(state);
        let called = invoke(&guest, export, &arguments, &mut store);
        let ending = match oneshot::drive(&limits, called)? {
            Some(result) => Ending::of(result, &mut store)?,
            None => Ending::out_of_time(&limits),
        };
        ending.status(|results| self.print(results.first()))
    }

    /// The export that is called, and its arguments.
    fn parse<'a>(&self, exports: &'a [Export], call: &str) -> Result<(&'a Export, Vec<Val>)> {
        let arguments = Arguments::split(call, &self.arguments)?;
        let export = exports::find(exports, arguments.function)?;
        if let Some(reason) = export.uncallable() {
            return Err(anyhow!("`{export}` cannot be called from a command line: {reason}"));
        }
        let values = arguments.parse(&export.ty).map_err(|error| {
            let signature = types::Signature(&export.ty);
            report::hint(error, Some(format!("`{}` is a {signature}", export.name)))
        })?;
        Ok((export, values))
    }

    fn list(&self, exports: &[Export]) -> Result<ExitCode> {
        if self.json {
            let exports = exports.iter().map(|export| {
                json!({
                    "name": export.to_string(),
                    "interface": export.interface,
                    "function": export.name,
                    "signature": types::Signature(&export.ty).to_string(),
                    "callable": export.uncallable().is_none(),
                })
            });
            output::json(&json!(exports.collect::<Vec<_>>()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (callable, other): (Vec<_>, Vec<_>) =
            exports.iter().partition(|export| export.uncallable().is_none());
        for export in &callable {
            output::line(format_args!("{export}: {}", types::Signature(&export.ty)))?;
        }
        if callable.is_empty() {
            report::warn(format_args!(
                "`{}` exports no function that can be called",
                self.file.display()
            ));
        }
        if !other.is_empty() {
            report::warn(format_args!(
                "{} more cannot be called from a command line (`--json` lists them)",
                other.len()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, result: Option<&Val>) -> Result<ExitCode> {
        if self.json {
            output::json(&result.map_or(serde_json::Value::Null, values::json))?;
        } else if let Some(result) = result {
            output::line(wasm_wave::to_string(result).context("the result has no text form")?)?;
        }
        let failed = matches!(result, Some(Val::Result(Err(_))));
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

async fn invoke(
    guest: &Guest,
    export: &Export,
    arguments: &[Val],
    store: &mut Store<HostState>,
) -> wasmtime::Result<Vec<Val>> {
    let instance = guest.code.instantiating(guest.pre.instantiate_async(&mut *store)).await?;
    let function = export.function(&instance, store)?;
    let mut results = vec![Val::Bool(false); export.ty.results().len()];
    function.call_async(store, arguments, &mut results).await?;
    Ok(results)
}
