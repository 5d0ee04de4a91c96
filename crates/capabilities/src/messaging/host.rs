//! The host's side of `wasi:messaging`.

use std::sync::Arc;
use std::time::Duration;

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::backend::Wanted;
use super::message::Content;
use super::{Client, Error, Message};
use crate::HostState;
use crate::refusals::{Refusal, shortened};

/// The interfaces that [`link`] defines.
pub(super) const INTERFACES: &[&str] = &[
    "wasi:messaging/types@0.2.0-draft",
    "wasi:messaging/producer@0.2.0-draft",
    "wasi:messaging/request-reply@0.2.0-draft",
];

/// How many replies a request may wait for.
const REPLIES: u32 = 256;

/// How long a request waits that does not say how long; a guest's own time is over before, unless
/// its manifest says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// The interface's error, which the host has for guests, and handlers for the host.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Failure {
    /// Something took too long.
    #[component(name = "timeout")]
    Timeout,
    /// A connection failed.
    #[component(name = "connection")]
    Connection(String),
    /// Something is not allowed.
    #[component(name = "permission-denied")]
    PermissionDenied(String),
    /// Anything else.
    #[component(name = "other")]
    Other(String),
}

/// A message as its handler gets it.
pub type Incoming = Resource<Message>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Timeout => Self::Timeout,
            Error::Connection(_) | Error::Disconnected => Self::Connection(text),
            Error::NotGranted | Error::ClosedTopic | Error::Forbidden => {
                Self::PermissionDenied(text)
            }
            _ => Self::Other(text),
        }
    }
}

/// A client that a guest holds; nothing once it disconnected.
type Held = Option<Arc<Client>>;

/// What a guest says of a request.
#[derive(Default, Clone, Copy)]
struct Options {
    timeout_ms: Option<u32>,
    replies: Option<u32>,
}

type Metadata = Vec<(String, String)>;
type Store<'a> = StoreContextMut<'a, HostState>;
type Running<'a, T> =
    std::pin::Pin<Box<dyn Future<Output = wasmtime::Result<Result<T, Error>>> + Send + 'a>>;

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    let [types, producer, request_reply] = INTERFACES else { return Ok(()) };
    let mut types = linker.instance(types)?;
    link_client(&mut types)?;
    link_message(&mut types)?;
    link_metadata(&mut types)?;
    link_producer(&mut linker.instance(producer)?)?;
    link_request_reply(&mut linker.instance(request_reply)?)
}

