//! Streams, polls, clocks and files as the candidate of 2023-10-18 had them.

use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceType, flags};
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, Host as _, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi_io::bindings::wasi::io::error::HostError as _;
use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable as _;
use wasmtime_wasi_io::bindings::wasi::io::streams::{
    Host as _, HostInputStream, HostOutputStream as _, StreamError,
};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error, StreamResult};

use super::release;
use crate::HostState;
use crate::wasi::bounded_files::{may_open_file, opened};

/// The display of a time zone; there is but one.
#[derive(ComponentType, Lower)]
#[component(record)]
struct TimezoneDisplay {
    #[component(name = "utc-offset")]
    utc_offset: i32,
    name: String,
    #[component(name = "in-daylight-saving-time")]
    in_daylight_saving_time: bool,
}

flags! {
    // The permissions of a file that is created: the host's own apply.
    Modes {
        #[component(name = "readable")]
        const READABLE;
        #[component(name = "writable")]
        const WRITABLE;
        #[component(name = "executable")]
        const EXECUTABLE;
    }
}

type Splice = (Resource<DynOutputStream>, Resource<DynInputStream>, u64);
type Spliced = (Result<u64, StreamError>,);
type OpenAt = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags, Modes);
type Opened = (Result<Resource<Descriptor>, ErrorCode>,);

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    polls_and_clocks(linker)?;
    streams(linker)?;
    release(linker, "wasi:filesystem/types")?.func_wrap_async(
        "[method]descriptor.open-at-rc1018",
        |mut store, (folder, path_flags, path, open_flags, flags, _): OpenAt| {
            Box::new(async move {
                let state: &mut HostState = store.data_mut();
                let Some(opening) = may_open_file(state) else {
                    return Ok::<Opened, _>((Err(ErrorCode::Quota),));
                };
                let mut files = state.filesystem();
                match files.open_at(folder, path_flags, path, open_flags, flags).await {
                    Ok(descriptor) => Ok((Ok(opened(state, descriptor, opening)?),)),
                    Err(error) => Ok((Err(files.convert_error_code(error)?),)),
                }
            })
        },
    )
}

fn polls_and_clocks(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    release(linker, "wasi:io/poll")?.func_wrap_async(
        "poll-one",
        |mut store, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move { store.data_mut().table().block(pollable).await })
        },
    )?;
    release(linker, "wasi:clocks/monotonic-clock")?.func_wrap(
        "subscribe",
        |mut store, (when, absolute): (u64, bool)| {
            let mut clocks = store.data_mut().clocks();
            let pollable = match absolute {
                true => clocks.subscribe_instant(when),
                false => clocks.subscribe_duration(when),
            };
            Ok((pollable?,))
        },
    )?;
    let mut timezone = release(linker, "wasi:clocks/timezone")?;
    timezone.func_wrap("display", |_, (_,): (Datetime,)| {
        let name = "UTC".to_owned();
        Ok((TimezoneDisplay { utc_offset: 0, name, in_daylight_saving_time: false },))
    })?;
    timezone.func_wrap("utc-offset", |_, (_,): (Datetime,)| Ok((0_i32,)))
}

/// The candidate's errors belong to the streams, and what is spliced is handed over for good.
fn streams(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut streams = release(linker, "wasi:io/streams")?;
    streams.resource("error", ResourceType::host::<Error>(), |mut store, rep| {
        store.data_mut().table().delete(Resource::<Error>::new_own(rep))?;
        Ok(())
    })?;
    streams.func_wrap(
        "[method]error.to-debug-string",
        |mut store, (error,): (Resource<Error>,)| {
            Ok((store.data_mut().table().to_debug_string(error)?,))
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.splice-rc1018",
        |mut store, (to, from, len): Splice| {
            Box::new(async move {
                let table = store.data_mut().table();
                let moved = table.splice(to, Resource::new_borrow(from.rep()), len);
                spliced(store.data_mut(), from, moved).await
            })
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-splice-rc1018",
        |mut store, (to, from, len): Splice| {
            Box::new(async move {
                let table = store.data_mut().table();
                let borrowed = Resource::new_borrow(from.rep());
                let moved = table.blocking_splice(to, borrowed, len).await;
                spliced(store.data_mut(), from, moved).await
            })
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.forward",
        |mut store, (to, from): (Resource<DynOutputStream>, Resource<DynInputStream>)| {
            Box::new(async move {
                let moved = forward(store.data_mut(), &to, &from).await;
                spliced(store.data_mut(), from, moved).await
            })
        },
    )
}

/// Moves everything until the input ends, and says how much it was.
async fn forward(
    state: &mut HostState,
    to: &Resource<DynOutputStream>,
    from: &Resource<DynInputStream>,
) -> StreamResult<u64> {
    let mut total = 0_u64;
    loop {
        let (to, from) = (Resource::new_borrow(to.rep()), Resource::new_borrow(from.rep()));
        match state.table().blocking_splice(to, from, u64::MAX).await {
            Ok(moved) => total = total.saturating_add(moved),
            Err(wasmtime_wasi_io::streams::StreamError::Closed) => return Ok(total),
            Err(error) => return Err(error),
        }
    }
}

async fn spliced(
    state: &mut HostState,
    from: Resource<DynInputStream>,
    moved: StreamResult<u64>,
) -> wasmtime::Result<Spliced> {
    let table = state.table();
    HostInputStream::drop(table, from).await?;
    match moved {
        Ok(moved) => Ok((Ok(moved),)),
        Err(error) => Ok((Err(table.convert_stream_error(error)?),)),
    }
}
