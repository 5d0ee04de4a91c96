//! A command that runs once, on this process's standard streams, beside whatever else is served.

use std::sync::Arc;

use dayfly_capabilities::HostState;
use dayfly_capabilities::wasi::{Invocation, Stdio};
use dayfly_engine::CpuBudget;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::Error;

use super::component::ComponentHost;
use super::failure::Failure;
use super::guest::{self, Answer, Guest};
use super::loading::{NotLoaded, Resident};
use super::meter::Meter;
use super::runner::Runner;

/// How a command ended.
pub(crate) enum Ended {
    /// By itself.
    Status(u8),
    /// It trapped, was stopped at a limit, or never began, for the reason that the text tells.
    Stopped(String),
}

/// The status of a command, on its way.
#[derive(Clone, Copy)]
struct Exit(u8);

impl ComponentHost {
    /// Runs the component, which is a command, to its end.
    pub(crate) async fn run_once(self: &Arc<Self>, arguments: Vec<String>) -> Ended {
        let mut meter = Meter::begin(self, false, None);
        match self.try_once(arguments, &meter).await {
            Ok(status) => {
                meter.answered(StatusCode::OK);
                Ended::Status(status)
            }
            Err(failure) => {
                meter.failed(&failure);
                Ended::Stopped(failure.to_string())
            }
        }
    }

    async fn try_once(
        self: &Arc<Self>,
        arguments: Vec<String>,
        meter: &Meter,
    ) -> Result<u8, Failure> {
        let limits = &self.limits;
        let permit = self.admission.enter(self.name(), 0).await?;
        self.shared.resources.residency.touch(self.last_use(), meter.began());
        let resident = self.resident(limits.time).await.map_err(|error| match error {
            NotLoaded::Failed(text) => Failure::Load(text),
            NotLoaded::Slow => Failure::Loading,
        })?;
        let (sender, receiver) = oneshot::channel();
        let work = Box::pin(run(resident.clone(), arguments, sender));
        let guest = Guest::new(
            work,
            CpuBudget::new(limits.cpu, None),
            None,
            (permit, resident),
            (None, None),
        );
        let (answer, _) = guest::run(guest, receiver, limits.time).await?;
        let exit = answer.extensions().get::<Exit>().copied();
        exit.map(|Exit(status)| status).ok_or(Failure::NoResponse)
    }
}

async fn run(
    resident: Arc<Resident>,
    arguments: Vec<String>,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let invocation = Invocation { arguments, environment: Vec::new() };
    let state = HostState::for_command(resident.grants.clone(), Stdio::Inherit, invocation);
    let code = resident.code.clone();
    let mut store = code.store(state);
    let ended = match resident.runner.clone() {
        Runner::Command02(pre) => {
            let ran = async {
                let command = code.instantiating(pre.instantiate_async(&mut store)).await?;
                command.wasi_cli_run().call_run(&mut store).await
            };
            ran.await
        }
        Runner::Command03(pre) => {
            let ran = async {
                let command = code.instantiating(pre.instantiate_async(&mut store)).await?;
                store
                    .run_concurrent(async |accessor| {
                        command.wasi_cli_run().call_run(accessor).await
                    })
                    .await?
            };
            ran.await
        }
        _ => return Err(Failure::Guest("it is no command".to_owned())),
    };
    let exit = Exit(status(ended, &mut store)?);
    let mut answer = Response::new(Empty::new().map_err(Error::from).boxed_unsync());
    answer.extensions_mut().insert(exit);
    // Nobody listens any more if its time was over.
    let _ = sender.send(Ok(answer));
    Ok(())
}

/// The status that a command ended with.
fn status(
    ended: wasmtime::Result<Result<(), ()>>,
    store: &mut Store<HostState>,
) -> Result<u8, Failure> {
    match ended {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            // The system keeps the lower eight bits of a status.
            Some(exit) => Ok((exit.0 & 0xff) as u8),
            None => Err(Failure::of_call(error, store)),
        },
    }
}
