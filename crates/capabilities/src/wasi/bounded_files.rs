//! Bounds on the files that an instance opens and on their streams.

use dayfly_engine::Flavour;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Access, FutureReader, Linker, LinkerInstance, Resource, ResourceType, StreamReader,
};
use wasmtime_wasi::filesystem::{
    Descriptor, WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView as _,
};
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::filesystem::types as files2;
use wasmtime_wasi::p3::bindings::filesystem::types as files3;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::ending::until;
use super::listing;
use super::open::{Opening, Place, Placed};
use crate::HostState;

/// How many streams an instance may hold for each file that it may: most runtimes keep one to read
/// and one to write. Each has up to 64 KiB that were read ahead.
const STREAMS_PER_FILE: usize = 2;

/// What a file that WASI 0.3 opens to write to is taken to become, in bytes, until it is measured: its
/// streams lead to the disk past everything here.
const OPENED_BYTES: usize = 4 << 10;

type File = Resource<Descriptor>;
type OpenAt2 = (File, files2::PathFlags, String, files2::OpenFlags, files2::DescriptorFlags);
type OpenAt3 = (File, files3::PathFlags, String, files3::OpenFlags, files3::DescriptorFlags);
type Store<'a> = StoreContextMut<'a, HostState>;
type Ended = FutureReader<Result<(), files3::ErrorCode>>;
type Files<'a> = Access<'a, HostState, WasiFilesystem>;
type Answer<T> = (Result<Resource<T>, files2::ErrorCode>,);

/// Puts the bounds over what the linker has.
pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    use files2::{Host as _, HostDescriptor as _};
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store, (folder, path_flags, path, open_flags, flags): OpenAt2| {
            Box::new(async move {
                let state: &mut HostState = store.data_mut();
                let writes = flags.contains(files2::DescriptorFlags::WRITE);
                let opening = may_open_file(state).filter(|_| !writes || may_keep(state, 0));
                let Some(opening) = opening else {
                    return Ok::<Answer<_>, _>((Err(files2::ErrorCode::Quota),));
                };
                let mut files = state.filesystem();
                match files.open_at(folder, path_flags, path, open_flags, flags).await {
                    Ok(descriptor) => Ok((Ok(opened(state, descriptor, opening)?),)),
                    Err(error) => Ok((Err(files.convert_error_code(error)?),)),
                }
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.write",
        |mut store: Store<'_>, (file, bytes, at): (File, Vec<u8>, u64)| {
            Box::new(async move {
                let state = store.data_mut();
                if !may_keep(state, bytes.len()) {
                    return Ok::<(Result<u64, _>,), _>((Err(files2::ErrorCode::Quota),));
                }
                let mut files = state.filesystem();
                match files.write(file, bytes, at).await {
                    Ok(written) => Ok((Ok(written),)),
                    Err(error) => Ok((Err(files.convert_error_code(error)?),)),
                }
            })
        },
    )?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), closed)?;
    streams(&mut types)?;
    listing::link(&mut types)?;
    if flavour.is_concurrent() { concurrent(linker) } else { Ok(()) }
}

fn streams(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    use files2::HostDescriptor as _;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |store: Store, (file, at): (File, u64)| {
            let wrap = |placed| Box::new(placed) as DynInputStream;
            stream(store, |files| files.read_via_stream(file, at), wrap)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: Store, (file, at): (File, u64)| {
            let wrap = |placed| Box::new(placed) as DynOutputStream;
            stream(store, |files| files.write_via_stream(file, at), wrap)
        },
    )?;
    types.func_wrap("[method]descriptor.append-via-stream", |store: Store, (file,): (File,)| {
        let wrap = |placed| Box::new(placed) as DynOutputStream;
        stream(store, |files| files.append_via_stream(file), wrap)
    })
}

fn concurrent(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use files3::{Host as _, HostDescriptorWithStore};
    let mut types = linker.instance("wasi:filesystem/types@0.3.0")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), closed)?;
    types.func_wrap_concurrent(
        "[method]descriptor.open-at",
        |accessor, (folder, path_flags, path, open_flags, flags): OpenAt3| {
            Box::pin(async move {
                let writes = flags.contains(files3::DescriptorFlags::WRITE);
                // Held until it is open: a guest may open many at once.
                let opening = accessor.with(|mut access| {
                    let state = access.get();
                    may_open_file(state).filter(|_| !writes || may_keep(state, OPENED_BYTES))
                });
                let Some(opening) = opening else {
                    return Ok((Err(files3::ErrorCode::Quota),));
                };
                let files = accessor.with_getter::<WasiFilesystem>(HostState::filesystem);
                let made = <WasiFilesystem as HostDescriptorWithStore<_>>::open_at(
                    &files, folder, path_flags, path, open_flags, flags,
                );
                match made.await {
                    Ok(descriptor) => {
                        let file = accessor
                            .with(|mut access| opened(access.get(), descriptor, opening))?;
                        Ok((Ok(file),))
                    }
                    Err(error) => {
                        let error = accessor
                            .with(|mut access| access.get().filesystem().convert_error_code(error));
                        Ok((Err(error?),))
                    }
                }
            })
        },
    )?;
    concurrent_streams(&mut types)?;
    listing::link_concurrent(&mut types)
}

