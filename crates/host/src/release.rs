//! What the host is given to serve: an app, the compiled-to-be bytes of its components, and where
//! their output goes. Whoever calls has resolved and componentised them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dayfly_capabilities::wasi::stdio::LogSink;
use dayfly_model::{App, ComponentId, Executor, HandlerShape};

/// One component as the host gets it, for the triggers that call it in one way.
pub struct Image {
    /// Which component.
    pub component: ComponentId,
    /// How its triggers call it.
    pub executor: Executor,
    /// A component's bytes; never native code.
    pub wasm: Vec<u8>,
    /// How it takes an event.
    pub shape: HandlerShape,
    /// Where its lines of output go.
    pub log: Arc<dyn LogSink>,
}

/// An app, ready to be activated.
pub struct Release {
    /// The app.
    pub app: App,
    /// An image for each component and way of calling it that a trigger names.
    pub images: Vec<Image>,
    /// A value for each variable of the app.
    pub variables: BTreeMap<String, String>,
    /// The app's folder for what Dayfly keeps.
    pub state: PathBuf,
}
