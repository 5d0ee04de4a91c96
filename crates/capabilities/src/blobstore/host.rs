//! The host's side of `wasi:blobstore`. Its streams are those of `wasi:io`.

use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::container::{Container, Listing};
use super::value::{Incoming, Outgoing};
use super::{Error, Grant};
use crate::HostState;
use crate::supply::Part as Descriptor;

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] = &[
    "wasi:blobstore/types@0.2.0-draft",
    "wasi:blobstore/container@0.2.0-draft",
    "wasi:blobstore/blobstore@0.2.0-draft",
];

/// How many names one call reads or passes over.
const NAMES: u64 = 1000;

/// How many objects one call may delete.
const DELETED: usize = 10_000;

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct ContainerMetadata {
    name: String,
    #[component(name = "created-at")]
    created_at: u64,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct ObjectMetadata {
    name: String,
    container: String,
    #[component(name = "created-at")]
    created_at: u64,
    size: u64,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct ObjectId {
    container: String,
    object: String,
}

/// A guest's container.
type Handle = Resource<Arc<Container>>;

/// A list that a guest reads, unless a call has it.
struct Names {
    listing: Option<Listing>,
    _descriptor: Descriptor,
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer<T> = Result<T, String>;
type Running<'a, T> =
    std::pin::Pin<Box<dyn Future<Output = wasmtime::Result<Result<T, Error>>> + Send + 'a>>;

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    let [types, container, blobstore] = INTERFACES else { return Ok(()) };
    link_types(&mut linker.instance(types)?)?;
    link_container(&mut linker.instance(container)?)?;
    link_names(&mut linker.instance(container)?)?;
    link_blobstore(&mut linker.instance(blobstore)?)
}

/// Defines a function whose error is a text.
fn function<P, T>(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &'static str,
    run: for<'a> fn(Store<'a>, P) -> Running<'a, T>,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    T: Lower + Send + 'static,
{
    // As in `[method]container.get-data`.
    let called = name.rsplit(['.', ']']).next().unwrap_or(name);
    linker.func_wrap_async(name, move |store: Store<'_>, parameters: P| {
        let call = store.data().grants().call(Capability::Blobstore, called);
        Box::new(async move {
            let done = call.end_with(run(store, parameters).await?, Error::is_refusal);
            let done: Answer<T> = done.map_err(|error| {
                if let Some(error) = error.reason() {
                    tracing::warn!(error, "a call of a blob store failed");
                }
                error.to_string()
            });
            Ok((done,))
        })
    })
}

/// Defines a resource that is its entry in the table.
fn resource<T: Send + 'static>(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
) -> wasmtime::Result<()> {
    linker.resource(name, ResourceType::host::<T>(), |mut store, index| {
        store.data_mut().table().delete(Resource::<T>::new_own(index))?;
        Ok(())
    })
}

/// Gives a guest a new resource.
fn push<T: Send + 'static>(store: &mut Store<'_>, entry: T) -> Result<Resource<T>, Error> {
    store.data_mut().table().push(entry).map_err(|_| Error::TooManyOpen)
}

/// Leave to hold one more file open.
fn descriptor(store: &mut Store<'_>) -> Result<Descriptor, Error> {
    let most = store.data().grants().limits.files as usize;
    let open =
        store.data_mut().table().iter_mut().filter(|entry| {
            entry.is::<Incoming>() || entry.is::<Outgoing>() || entry.is::<Names>()
        });
    if open.count() >= most {
        return Err(Error::TooManyOpen);
    }
    store.data().grants().take_descriptor().ok_or(Error::TooManyOpen)
}

