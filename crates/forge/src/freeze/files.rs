//! What an initialiser sees of files: nothing that is hidden, which is state, history and secrets rather
//! than a part of an app, and would be in the frozen memory for whoever has the image; and of the rest
//! nothing that differs of the same files in two places: their times, their numbers, how often they are
//! linked, and the order in which a folder lists them, so that the frozen memory is the same each time.

use std::collections::HashMap;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Datetime, Descriptor, DescriptorFlags, DescriptorStat, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Host as _, HostDescriptor as _, HostDirectoryEntryStream as _, MetadataHashValue,
    OpenFlags, PathFlags,
};

use super::world::EPOCH;
use crate::sandbox::Sandbox;

const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// What is hidden beside names that begin with a dot.
const RUNTIME_CONFIG: &[u8] = b"runtime-config.toml";

/// Whether what has this name is there for no initialiser.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name == RUNTIME_CONFIG || name.starts_with(b".") && name != b"." && name != b".."
}

/// Refuses a path through something hidden as one that leads nowhere.
fn shown(path: &str) -> FsResult<()> {
    match path.split('/').any(|part| is_hidden(part.as_bytes())) {
        true => Err(ErrorCode::NoEntry.into()),
        false => Ok(()),
    }
}

/// What is known of the files that were looked at.
#[derive(Default)]
pub(crate) struct Seen {
    /// Numbers of files, in the order in which they were asked for, by what the host calls them.
    numbers: HashMap<(u64, u64), u64>,
    /// What is left of folders that are being listed, the next entry last; by their resource.
    listings: HashMap<u32, Vec<DirectoryEntry>>,
}

impl Seen {
    fn number(&mut self, found: &MetadataHashValue) -> MetadataHashValue {
        let next = self.numbers.len() as u64 + 1;
        let lower = *self.numbers.entry((found.lower, found.upper)).or_insert(next);
        MetadataHashValue { lower, upper: 0 }
    }
}

/// A folder, and a path from there.
type PathOf = (Resource<Descriptor>, PathFlags, String);

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// Defines the functions of WASI's that tell of files anew.
pub(super) fn define(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    opening(&mut types)?;
    telling(&mut types)?;
    listing(&mut types)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What opens a path, or says where it leads.
fn opening(types: &mut LinkerInstance<'_, Sandbox>) -> wasmtime::Result<()> {
    type Opening = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store, (folder, flags, path, how, rights): Opening| {
            Box::new(async move {
                let opening = async {
                    shown(&path)?;
                    files(&mut store).open_at(folder, flags, path, how, rights).await
                };
                let found = opening.await;
                answer(&mut store, found)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.readlink-at",
        |mut store, (folder, path): (Resource<Descriptor>, String)| {
            Box::new(async move {
                let reading = async {
                    shown(&path)?;
                    files(&mut store).readlink_at(folder, path).await
                };
                let found = reading.await;
                answer(&mut store, found)
            })
        },
    )
}

/// What tells of a file.
fn telling(types: &mut LinkerInstance<'_, Sandbox>) -> wasmtime::Result<()> {
    types.func_wrap_async("[method]descriptor.stat", |mut store, (file,)| {
        Box::new(async move {
            let found = files(&mut store).stat(file).await;
            answer(&mut store, found.map(stat))
        })
    })?;
    types.func_wrap_async(
        "[method]descriptor.stat-at",
        |mut store, (folder, flags, path): PathOf| {
            Box::new(async move {
                let asking = async {
                    shown(&path)?;
                    files(&mut store).stat_at(folder, flags, path).await
                };
                let found = asking.await;
                answer(&mut store, found.map(stat))
            })
        },
    )?;
    types.func_wrap_async("[method]descriptor.metadata-hash", |mut store, (file,)| {
        Box::new(async move {
            let found = files(&mut store).metadata_hash(file).await;
            let found = found.map(|found| store.data_mut().seen.number(&found));
            answer(&mut store, found)
        })
    })?;
    types.func_wrap_async(
        "[method]descriptor.metadata-hash-at",
        |mut store, (folder, flags, path): PathOf| {
            Box::new(async move {
                let asking = async {
                    shown(&path)?;
                    files(&mut store).metadata_hash_at(folder, flags, path).await
                };
                let found = asking.await;
                let found = found.map(|found| store.data_mut().seen.number(&found));
                answer(&mut store, found)
            })
        },
    )
}

/// What lists a folder.
fn listing(types: &mut LinkerInstance<'_, Sandbox>) -> wasmtime::Result<()> {
    types.func_wrap_async("[method]descriptor.read-directory", |mut store, (folder,)| {
        Box::new(async move {
            let found = files(&mut store).read_directory(folder).await;
            if let Ok(stream) = &found {
                // What had this number before was perhaps not listed to its end.
                store.data_mut().seen.listings.remove(&stream.rep());
            }
            answer(&mut store, found)
        })
    })?;
    types.func_wrap_async(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store, (stream,): (Resource<DirectoryEntryStream>,)| {
            Box::new(async move {
                let found = next_entry(&mut store, &stream).await;
                answer(&mut store, found)
            })
        },
    )
}

fn files<'a>(store: &'a mut StoreContextMut<'_, Sandbox>) -> WasiFilesystemCtxView<'a> {
    store.data_mut().filesystem()
}

fn answer<T>(store: &mut StoreContextMut<'_, Sandbox>, found: FsResult<T>) -> Answer<T> {
    Ok((match found {
        Ok(found) => Ok(found),
        Err(error) => Err(files(store).convert_error_code(error)?),
    },))
}

fn stat(found: DescriptorStat) -> DescriptorStat {
    let time = Some(Datetime { seconds: EPOCH.as_secs(), nanoseconds: 0 });
    DescriptorStat {
        link_count: 1,
        data_access_timestamp: time,
        data_modification_timestamp: time,
        status_change_timestamp: time,
        ..found
    }
}

/// The next entry of a folder by their names; all are read when the first is asked for.
async fn next_entry(
    store: &mut StoreContextMut<'_, Sandbox>,
    stream: &Resource<DirectoryEntryStream>,
) -> FsResult<Option<DirectoryEntry>> {
    let same = || Resource::new_borrow(stream.rep());
    if let Some(listing) = store.data_mut().seen.listings.get_mut(&stream.rep()) {
        return Ok(listing.pop());
    }
    let mut listing = Vec::new();
    while let Some(entry) = files(store).read_directory_entry(same()).await? {
        if !is_hidden(entry.name.as_bytes()) {
            listing.push(entry);
        }
    }
    listing.sort_by(|one, other| other.name.cmp(&one.name));
    let next = listing.pop();
    store.data_mut().seen.listings.insert(stream.rep(), listing);
    Ok(next)
}
