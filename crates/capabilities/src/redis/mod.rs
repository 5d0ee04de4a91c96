//! Redis: `fermyon:spin/redis` and `spin:redis`, at the servers that `allowed_outbound_hosts`
//! grants. All instances of a component share one connection to each server, and no two components
//! share any.

mod address;
pub(crate) mod client;
mod commands;
mod connection;
mod frame;
mod host;
pub mod note;
pub mod server;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use address::Address;
use client::{Bounds, Client};
use frame::Largest;

use crate::dial::Dialer;
use crate::registry::Capability;
use crate::stream::Opener;
use crate::tls;
use crate::under_way::UnderWay;

/// How many servers, users and databases of one component are kept in mind.
const CLIENTS: usize = 64;

/// The longest command, in bytes.
const COMMAND_BYTES: usize = 4 << 20;

/// The largest reply: some milliseconds of work, in which nothing else runs on its core.
const REPLY: Largest = Largest { bytes: 8 << 20, parts: 64 << 10 };

/// What commands and replies of one component may be under way, in bytes.
const UNDER_WAY_BYTES: usize = 64 << 20;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "redis",
    interfaces: host::INTERFACES,
    granted_by: &[("allowed_outbound_hosts", host::INTERFACES)],
    link: host::link,
};

/// One component's share of Redis.
pub struct Grant {
    opener: Opener,
    clients: OnceLock<Clients>,
}

struct Clients {
    bounds: Bounds,
    of: Mutex<HashMap<Address, Client>>,
}

impl Grant {
    /// A share that reaches what `dialer` connects to and nothing else, and speaks TLS as `tls` says.
    pub(crate) fn new(dialer: Dialer, tls: tls::Clients) -> Self {
        Self { opener: Opener::new(dialer, tls), clients: OnceLock::new() }
    }

    /// The client of a server; `None` if there are too many of others that are used.
    fn client(&self, address: Address) -> Option<Client> {
        let clients = self.clients.get_or_init(|| Clients {
            bounds: Bounds {
                command_bytes: COMMAND_BYTES,
                reply: REPLY,
                under_way: UnderWay::new(UNDER_WAY_BYTES),
            },
            of: Mutex::default(),
        });
        let mut of = clients.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = of.get(&address) {
            return Some(client.clone());
        }
        if of.len() >= CLIENTS {
            of.retain(|_, client| !client.is_unused());
        }
        if of.len() >= CLIENTS {
            return None;
        }
        let client = Client::new(address.clone(), self.opener.clone(), clients.bounds.clone());
        of.insert(address, client.clone());
        Some(client)
    }
}
