//! What an app says: manifest text in, a validated [`App`] out.
//!
//! Pure data: this crate knows no engine, no runtime and no network, and opens no file but the
//! manifest that it is asked to read.
#![deny(missing_docs)]

pub mod app;
pub mod events;
pub mod feature;
pub mod limits;
pub mod manifest;
mod module;
pub mod outbound;
pub mod place;
pub mod platform;
mod reuse;
pub mod route;
pub mod runtime_config;
pub mod shape;
pub mod template;
pub mod test_file;
pub mod websocket;

pub use app::*;
pub use events::{Delivery, EventSource, EventTrigger, Output, Retry};
pub use feature::{Feature, FeatureUse};
pub use limits::Limits;
pub use manifest::{Manifest, ManifestError, ManifestErrors, Stated, StatedTrigger};
pub use outbound::{AddressScope, OutboundHosts, Protocol};
pub use place::Place;
pub use reuse::Reuse;
pub use route::{DuplicateRoute, Route, RouteError, RouteMatch, RouteTable};
pub use runtime_config::RuntimeConfig;
pub use shape::HandlerShape;
pub use template::Template;
pub use test_file::TestFile;
pub use websocket::Websocket;