/// Defines a function whose error is the interface's, and counts its calls.
fn function<P, T>(
    linker: &mut LinkerInstance<'_, HostState>,
    (path, name): (&str, &'static str),
    run: for<'a> fn(Store<'a>, P) -> Running<'a, T>,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    T: Lower + Send + 'static,
{
    linker.func_wrap_async(path, move |store: Store<'_>, parameters: P| {
        let call = store.data().grants().call(Capability::Messaging, name);
        Box::new(async move {
            let done = run(store, parameters).await?.map_err(Failure::from);
            Ok((call.end_with(done, |failure| matches!(failure, Failure::PermissionDenied(_))),))
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

fn link_client(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Held>(linker, "client")?;
    function(linker, ("[static]client.connect", "connect"), |store, (name,): (String,)| {
        Box::pin(connect(store, name))
    })?;
    function(
        linker,
        ("[method]client.disconnect", "disconnect"),
        |mut store, (client,): (Resource<Held>,)| {
            Box::pin(async move {
                // Connections are the component's: this ends only what the guest does with them.
                let client = store.data_mut().table().get_mut(&client)?.take();
                Ok(client.map(drop).ok_or(Error::Disconnected))
            })
        },
    )
}

async fn connect(
    mut store: Store<'_>,
    name: String,
) -> wasmtime::Result<Result<Resource<Held>, Error>> {
    let grants = store.data().shared_grants();
    let Some(client) = grants.messaging.client(&name) else {
        grants.refusals.note(Refusal::Store, |unsaid| {
            let (component, name) = (&grants.component, shortened(&name));
            tracing::warn!(
                %component, name, unsaid, "refused: `messaging` does not grant this client"
            );
            grants.tell_ungranted("messaging", format_args!("[{name:?}]"));
        });
        return Ok(Err(Error::NotGranted));
    };
    if !store.data_mut().spend_outbound() {
        return Ok(Err(Error::Spent));
    }
    if let Err(error) = client.backend.connect().await {
        return Ok(Err(error));
    }
    let held: Held = Some(client);
    Ok(store.data_mut().table().push(held).map_err(|_| Error::TableFull))
}

impl HostState {
    /// Gives a handler of messages its message: where it came from, its media type, its data and its
    /// metadata. What is not the guest's yet is not counted as held by it.
    ///
    /// # Errors
    /// If the instance holds too many resources.
    pub fn give_message(
        &mut self,
        topic: Option<String>,
        content_type: Option<String>,
        data: bytes::Bytes,
        metadata: Metadata,
    ) -> wasmtime::Result<Incoming> {
        let held = self.grants().messaging.held();
        let content = Content { data, content_type, metadata: Some(metadata) };
        Ok(self.table().push(Message::incoming(topic, content, held)?)?)
    }
}

/// Gives a guest a message.
fn push(store: &mut Store<'_>, message: Message) -> wasmtime::Result<Resource<Message>> {
    Ok(store.data_mut().table().push(message)?)
}

/// Defines a function that asks something of a message.
fn getter<T: Lower + Send + 'static>(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
    get: fn(&Message) -> T,
) -> wasmtime::Result<()> {
    let name = format!("[method]message.{name}");
    linker.func_wrap(&name, move |mut store: Store<'_>, (message,): (Resource<Message>,)| {
        Ok((get(store.data_mut().table().get(&message)?),))
    })
}

fn link_message(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Message>(linker, "message")?;
    linker.func_wrap("[constructor]message", |mut store: Store<'_>, (data,): (Vec<u8>,)| {
        // The interface has no errors for what changes a message: beyond what there is room for,
        // the guest ends.
        let content = Content { data: data.into(), ..Content::default() };
        let message = Message::new(content, store.data().grants().messaging.held())?;
        Ok((push(&mut store, message)?,))
    })?;
    getter(linker, "topic", |message| message.topic.clone())?;
    getter(linker, "content-type", |message| message.content.content_type.clone())?;
    getter(linker, "data", |message| message.content.data.to_vec())?;
    getter(linker, "metadata", |message| message.content.metadata.clone())?;
    linker.func_wrap(
        "[method]message.set-content-type",
        |mut store: Store<'_>, (message, value): (Resource<Message>, String)| {
            let message = store.data_mut().table().get_mut(&message)?;
            Ok(message.change(|content| content.content_type = Some(value))?)
        },
    )?;
    linker.func_wrap(
        "[method]message.set-data",
        |mut store: Store<'_>, (message, data): (Resource<Message>, Vec<u8>)| {
            let message = store.data_mut().table().get_mut(&message)?;
            Ok(message.change(|content| content.data = data.into())?)
        },
    )
}

fn link_metadata(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "[method]message.add-metadata",
        |mut store: Store<'_>, (message, key, value): (Resource<Message>, String, String)| {
            Ok(store.data_mut().table().get_mut(&message)?.set(key, value)?)
        },
    )?;
    linker.func_wrap(
        "[method]message.set-metadata",
        |mut store: Store<'_>, (message, metadata): (Resource<Message>, Metadata)| {
            let message = store.data_mut().table().get_mut(&message)?;
            Ok(message.change(|content| content.metadata = Some(metadata))?)
        },
    )?;
    linker.func_wrap(
        "[method]message.remove-metadata",
        |mut store: Store<'_>, (message, key): (Resource<Message>, String)| {
            let message = store.data_mut().table().get_mut(&message)?;
            if let Some(metadata) = &mut message.content.metadata {
                metadata.retain(|(known, _)| *known != key);
            }
            Ok(())
        },
    )
}

