//! WebSockets: `dayfly:websocket`, an interface of Dayfly's own, by which components send to the
//! connections of their app. Who keeps the connections is the HTTP trigger; what both share is the
//! [`Hub`].

mod bindings;
mod host;
mod hub;
mod link;
mod topic;

use std::sync::Arc;

use dayfly_model::Component;

pub use hub::{Coming, Counts, Hub, Kept, Terms};
pub use link::{Link, Message, Outgoing};

use crate::registry::Capability;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "websocket",
    interfaces: INTERFACES,
    granted_by: &[("websockets", INTERFACES)],
    link: host::link,
};

const INTERFACES: &[&str] = &["dayfly:websocket/connections@0.1.0"];

/// The largest message that is sent, in bytes.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The component may not.
    #[error("`websockets` is not granted")]
    NotGranted,
    /// No such connection.
    #[error("the app has no such connection")]
    Gone,
    /// As much waits as may.
    #[error("as much waits to be taken as may")]
    Full,
    /// The message is too large.
    #[error("the message is larger than {MESSAGE_BYTES} bytes")]
    TooLarge,
    /// There are as many topics as there may be.
    #[error("there are as many topics as there may be")]
    TooManyTopics,
    /// A name that names nothing.
    #[error("a topic has 1 to 256 bytes and no control characters")]
    Topic,
    /// A code that nobody may send.
    #[error("a code is one of 1000 to 1003, 1007 to 1014, or 3000 to 4999")]
    Code,
    /// A reason that no frame takes.
    #[error("a reason has at most 123 bytes")]
    Reason,
}

/// One component's share.
#[derive(Default)]
pub struct Grant(Option<Arc<Hub>>);

impl Grant {
    /// What the component's manifest grants it.
    pub(crate) fn prepare(component: &Component, hub: &Arc<Hub>) -> Self {
        Self(component.websockets.then(|| hub.clone()))
    }

    fn hub(&self) -> Result<&Arc<Hub>, Error> {
        self.0.as_ref().ok_or(Error::NotGranted)
    }
}
