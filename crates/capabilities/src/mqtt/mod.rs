//! MQTT: `fermyon:spin/mqtt` and `spin:mqtt`, which publish at the brokers that
//! `allowed_outbound_hosts` grants. Each connection that a guest opens is one of its own, under the
//! name and the password that the guest gives.

mod acks;
pub mod broker;
mod host;
mod incoming;
pub(crate) mod link;
pub(crate) mod outgoing;
mod session;
mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod version;

use std::sync::OnceLock;

use crate::dial::Dialer;
use crate::registry::Capability;
use crate::stream::Opener;
use crate::tls;
use crate::under_way::UnderWay;
use version::Version;

/// What messages of one component may be under way, in bytes.
const UNDER_WAY_BYTES: usize = 32 << 20;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "mqtt",
    interfaces: host::INTERFACES,
    granted_by: &[("allowed_outbound_hosts", host::INTERFACES)],
    link: host::link,
};

/// One component's share of MQTT.
pub struct Grant {
    opener: Opener,
    /// The longest message, in bytes.
    payload_bytes: usize,
    under_way: OnceLock<UnderWay>,
}

impl Grant {
    /// A share that reaches what `dialer` connects to and nothing else, and speaks TLS as `tls` says.
    pub(crate) fn new(dialer: Dialer, tls: tls::Clients) -> Self {
        let opener = Opener::new(dialer, tls);
        Self { opener, payload_bytes: link::PAYLOAD_BYTES, under_way: OnceLock::new() }
    }

    /// The same for messages of at most so many bytes, if the operator says so.
    pub(crate) fn within(self, most: Option<usize>) -> Self {
        let payload_bytes = most.map_or(self.payload_bytes, |most| most.min(self.payload_bytes));
        Self { payload_bytes, ..self }
    }

    fn under_way(&self) -> UnderWay {
        self.under_way.get_or_init(|| UnderWay::new(UNDER_WAY_BYTES)).clone()
    }
}