/// The client that a guest has not disconnected.
fn client(
    store: &mut Store<'_>,
    handle: &Resource<Held>,
) -> wasmtime::Result<Result<Arc<Client>, Error>> {
    Ok(store.data_mut().table().get(handle)?.clone().ok_or(Error::Disconnected))
}

fn link_producer(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    function(
        linker,
        ("send", "send"),
        |mut store, (handle, topic, message): (Resource<Held>, String, Resource<Message>)| {
            Box::pin(async move {
                let message = store.data_mut().table().delete(message)?;
                let hops = store.data().led_to_it().hops;
                match client(&mut store, &handle)? {
                    Ok(client) => Ok(client.send(&topic, message.content, hops).await),
                    Err(error) => Ok(Err(error)),
                }
            })
        },
    )
}

/// What a request is made of.
type Request = (Resource<Held>, String, Resource<Message>, Option<Resource<Options>>);

fn link_request_reply(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    resource::<Options>(linker, "request-options")?;
    linker.func_wrap("[constructor]request-options", |mut store: Store<'_>, (): ()| {
        Ok((store.data_mut().table().push(Options::default())?,))
    })?;
    linker.func_wrap(
        "[method]request-options.set-timeout-ms",
        |mut store: Store<'_>, (options, timeout_ms): (Resource<Options>, u32)| {
            store.data_mut().table().get_mut(&options)?.timeout_ms = Some(timeout_ms);
            Ok(())
        },
    )?;
    linker.func_wrap(
        "[method]request-options.set-expected-replies",
        |mut store: Store<'_>, (options, replies): (Resource<Options>, u32)| {
            store.data_mut().table().get_mut(&options)?.replies = Some(replies);
            Ok(())
        },
    )?;
    function(linker, ("request", "request"), |store, request: Request| {
        Box::pin(ask(store, request))
    })?;
    function(
        linker,
        ("reply", "reply"),
        |mut store, (to, message): (Resource<Message>, Resource<Message>)| {
            Box::pin(async move {
                let message = store.data_mut().table().delete(message)?;
                // Who sent it may not want to hear of it.
                let Some((client, topic)) = store.data_mut().table().get(&to)?.reply.clone() else {
                    return Ok(Ok(()));
                };
                Ok(client.reply(&topic, &message.content).await)
            })
        },
    )
}

async fn ask(
    mut store: Store<'_>,
    (handle, topic, message, options): Request,
) -> wasmtime::Result<Result<Vec<Resource<Message>>, Error>> {
    let table = store.data_mut().table();
    let options = options.map(|options| table.delete(options)).transpose()?.unwrap_or_default();
    let wanted = match wanted(options) {
        Ok(wanted) => wanted,
        Err(error) => return Ok(Err(error)),
    };
    let client = match client(&mut store, &handle)? {
        Ok(client) => client,
        Err(error) => return Ok(Err(error)),
    };
    let room = store.data().grants().messaging.held();
    let content = &store.data_mut().table().get(&message)?.content;
    if let Err(error) = content.check() {
        return Ok(Err(error));
    }
    let content = content.clone();
    let hops = store.data().led_to_it().hops;
    let replies = match client.request(&topic, (content, hops), wanted, &room).await {
        Ok(replies) => replies,
        Err(error) => return Ok(Err(error)),
    };
    let mut given = Vec::new();
    for (mut reply, topic) in replies {
        reply.reply = topic.map(|topic| (client.clone(), topic));
        match store.data_mut().table().push(reply) {
            Ok(handle) => given.push(handle),
            Err(_) => {
                // Whoever gets none of them has to drop none.
                for handle in given {
                    store.data_mut().table().delete(handle)?;
                }
                return Ok(Err(Error::TableFull));
            }
        }
    }
    Ok(Ok(given))
}

fn wanted(options: Options) -> Result<Wanted, Error> {
    let replies = options.replies.unwrap_or(1);
    if replies > REPLIES {
        return Err(Error::TooManyReplies(REPLIES));
    }
    let patience = options.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
    let patience = patience.map_or(PATIENCE, |patience| patience.min(PATIENCE));
    Ok(Wanted { replies: replies.max(1) as usize, patience })
}
