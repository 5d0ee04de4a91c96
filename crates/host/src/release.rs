//! What the host is given to serve: an app, where the code of its components comes from, and where
//! their output goes.

use std::io;
use std::sync::Arc;

use dayfly_capabilities::Backends;
use dayfly_capabilities::wasi::stdio::LogSink;
use dayfly_engine::{Code, Digest, Engine, Stamp};
use dayfly_model::{App, ComponentId, Executor, HandlerShape, Middleware};
use dayfly_telemetry::UsageCounters;
use thiserror::Error;

use crate::BoxError;

/// One component as the host gets it, for the triggers that call it in one way.
pub struct Image {
    /// Which component.
    pub component: ComponentId,
    /// How its triggers call it.
    pub executor: Executor,
    /// What they put before it.
    pub middleware: Vec<Middleware>,
    /// Where its code comes from.
    pub source: Box<dyn ImageSource>,
    /// Where its lines of output go.
    pub log: Arc<dyn LogSink>,
    /// Where what it uses is counted, if somebody is to know that by release; its requests have ids
    /// then, which are [current](crate::current_request) while they are worked for.
    pub usage: Option<Arc<UsageCounters>>,
}

/// Where a component's code comes from. Nothing is read before the component is needed; all
/// methods block.
pub trait ImageSource: Send + Sync {
    /// What tells one version of the code from another; it reads none of it.
    ///
    /// # Errors
    /// If the code is not there.
    fn stamp(&self) -> io::Result<Stamp>;

    /// What tells one source from another, with all that decides what is made of it beside its
    /// version and this program. Later processes then know what came of it without reading it;
    /// `None` if more than that decides.
    fn recipe(&self) -> Option<Digest>;

    /// Makes it a component; `engine` runs what initialises it, if it is to be frozen.
    ///
    /// # Errors
    /// Whatever is wrong with it, with its causes; [`Awaited`] as long as another process makes it, which
    /// is asked again soon.
    fn prepare(&self, engine: &Engine) -> Result<Prepared, BoxError>;
}

/// A component that the engine can take.
pub struct Prepared {
    /// What it was made to.
    pub made: Made,
    /// How it takes an event.
    pub shape: HandlerShape,
}

/// What a component was made to.
pub enum Made {
    /// The component's bytes; never native code.
    Wasm(Vec<u8>),
    /// Code that this process's engine, or its baseline, has made and that is kept nowhere; or that another
    /// process made for it.
    Code(Code),
}

/// Another process is to make a component's code, and has not done so yet.
#[derive(Debug, Error)]
#[error("its code is still being made by another process")]
pub struct Awaited;

/// Another process could not make a component's code, and is asked again later.
#[derive(Debug, Error)]
#[error("the control plane could not make its code again: {0}")]
pub struct Unmade(pub String);

/// An app, ready to be activated.
pub struct Release {
    /// The app.
    pub app: Arc<App>,
    /// An image for each component and way of calling it that a trigger names, with the same before it.
    pub images: Vec<Image>,
    /// What stands behind the components' grants.
    pub backends: Arc<Backends>,
    /// Where requests are counted that no component gets: unknown paths, static responses, queues.
    pub usage: Option<Arc<UsageCounters>>,
}
