//! A command that runs once, with what it reads and prints at hand.

use std::io::Cursor;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use dayfly_capabilities::wasi::stdio::{PipeReader, pipe};
use dayfly_capabilities::wasi::{Invocation, Stdio};
use dayfly_capabilities::{Grants, HostState, Shares, Supply};
use dayfly_engine::Engine;
use dayfly_host::{Image, Made};
use dayfly_model::test_file::Command;
use dayfly_model::{CommandTrigger, Limits, TriggerKind};
use dayfly_telemetry::ComponentMetrics;

use super::Outcome;
use crate::oneshot::{self, Ending, Guest};
use crate::rehearsal::content;
use crate::rehearsal::stage::Stage;

/// How many files and sockets it may hold open.
const DESCRIPTORS: u64 = 1024;

/// How much of what it prints is taken, in bytes.
const OUTPUT_BYTES: usize = 64 << 20;

/// Runs a command of the app.
pub(super) async fn run(stage: &Stage<'_>, asked: &Command) -> Result<Outcome> {
    let company = stage.scene.company;
    let trigger = company.app.triggers.iter().find_map(|trigger| match &trigger.kind {
        TriggerKind::Command(command) if command.component.0 == asked.component => Some(command),
        _ => None,
    });
    let CommandTrigger { component: id, arguments, executor } = trigger.with_context(|| {
        format!("no `[[trigger.command]]` of the app names component `{}`", asked.component)
    })?;
    let (release, seen) = stage.scene.release(|_| Ok(stage.seen.clone()))?;
    let image =
        release.images.into_iter().find(|it| it.component == *id && it.executor == *executor);
    let image = image.context("the command is not there")?;
    let component = release.app.components.get(id).context("the command is not there")?;
    let metrics = Arc::new(ComponentMetrics::new(id.0.as_str()));
    let log = image.log.clone();
    let grants = Grants::prepare(
        &release.app,
        component,
        &release.backends,
        log.clone(),
        Shares { descriptors: Supply::new(DESCRIPTORS).share(), ..Shares::unbounded() },
        metrics,
    )?;
    let words = std::iter::once(&id.0).chain(arguments).chain(&asked.arguments);
    let arguments = words.cloned().collect();
    let stdin = asked.stdin.as_ref().map(content::bytes).transpose()?.unwrap_or_default();
    let (writer, reader) = pipe();
    let stdio = Stdio::pipes(Cursor::new(stdin), writer, log);
    let invocation = Invocation { arguments, environment: Vec::new() };
    let (engine, limits) = (company.engine.clone(), component.limits.clone());
    let state = HostState::for_command(Arc::new(grants), stdio, invocation);
    let ran = tokio::task::spawn_blocking(move || to_its_end(&engine, &image, &limits, state));
    let (ran, printed) = tokio::join!(ran, taken(reader));
    let status = match ran.context("the command panicked")?? {
        Ending::Returned(Ok(())) => 0,
        Ending::Returned(Err(())) => 1,
        Ending::Exited(status) => status,
        Ending::Stopped(error) => {
            seen.note(format!("{id} | {error:#}"));
            bail!("the command was stopped: {error:#}");
        }
    };
    Ok(Outcome { status: Some(status.into()), body: Some(printed), ..Outcome::default() })
}

fn to_its_end(
    engine: &Engine,
    image: &Image,
    limits: &Limits,
    state: HostState,
) -> Result<Ending<Result<(), ()>>> {
    let prepared = image.source.prepare(engine).map_err(|error| anyhow!(error))?;
    let code = match prepared.made {
        Made::Wasm(wasm) => oneshot::load(engine, &wasm, limits)?,
        Made::Code(code) => code,
    };
    let guest = Guest::link(code)?;
    let mut store = guest.code.store(state);
    match oneshot::drive(limits, guest.run(prepared.shape, &mut store))? {
        Some(result) => Ending::of(result, &mut store),
        None => Ok(Ending::out_of_time(limits)),
    }
}

/// What a command prints, to its end.
async fn taken(mut reader: PipeReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.recv().await {
        let room = OUTPUT_BYTES.saturating_sub(all.len()).min(chunk.len());
        all.extend_from_slice(&chunk[..room]);
    }
    all
}