/// Goes on with what a call needs, or ends it with the error in its place.
macro_rules! needed {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

fn link_types(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Outgoing>(linker, "outgoing-value")?;
    resource::<Incoming>(linker, "incoming-value")?;
    linker.func_wrap(
        "[static]outgoing-value.new-outgoing-value",
        |mut store: Store<'_>, (): ()| {
            let grants = store.data().shared_grants();
            // The interface has no error here.
            let descriptor = descriptor(&mut store)?;
            let value = Outgoing::new(Grant::spool(&grants), descriptor);
            Ok((push(&mut store, value)?,))
        },
    )?;
    linker.func_wrap(
        "[method]outgoing-value.outgoing-value-write-body",
        |mut store: Store<'_>, (value,): (Resource<Outgoing>,)| {
            let table = store.data_mut().table();
            let Some(stream) = table.get_mut(&value)?.stream() else { return Ok((Err(()),)) };
            let stream: DynOutputStream = Box::new(stream);
            Ok((table.push_child(stream, &value).map_err(|_| ()),))
        },
    )?;
    function(
        linker,
        "[static]outgoing-value.finish",
        |mut store, (value,): (Resource<Outgoing>,)| {
            Box::pin(async move {
                let value = store.data_mut().table().delete(value)?;
                Ok(value.finish().await)
            })
        },
    )?;
    function(
        linker,
        "[static]incoming-value.incoming-value-consume-sync",
        |mut store, (value,): (Resource<Incoming>,)| {
            Box::pin(async move {
                let value = store.data_mut().table().delete(value)?;
                Ok(value.whole().await)
            })
        },
    )?;
    function(
        linker,
        "[static]incoming-value.incoming-value-consume-async",
        |mut store, (value,): (Resource<Incoming>,)| {
            Box::pin(async move {
                let value = store.data_mut().table().delete(value)?;
                Ok(push::<DynInputStream>(&mut store, value.stream()))
            })
        },
    )?;
    linker.func_wrap(
        "[method]incoming-value.size",
        |mut store: Store<'_>, (value,): (Resource<Incoming>,)| {
            Ok((store.data_mut().table().get(&value)?.bytes(),))
        },
    )
}

/// The container behind a guest's handle.
fn container(store: &mut Store<'_>, handle: &Handle) -> wasmtime::Result<Arc<Container>> {
    Ok(store.data_mut().table().get(handle)?.clone())
}

fn link_container(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Arc<Container>>(linker, "container")?;
    function(linker, "[method]container.name", |mut store, (handle,): (Handle,)| {
        Box::pin(async move { Ok(Ok(container(&mut store, &handle)?.name.clone())) })
    })?;
    function(linker, "[method]container.info", |mut store, (handle,): (Handle,)| {
        Box::pin(async move {
            let container = container(&mut store, &handle)?;
            let name = container.name.clone();
            let created = container.created().await;
            Ok(created.map(|created_at| ContainerMetadata { name, created_at }))
        })
    })?;
    function(
        linker,
        "[method]container.get-data",
        |mut store, (handle, name, first, last): (Handle, String, u64, u64)| {
            Box::pin(async move {
                let container = container(&mut store, &handle)?;
                let descriptor = needed!(descriptor(&mut store));
                let opened = needed!(container.open(name, first, last).await);
                Ok(push(&mut store, Incoming::new(opened, descriptor)))
            })
        },
    )?;
    function(
        linker,
        "[method]container.write-data",
        |mut store, (handle, name, value): (Handle, String, Resource<Outgoing>)| {
            Box::pin(async move {
                let container = container(&mut store, &handle)?;
                if !needed!(container.exists().await) {
                    return Ok(Err(Error::NoContainer));
                }
                Ok(store.data_mut().table().get_mut(&value)?.store(container, name))
            })
        },
    )?;
    function(
        linker,
        "[method]container.delete-object",
        |mut store, (handle, name): (Handle, String)| {
            Box::pin(
                async move { Ok(container(&mut store, &handle)?.delete_objects(vec![name]).await) },
            )
        },
    )?;
    function(
        linker,
        "[method]container.delete-objects",
        |mut store, (handle, names): (Handle, Vec<String>)| {
            Box::pin(async move {
                if names.len() > DELETED {
                    return Ok(Err(Error::TooMany(DELETED)));
                }
                Ok(container(&mut store, &handle)?.delete_objects(names).await)
            })
        },
    )?;
    function(
        linker,
        "[method]container.has-object",
        |mut store, (handle, name): (Handle, String)| {
            Box::pin(async move { Ok(container(&mut store, &handle)?.has(name).await) })
        },
    )?;
    function(
        linker,
        "[method]container.object-info",
        |mut store, (handle, name): (Handle, String)| {
            Box::pin(async move {
                let container = container(&mut store, &handle)?;
                let facts = container.facts(name.clone()).await;
                Ok(facts.map(|facts| ObjectMetadata {
                    name,
                    container: container.name.clone(),
                    created_at: facts.created,
                    size: facts.bytes,
                }))
            })
        },
    )?;
    function(linker, "[method]container.clear", |mut store, (handle,): (Handle,)| {
        Box::pin(async move { Ok(container(&mut store, &handle)?.clear().await) })
    })
}

