//! Commands as request handlers, by CGI/1.1 (RFC 3875), which Spin calls wagi: meta-variables in
//! the environment, the body on standard input, the response on standard output.

mod call;
mod response;

use std::sync::Arc;

use dayfly_capabilities::wasi::Stdio;
use dayfly_capabilities::wasi::stdio::{PipeReader, PipeWriter, pipe};
use dayfly_capabilities::{Grants, HostState, Share};
use dayfly_engine::Code;
use futures_util::TryStreamExt;
use futures_util::future::try_join;
use http_body_util::BodyDataStream;
use tokio::sync::oneshot;
use tokio_util::io::StreamReader;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre03;
use wasmtime_wasi_http::WasiBody;

pub(super) use call::Call;
#[cfg(fuzzing)]
pub use response::cgi_head;

use super::deliver::OUTPUT_BYTES;
use super::failure::Failure;
use super::guest::Answer;

/// Runs a command that exports `wasi:cli/run@0.2`.
pub(super) async fn run02(
    code: Code,
    pre: CommandPre<HostState>,
    grants: Arc<Grants>,
    call: Call,
    body: WasiBody,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let (stdout, output) = pipe();
    let (wanted, share) = (Wanted::by(&call, &grants), grants.whole().clone());
    let guest = async {
        let mut store = store(&code, grants, call, body, stdout);
        let ran = async {
            let command = code.instantiating(pre.instantiate_async(&mut store)).await?;
            command.wasi_cli_run().call_run(&mut store).await
        };
        ended(ran.await, store, wanted)
    };
    finish(guest, output, (wanted, &share), sender).await
}

/// Runs a command that exports `wasi:cli/run@0.3`.
pub(super) async fn run03(
    code: Code,
    pre: CommandPre03<HostState>,
    grants: Arc<Grants>,
    call: Call,
    body: WasiBody,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let (stdout, output) = pipe();
    let (wanted, share) = (Wanted::by(&call, &grants), grants.whole().clone());
    let guest = async {
        let mut store = store(&code, grants, call, body, stdout);
        let ran = async {
            let command = code.instantiating(pre.instantiate_async(&mut store)).await?;
            store
                .run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await)
                .await?
        };
        ended(ran.await, store, wanted)
    };
    finish(guest, output, (wanted, &share), sender).await
}

/// What is made of what a command writes, and its bound in bytes.
#[derive(Clone, Copy)]
enum Wanted {
    /// A response, whose head has so many bytes at most. Its status says how the request went.
    Response(u64),
    /// All of it, up to so many bytes, if the command succeeds.
    Output(u64),
}

impl Wanted {
    fn by(call: &Call, grants: &Grants) -> Self {
        match call.is_event() {
            true => Self::Output(grants.limits.output_bytes.min(OUTPUT_BYTES)),
            false => Self::Response(grants.limits.header_bytes),
        }
    }
}

fn store(
    code: &Code,
    grants: Arc<Grants>,
    call: Call,
    body: WasiBody,
    stdout: PipeWriter,
) -> Store<HostState> {
    let input = BodyDataStream::new(body).map_err(std::io::Error::other);
    // The guest's input is shared by threads as far as the types know; a lock costs nothing here.
    let input = sync_wrapper::SyncStream::new(input);
    let stdio = Stdio::pipes(StreamReader::new(input), stdout, grants.log.clone());
    let (invocation, behind) = call.into_parts();
    code.store(HostState::for_command(grants, stdio, invocation).behind(behind))
}

/// How a command ended. Its store goes here, and with it the writing end of its output. What it
/// wrote of a response counts, whatever its status.
fn ended(
    result: wasmtime::Result<Result<(), ()>>,
    mut store: Store<HostState>,
    wanted: Wanted,
) -> Result<(), Failure> {
    let succeeded = match result {
        Ok(result) => result.is_ok(),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => exit.0 == 0,
            None => return Err(Failure::of_call(error, &mut store)),
        },
    };
    if !succeeded && matches!(wanted, Wanted::Output(_)) {
        return Err(Failure::Exit);
    }
    if !succeeded {
        let grants = store.data().grants();
        grants.metrics.lines().note(|unsaid| {
            let component = &*grants.component;
            tracing::warn!(component, unsaid, "the command ended with a failure status");
        });
    }
    Ok(())
}

/// Runs the command and reads what it writes until both are done.
async fn finish(
    guest: impl Future<Output = Result<(), Failure>>,
    output: PipeReader,
    (wanted, share): (Wanted, &Share),
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    match wanted {
        Wanted::Response(bytes) => respond(guest, response::parse(output, bytes, sender)).await,
        Wanted::Output(bytes) => {
            let ((), written) = try_join(guest, response::whole(output, bytes, share)).await?;
            // Nobody listens any more if its time was over.
            let _ = sender.send(Ok(written));
            Ok(())
        }
    }
}

/// Runs the command and reads its response, which may be sent on before the command has ended.
async fn respond(
    guest: impl Future<Output = Result<(), Failure>>,
    response: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut guest = std::pin::pin!(guest);
    let mut response = std::pin::pin!(response);
    let mut answered = None;
    tokio::select! {
        biased;
        ended = &mut guest => ended?,
        result = &mut response => {
            answered = Some(result);
            guest.await?;
        }
    }
    match answered {
        Some(result) => result,
        None => response.await,
    }
}
