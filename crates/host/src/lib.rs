//! The data plane: listeners and connections, and what answers their requests.
//!
//! The front of it (`server`, `body`, `error`, `access_log`) knows neither apps nor guests: it is
//! generic over a [`Handler`]. It never talks to the control plane.
#![deny(missing_docs)]

pub mod access_log;
pub mod body;
pub mod dispatch;
pub mod error;
mod events;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz {
    //! What fuzz targets reach and nobody else.
    pub use crate::dispatch::cgi_head;
}
pub mod guest_log;
pub mod host;
pub mod release;
mod scrape;
pub mod server;
mod task;
pub mod triggers;

pub use access_log::Answered;
pub use body::{Body, BoxError};
pub use dispatch::{ActivateError, Loaded, ResidencyConfig, serves_shape};
pub use error::{EdgeError, ErrorId, Fault, Problem};
pub use events::send;
pub use guest_log::{GuestLog, printable};
pub use host::{Host, HostConfig};
pub use release::{Image, ImageSource, Prepared, Release};
pub use server::config::{Http2Limits, ServerConfig};
pub use server::connection::{Connection, Peer, Protocol, Scheme};
pub use server::handler::Handler;
pub use server::listen::{ListenAddr, ListenAddrError, ListenError, LocalAddr};
pub use server::shutdown::Shutdown;
pub use server::tls::{TlsConfig, TlsError};
pub use server::upgrade::{Told, Upgrade, Upgraded, Working};
pub use server::{Outcome, ServeError, Server};
