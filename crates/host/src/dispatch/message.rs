//! Handlers of one kind of event only: `fermyon:spin/inbound-redis`, `spin:redis/inbound-redis@3`,
//! the `handle-cron-event` of Spin's cron plugin, and `wasi:messaging/incoming-handler`. They answer
//! nothing.

use std::marker::PhantomData;
use std::time::UNIX_EPOCH;

use dayfly_capabilities::HostState;
use dayfly_capabilities::messaging::{self, Incoming};
use dayfly_model::HandlerShape;
use dayfly_telemetry::trace::{TRACEPARENT, TRACESTATE};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, ComponentType, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime_wasi_http::Error;

use super::failure::Failure;
use super::guest::Answer;
use super::keep::Start;
use crate::events::Event;

/// A linked component whose handler takes `P` and answers or fails with `E`.
pub(super) struct MessagePre<P, E> {
    pre: InstancePre<HostState>,
    handle: ComponentExportIndex,
    of: PhantomData<fn(P) -> E>,
}

/// What handles events.
pub(super) type Handle<P, E> = TypedFunc<P, (Result<(), E>,)>;

pub(super) type RedisPre = MessagePre<(Vec<u8>,), RedisError>;
pub(super) type RedisHandle = Handle<(Vec<u8>,), RedisError>;
pub(super) type Redis3Pre = MessagePre<(Vec<u8>,), RedisError3>;
pub(super) type Redis3Handle = Handle<(Vec<u8>,), RedisError3>;
pub(super) type CronPre = MessagePre<(CronMetadata,), CronError>;
pub(super) type CronHandle = Handle<(CronMetadata,), CronError>;

pub(super) type MessagingPre = MessagePre<(Incoming,), messaging::Failure>;
pub(super) type MessagingHandle = Handle<(Incoming,), messaging::Failure>;

/// The errors of Spin's Redis, version 3.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum RedisError3 {
    #[component(name = "invalid-address")]
    InvalidAddress,
    #[component(name = "too-many-connections")]
    TooManyConnections,
    #[component(name = "type-error")]
    TypeError,
    #[component(name = "other")]
    Other(String),
}

/// The errors of Spin's Redis before.
#[expect(dead_code, reason = "guests make them")]
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(super) enum RedisError {
    #[component(name = "success")]
    Success,
    #[component(name = "error")]
    Error,
}

/// What Spin's cron plugin tells of an event.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct CronMetadata {
    /// When it was due, in seconds since 1970.
    timestamp: u64,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum CronError {
    #[component(name = "other")]
    Other(String),
}

/// An error as the log tells it.
pub(super) trait Told {
    fn told(self) -> String;
}

impl Told for RedisError3 {
    fn told(self) -> String {
        match self {
            Self::InvalidAddress => "invalid address".to_owned(),
            Self::TooManyConnections => "too many connections".to_owned(),
            Self::TypeError => "type error".to_owned(),
            Self::Other(text) => text,
        }
    }
}

impl Told for RedisError {
    fn told(self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::Error => "error".to_owned(),
        }
    }
}

impl Told for CronError {
    fn told(self) -> String {
        let Self::Other(text) = self;
        text
    }
}

impl Told for messaging::Failure {
    fn told(self) -> String {
        match self {
            Self::Timeout => "timeout".to_owned(),
            Self::Connection(text) => format!("connection: {text}"),
            Self::PermissionDenied(text) => format!("permission denied: {text}"),
            Self::Other(text) => text,
        }
    }
}

/// An event as the parameters of a handler.
pub(super) trait Parameters: Sized {
    fn of(event: &Event) -> Self;
}

impl Parameters for (Vec<u8>,) {
    fn of(event: &Event) -> Self {
        (event.data.to_vec(),)
    }
}

impl Parameters for (CronMetadata,) {
    fn of(event: &Event) -> Self {
        let since = event.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        (CronMetadata { timestamp: since.as_secs() },)
    }
}

/// Makes an event the message that a handler of `wasi:messaging` gets: its subject is the topic, its
/// attributes are the metadata. Where in a trace the handler is, the headers of its request tell.
pub(super) fn give(
    event: &Event,
    headers: &HeaderMap,
) -> impl FnOnce(&mut HostState) -> wasmtime::Result<(Incoming,)> + Send + 'static {
    let (topic, content_type) = (event.subject.clone(), event.content_type.clone());
    let data = event.data.clone();
    let attributes = event.attributes().into_iter();
    let place = [TRACEPARENT, TRACESTATE].into_iter().filter_map(|name| {
        Some((name.as_str().to_owned(), headers.get(&name)?.to_str().ok()?.to_owned()))
    });
    let place: Vec<(String, String)> = place.collect();
    let is_new = |name: &str| !place.iter().any(|(known, _)| known == name);
    let mut metadata: Vec<(String, String)> = attributes
        .filter(|(name, _)| is_new(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    metadata.extend(place);
    move |state| Ok((state.give_message(topic, content_type, data, metadata)?,))
}

impl<P, E> Clone for MessagePre<P, E> {
    fn clone(&self) -> Self {
        Self { pre: self.pre.clone(), handle: self.handle, of: PhantomData }
    }
}

impl<P, E> MessagePre<P, E> {
    /// Looks for the handler of a shape.
    pub(super) fn new(pre: InstancePre<HostState>, shape: HandlerShape) -> wasmtime::Result<Self> {
        let component = pre.component();
        let ty = component.component_type();
        let interface = shape.interface().split('@').next().unwrap_or_default();
        let function = if shape == HandlerShape::Messaging { "handle" } else { "handle-message" };
        let mut exports = ty.exports(component.engine());
        let is_handler = |name: &str| name.split('@').next() == Some(interface);
        let found =
            exports.find(|(name, _)| is_handler(name)).and_then(|(name, item)| match item.ty {
                ComponentItem::ComponentFunc(_) => component.get_export_index(None, name),
                _ => {
                    let instance = component.get_export_index(None, name)?;
                    component.get_export_index(Some(&instance), function)
                }
            });
        let handle = found.ok_or_else(|| wasmtime::format_err!("`{interface}` has no handler"))?;
        drop(exports);
        Ok(Self { pre, handle, of: PhantomData })
    }
}

pub(super) async fn run<P, E>(
    start: Start<Handle<P, E>>,
    MessagePre { pre, handle, .. }: MessagePre<P, E>,
    parameters: impl FnOnce(&mut HostState) -> wasmtime::Result<P> + Send,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    E: ComponentType + Lift + Told + Send + Sync + 'static,
    (Result<(), E>,): ComponentNamedList + Lift,
{
    let mut life = start.begin();
    let store = &mut life.store;
    let called = async {
        let handle = match life.instance.take() {
            Some(handle) => handle,
            None => {
                let made = pre.instantiate_async(&mut *store);
                let instance = start.code.instantiating(made).await?;
                instance.get_typed_func(&mut *store, handle)?
            }
        };
        let parameters = parameters(store.data_mut())?;
        let (answer,) = handle.call_async(&mut *store, parameters).await?;
        Ok((answer, handle))
    };
    let (answer, handle) = called.await.map_err(|error| Failure::of_call(error, store))?;
    answer.map_err(|error| Failure::Guest(error.told()))?;
    // Nobody listens any more if its time was over.
    let _ = sender.send(Ok(Response::new(Empty::new().map_err(Error::from).boxed_unsync())));
    life.instance = Some(handle);
    start.end(life);
    Ok(())
}
