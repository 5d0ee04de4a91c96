//! The control plane: tenants, tokens, apps and releases, by an admin API. It meets the node in the
//! store only; guests are served whether it runs or not. It compiles nothing itself: what is uploaded
//! is made ready by a [`Preparer`], in a process of its own.
#![deny(missing_docs)]

mod acme;
mod answer;
mod body;
mod caller;
mod certificate;
mod changes;
mod clock;
mod failure;
mod follow;
mod guesses;
mod heal;
mod idempotency;
mod making;
mod paces;
mod path;
mod places;
mod prepare;
mod routes;
mod seen;
mod serve;
mod shared;

pub use acme::AcmeConfig;
pub use prepare::{PrepareError, Preparer, Ready};
pub use routes::openapi;
pub use serve::{Control, ControlConfig, ServeError, UnderWay};
