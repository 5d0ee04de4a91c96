//! `wasi:sockets/ip-name-lookup`, over the component's own [`Names`](crate::names::Names) instead
//! of wasmtime-wasi's, which looks up any name and as many at once as it is asked for.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dayfly_engine::Flavour;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode as ErrorCode2, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup::ErrorCode as ErrorCode3;
use wasmtime_wasi::p3::bindings::sockets::types::IpAddress as IpAddress3;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use crate::HostState;
use crate::names::LookupError;
use crate::refusals::{Refusal, shortened};

type Answer = Result<std::vec::IntoIter<IpAddr>, ErrorCode2>;

/// A look-up of a guest of WASI 0.2, its resource `resolve-address-stream`.
enum Lookup {
    Running(AbortOnDropJoinHandle<Answer>),
    Done(Answer),
}

impl Lookup {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<&mut Answer> {
        if let Self::Running(task) = self {
            match Pin::new(task).poll(context) {
                Poll::Ready(answer) => *self = Self::Done(answer),
                Poll::Pending => return Poll::Pending,
            }
        }
        match self {
            Self::Done(answer) => Poll::Ready(answer),
            Self::Running(_) => Poll::Pending,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll(context).map(|_| ())).await;
    }
}

/// Defines the interface of WASI 0.2 and, where the flavour has it, of 0.3.
pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    let mut lookups = linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?;
    let stream = ResourceType::host::<Lookup>();
    lookups.resource("resolve-address-stream", stream, |mut store, rep| {
        store.data_mut().table().delete(Resource::<Lookup>::new_own(rep))?;
        Ok(())
    })?;
    lookups.func_wrap(
        "resolve-addresses",
        |mut store, (network, name): (Resource<Network>, String)| {
            let state: &mut HostState = store.data_mut();
            state.table().get(&network)?;
            if !state.spend_outbound() {
                return Ok((Err(ErrorCode2::OutOfMemory),));
            }
            let grants = state.shared_grants();
            let mut lookup = Lookup::Running(spawn(async move {
                Ok(resolve(&grants, &name).await.map_err(code_02)?.into_iter())
            }));
            let mut now = Context::from_waker(Waker::noop());
            if let Poll::Ready(Err(error)) = lookup.poll(&mut now) {
                return Ok((Err(*error),));
            }
            Ok((Ok(state.table().push(lookup)?),))
        },
    )?;
    lookups.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store, (lookup,): (Resource<Lookup>,)| {
            let lookup = store.data_mut().table().get_mut(&lookup)?;
            let Poll::Ready(answer) = lookup.poll(&mut Context::from_waker(Waker::noop())) else {
                return Ok((Err(ErrorCode2::WouldBlock),));
            };
            let next = answer.as_mut().map(|found| found.next().map(IpAddress::from));
            Ok((next.map_err(|error| *error),))
        },
    )?;
    lookups.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store, (lookup,): (Resource<Lookup>,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((wasmtime_wasi_io::poll::subscribe(store.data_mut().table(), lookup)?,))
        },
    )?;
    if flavour.is_concurrent() {
        link_concurrent(linker)?;
    }
    Ok(())
}

fn link_concurrent(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance("wasi:sockets/ip-name-lookup@0.3.0")?.func_wrap_concurrent(
        "resolve-addresses",
        |accessor, (name,): (String,)| {
            Box::pin(async move {
                let granted = accessor.with(|mut access| {
                    let state: &mut HostState = access.get();
                    state.spend_outbound().then(|| state.shared_grants())
                });
                let Some(grants) = granted else {
                    let over = "the instance's limit is reached";
                    return Ok((Err(ErrorCode3::Other(Some(over.to_owned()))),));
                };
                let found = resolve(&grants, &name).await.map_err(code_03);
                let found = found.map(|all| all.into_iter().map(IpAddress3::from).collect());
                Ok((found as Result<Vec<IpAddress3>, ErrorCode3>,))
            })
        },
    )
}

async fn resolve(grants: &Arc<crate::Grants>, name: &str) -> Result<Vec<IpAddr>, LookupError> {
    let found = grants.names.granted(name).await;
    if let Err(LookupError::NotGranted) = found {
        grants.refusals.note(Refusal::Name, |unsaid| {
            tracing::warn!(
                component = %grants.component, name = shortened(name), unsaid,
                "refused: `allowed_outbound_hosts` does not grant this name"
            );
            let entry = format!("tcp://{}:443", shortened(name));
            grants.tell_ungranted("allowed_outbound_hosts", format_args!("[{entry:?}]"));
        });
    }
    found
}

fn code_02(error: LookupError) -> ErrorCode2 {
    match error {
        LookupError::Malformed => ErrorCode2::InvalidArgument,
        LookupError::NotGranted => ErrorCode2::AccessDenied,
        LookupError::Timeout => ErrorCode2::TemporaryResolverFailure,
        LookupError::Failed(_) => ErrorCode2::NameUnresolvable,
    }
}

fn code_03(error: LookupError) -> ErrorCode3 {
    match error {
        LookupError::Malformed => ErrorCode3::InvalidArgument,
        LookupError::NotGranted => ErrorCode3::AccessDenied,
        LookupError::Timeout => ErrorCode3::TemporaryResolverFailure,
        LookupError::Failed(_) => ErrorCode3::NameUnresolvable,
    }
}