fn concurrent_streams(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    use files3::HostDescriptorWithStore as _;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: Store, (file, at): (File, u64)| {
            let Some(place) = stream_place(store.data_mut()) else {
                let nothing = StreamReader::new(&mut store, std::iter::empty())?;
                return Ok(((nothing, over(store)?),));
            };
            let (data, ended) = WasiFilesystem::read_via_stream(access(&mut store), file, at)?;
            Ok(((data, until(store, ended, place)?),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: Store, (file, data, at): (File, StreamReader<u8>, u64)| {
            let write =
                |access: Files<'_>, data| WasiFilesystem::write_via_stream(access, file, data, at);
            Ok((write_stream(store, data, write)?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |store: Store, (file, data): (File, StreamReader<u8>)| {
            let write =
                |access: Files<'_>, data| WasiFilesystem::append_via_stream(access, file, data);
            Ok((write_stream(store, data, write)?,))
        },
    )
}

/// Lets a file take what a stream brings, in a place among the instance's.
fn write_stream(
    mut store: Store<'_>,
    mut data: StreamReader<u8>,
    write: impl FnOnce(Files<'_>, StreamReader<u8>) -> wasmtime::Result<Ended>,
) -> wasmtime::Result<Ended> {
    let Some(place) = stream_place(store.data_mut()) else {
        data.close(&mut store)?;
        return over(store);
    };
    let ended = write(access(&mut store), data)?;
    until(store, ended, place)
}

/// The end of a stream that there was no place for.
fn over(mut store: Store<'_>) -> wasmtime::Result<Ended> {
    FutureReader::new(&mut store, async { wasmtime::error::Ok(Err(files3::ErrorCode::Quota)) })
}

fn access<'a>(store: &'a mut Store<'_>) -> Files<'a> {
    use wasmtime::AsContextMut as _;
    Access::new(store.as_context_mut(), |state| state.filesystem())
}

/// Closes a file, and gives back its descriptor at once if nothing else keeps it open.
fn closed(mut store: Store<'_>, rep: u32) -> wasmtime::Result<()> {
    let state = store.data_mut();
    state.table().delete(File::new_own(rep))?;
    state.open_files().count();
    Ok(())
}

/// Whether so many bytes more may be kept.
fn may_keep(state: &HostState, bytes: usize) -> bool {
    state.grants().keep(bytes).is_ok()
}

fn limit(state: &HostState) -> usize {
    state.grants().limits.files as usize
}

/// A place for one more file or folder, if the instance may open one: it has neither as many handles,
/// of which those of granted folders are some, nor as many files that anything keeps open; and if all
/// guests together may.
pub(crate) fn may_open_file(state: &mut HostState) -> Option<Opening> {
    let limit = limit(state);
    let handles = state.table().iter_mut().filter(|entry| entry.is::<Descriptor>()).count();
    if handles >= limit || state.open_files().count() >= limit {
        return None;
    }
    let descriptor = state.grants().take_descriptor()?;
    state.open_files().opening(limit, descriptor)
}

/// Counts what was opened, for as long as anything refers to it.
pub(crate) fn opened(
    state: &mut HostState,
    file: File,
    opening: Opening,
) -> wasmtime::Result<File> {
    let (table, open) = state.table_and_open_files();
    open.add(table.get(&file)?, opening);
    Ok(file)
}

/// A place for one more stream of a file.
fn stream_place(state: &mut HostState) -> Option<Place> {
    let limit = limit(state).saturating_mul(STREAMS_PER_FILE);
    state.file_streams().place(limit)
}

/// Makes a stream of a file, in a place among the instance's.
fn stream<S: Send + 'static>(
    mut store: Store<'_>,
    make: impl FnOnce(&mut WasiFilesystemCtxView<'_>) -> Result<Resource<S>, FsError>,
    wrap: impl FnOnce(Placed<S>) -> S,
) -> wasmtime::Result<Answer<S>> {
    use files2::Host as _;
    let state = store.data_mut();
    let Some(place) = stream_place(state) else {
        return Ok((Err(files2::ErrorCode::Quota),));
    };
    let grants = state.shared_grants();
    let mut files = state.filesystem();
    match make(&mut files) {
        Ok(made) => {
            let placed = Placed::new(files.table.delete(made)?, place, grants);
            Ok((Ok(files.table.push(wrap(placed))?),))
        }
        Err(error) => Ok((Err(files.convert_error_code(error)?),)),
    }
}
