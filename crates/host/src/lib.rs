//! The data plane: listeners and connections, and what answers their requests.
//!
//! The front of it (`server`, `body`, `error`, `access_log`) knows neither apps nor guests: it is
//! generic over a [`Handler`]. Behind it a [`Node`] has any number of apps ([`Plane`]), whose releases
//! come and go. It never talks to the control plane.
#![deny(missing_docs)]

pub mod access_log;
mod activation;
mod away;
pub mod body;
mod challenges;
mod current;
pub mod dispatch;
mod drain;
pub mod error;
mod events;
mod front;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz {
    //! What fuzz targets reach and nobody else.
    pub use crate::dispatch::cgi_head;
}
pub mod guest_log;
pub mod host;
mod imprint;
mod notice;
mod plane;
mod probe;
pub mod release;
mod rollout;
mod routing;
mod scrape;
pub mod server;
mod stay;
mod task;
pub mod triggers;

pub use access_log::Answered;
pub use away::{Away, Reach};
pub use body::{Body, BoxError};
pub use challenges::Challenges;
pub use current::current_request;
pub use dispatch::{ActivateError, Loaded, ResidencyConfig, WORTH_A_BASELINE, serves_shape};
pub use error::{EdgeError, ErrorId, Fault, Problem};
pub use events::send;
pub use front::KEEPER;
pub use guest_log::{GuestLog, printable};
pub use host::{Apps, Gate, Host, HostConfig, Node, has_routes};
pub use imprint::Imprint;
pub use notice::Notice;
pub use plane::{Changed, Plane, Together};
pub use release::{Awaited, Image, ImageSource, Made, Prepared, Release, Unmade};
pub use rollout::{AppKey, Part, Recipe, Rollout};
pub use server::config::{Http2Limits, ServerConfig};
pub use server::connection::{Connection, Peer, Protocol, Scheme};
pub use server::handler::Handler;
pub use server::listen::{
    Entrance, ListenAddr, ListenAddrError, ListenError, Listeners, LocalAddr,
};
pub use server::shutdown::Shutdown;
pub use server::tls::{Certificates, Certified, CertifiedError, TlsConfig, TlsError};
pub use server::unsent::{ClientBody, ClientBodyError};
pub use server::upgrade::{Told, Upgrade, Upgraded, Working};
pub use server::{Client, Connector, Outcome, ServeError, Server};
