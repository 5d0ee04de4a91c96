//! `dayfly run`: one command, once, with arguments and on this process's streams.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_capabilities::HostState;
use dayfly_capabilities::wasi::{Invocation, Stdio};
use dayfly_forge::ShapeError;

use crate::engine::EngineArgs;
use crate::oneshot::{self, Ending, GrantArgs, Guest};
use crate::{logging, report};

/// Run a command: a component with `wasi:cli/run`, or a core module with `_start`
///
/// It gets this process's standard streams, and of everything else only what flags grant. All that
/// follows FILE is the guest's; flags of Dayfly's stand before it.
#[derive(Args)]
#[command(after_help = EXAMPLES, override_usage = "dayfly run [OPTIONS] <FILE> [--] [ARGS]...")]
pub(crate) struct Run {
    /// The command (`.wasm` or `.wat`), and what it is called with
    #[arg(value_names = ["FILE", "ARGS"], required = true, num_args = 1.., trailing_var_arg = true,
          allow_hyphen_values = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    grants: GrantArgs,
}

const EXAMPLES: &str = "\
Exit status:
  the guest's own; 134 when it trapped or was stopped at a limit, as with `wasmtime run`;
  1 when it could not be started, 2 when this command was misused

Examples:
  dayfly run tool.wasm --verbose input.txt
  dayfly run --dir data::/data --env LANG=C tool.wasm /data/input.txt
  dayfly run --allow https://example.com --limit time=30s fetch.wasm";

/// How many exports of a component that is no command an error names.
const SHOWN_EXPORTS: usize = 8;

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let (file, arguments) = self.invocation()?;
        let prepared = oneshot::prepare(&file)?;
        let shape = dayfly_forge::shape::detect_command(&prepared.world).map_err(no_command)?;
        let grants = self.grants.open(&file)?;
        let engine = self.engine.build(oneshot::INSTANCES, 0, [&grants.limits])?;
        let guest = Guest::link(oneshot::load(&engine, &prepared.wasm, &grants.limits)?)?;
        drop(prepared);
        self.grants.harden()?;
        let invocation = Invocation { arguments, environment: Vec::new() };
        let state = HostState::for_command(grants, Stdio::Inherit, invocation);
        let mut store = guest.code.store(state);
        let limits = self.grants.limits();
        let ending = match oneshot::drive(&limits, guest.run(shape, &mut store))? {
            Some(result) => Ending::of(result, &mut store)?,
            None => Ending::out_of_time(&limits),
        };
        ending
            .status(|result| Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
    }

    /// The file, and the guest's arguments with its name first.
    fn invocation(&self) -> Result<(PathBuf, Vec<String>)> {
        let (file, rest) = self.command.split_first().context("no file")?;
        let file = PathBuf::from(file);
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        // The `--` that sets the guest's arguments off is not one of them.
        let rest = if rest.first().is_some_and(|word| word == "--") { &rest[1..] } else { rest };
        let mut arguments = vec![name];
        for word in rest {
            let word = word.to_str().ok_or_else(|| {
                anyhow!("the argument `{}` is not UTF-8, as WASI wants it", word.display())
            })?;
            arguments.push(word.to_owned());
        }
        Ok((file, arguments))
    }
}

fn no_command(error: ShapeError) -> anyhow::Error {
    let hint =
        "`dayfly up` serves HTTP handlers, and `dayfly call` calls functions of any component";
    let error = match error {
        ShapeError::NotACommand { exports } => {
            let more = exports.len().saturating_sub(SHOWN_EXPORTS);
            let shown = exports.iter().take(SHOWN_EXPORTS).map(|export| format!("`{export}`"));
            let shown = shown.collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            anyhow!("the component is no command: it exports only {shown}{more}")
        }
        other => other.into(),
    };
    report::hint(error, Some(hint))
}
