//! Outbound HTTP: `wasi:http` 0.2 and 0.3 and Spin's first interface, to the hosts that
//! `allowed_outbound_hosts` grants, and to the app's own components.

mod body;
pub(crate) mod bounded02;
mod bounded03;
pub(crate) mod budget;
mod client;
mod host;
mod internal;
pub(crate) mod relative;
mod spin;
mod unread;
pub mod whole;

use std::sync::{Arc, OnceLock};

pub use host::Outbound;
pub use internal::{Call, Callee, Calling, Internal, Services};

use crate::dial::Dialer;
use crate::registry::Capability;
use crate::tls::Clients;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "http",
    interfaces: &[
        "wasi:http/*@0.2",
        "wasi:http/*@0.3",
        "fermyon:spin/http",
        "fermyon:spin/http-types",
    ],
    granted_by: &[(
        "allowed_outbound_hosts",
        &["wasi:http/outgoing-handler@0.2", "wasi:http/client@0.3", "fermyon:spin/http"],
    )],
    link: host::link,
};

/// One component's share of outbound HTTP. Its connections are its own: a pool that components
/// shared would hand one of them a connection to an address that only another was granted.
pub struct Grant {
    dialer: Dialer,
    internal: Arc<Internal>,
    tls: Clients,
    pooling: bool,
    client: OnceLock<client::Client>,
}

impl Grant {
    /// A share that reaches what `dialer` connects to and the components behind `internal`.
    pub(crate) fn new(
        dialer: Dialer,
        internal: Arc<Internal>,
        tls: Clients,
        pooling: bool,
    ) -> Self {
        Self { dialer, internal, tls, pooling, client: OnceLock::new() }
    }

    /// The component's connections, made with the first request.
    fn client(&self) -> &client::Client {
        self.client.get_or_init(|| client::new(self.dialer.clone(), &self.tls, self.pooling))
    }
}