fn link_names(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Names>(linker, "stream-object-names")?;
    function(linker, "[method]container.list-objects", |mut store, (handle,): (Handle,)| {
        Box::pin(async move {
            let container = container(&mut store, &handle)?;
            let descriptor = needed!(descriptor(&mut store));
            let listing = Some(needed!(container.list().await));
            Ok(push(&mut store, Names { listing, _descriptor: descriptor }))
        })
    })?;
    function(
        linker,
        "[method]stream-object-names.read-stream-object-names",
        |store, (names, most): (Resource<Names>, u64)| Box::pin(next(store, names, most)),
    )?;
    function(
        linker,
        "[method]stream-object-names.skip-stream-object-names",
        |store, (names, most): (Resource<Names>, u64)| {
            Box::pin(async move {
                let skipped = next(store, names, most).await?;
                Ok(skipped.map(|(names, is_last)| (names.len() as u64, is_last)))
            })
        },
    )
}

async fn next(
    mut store: Store<'_>,
    names: Resource<Names>,
    most: u64,
) -> wasmtime::Result<Result<(Vec<String>, bool), Error>> {
    // A list that failed has come to its end.
    let Some(listing) = store.data_mut().table().get_mut(&names)?.listing.take() else {
        return Ok(Ok((Vec::new(), true)));
    };
    let most = most.min(NAMES) as usize;
    let (listing, read) = needed!(listing.next(most).await);
    if !read.1 {
        store.data_mut().table().get_mut(&names)?.listing = Some(listing);
    }
    Ok(Ok(read))
}

/// A container that the guest names.
fn named(store: &Store<'_>, name: &str) -> Result<Arc<Container>, Error> {
    let grants = store.data().grants();
    grants.blobs.container(name).inspect_err(|_| {
        grants.refusals.note(crate::refusals::Refusal::Store, |unsaid| {
            let (component, name) = (&grants.component, crate::refusals::shortened(name));
            tracing::warn!(
                %component, name, unsaid, "refused: `blob_containers` does not grant this container"
            );
            grants.tell_ungranted("blob_containers", format_args!("[{name:?}]"));
        });
    })
}

fn link_blobstore(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    function(linker, "create-container", |mut store, (name,): (String,)| {
        Box::pin(async move {
            let container = needed!(named(&store, &name));
            needed!(container.create().await);
            Ok(push(&mut store, container))
        })
    })?;
    function(linker, "get-container", |mut store, (name,): (String,)| {
        Box::pin(async move {
            let container = needed!(named(&store, &name));
            if !needed!(container.exists().await) {
                return Ok(Err(Error::NoContainer));
            }
            Ok(push(&mut store, container))
        })
    })?;
    function(linker, "delete-container", |store, (name,): (String,)| {
        Box::pin(async move { Ok(needed!(named(&store, &name)).delete().await) })
    })?;
    function(linker, "container-exists", |store, (name,): (String,)| {
        Box::pin(async move { Ok(needed!(named(&store, &name)).exists().await) })
    })?;
    function(linker, "copy-object", |store, (from, to): (ObjectId, ObjectId)| {
        Box::pin(async move {
            let source = needed!(named(&store, &from.container));
            let target = needed!(named(&store, &to.container));
            let spool = Grant::spool(&store.data().shared_grants());
            Ok(source.copy(from.object, &target, to.object, &spool).await)
        })
    })?;
    function(linker, "move-object", |store, (from, to): (ObjectId, ObjectId)| {
        Box::pin(async move {
            let source = needed!(named(&store, &from.container));
            let target = needed!(named(&store, &to.container));
            let spool = Grant::spool(&store.data().shared_grants());
            Ok(source.rename(from.object, &target, to.object, &spool).await)
        })
    })
}
