//! What guests may call beyond computing: one folder a capability, one list of them all
//! ([`registry::CAPABILITIES`]), one plain [`HostState`] with a field for each.
//!
//! A component's share of them is its [`Grants`], made once from its manifest and shared by all
//! its requests; a [`HostState`] is made anew for each instance and fills its parts only when the
//! guest first asks for them. What nobody granted is refused by [`refuse`].
#![deny(missing_docs)]

pub mod account;
pub mod backends;
pub mod blobstore;
mod calls;
mod candidates;
mod connections;
mod dial;
mod endpoint;
pub mod grants;
pub mod http;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz {
    //! What fuzz targets reach and nobody else.
    pub use crate::mysql::fuzz as mysql;
    pub use crate::nats::fuzz as nats;
}
mod inherit;
pub mod key_value;
pub mod linker;
pub mod llm;
pub mod logging;
pub mod messaging;
pub mod mqtt;
pub mod mysql;
mod names;
pub mod nats;
pub mod otel;
mod paced;
pub mod postgres;
pub mod queue;
mod rdbms;
pub mod redis;
mod refusals;
pub mod refuse;
pub mod registry;
pub mod rehearsal;
mod sessions;
pub mod sqlite;
pub mod state;
mod stream;
mod streamed;
mod supply;
pub mod tls;
mod under_way;
pub mod variables;
pub mod wasi;
pub mod websocket;
mod write_ahead;

pub use account::{Account, Over};
pub use backends::{BackendError, Backends};
pub use grants::{GrantError, Grants, Shares};
pub use inherit::opened_by;
pub use linker::Linkers;
pub use paced::Paced;
pub use rehearsal::Rehearsal;
pub use state::{Behind, HostState};
pub use supply::{Part, Share, Supply, TenantShare};
