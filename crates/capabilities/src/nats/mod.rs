//! NATS: a client of our own (decision 15). Messages of guests go by connections that one call has at a
//! time ([`link`]); the host itself, for triggers and what they pass on, by connections that many use at
//! once ([`server`]).

pub(crate) mod address;
mod connection;
pub mod headers;
pub mod jetstream;
pub(crate) mod link;
pub mod server;
pub(crate) mod wire;

#[cfg(fuzzing)]
pub use wire::fuzz;

pub use connection::{Connection, Reader};
pub use wire::Incoming;

use thiserror::Error;

/// Why a server did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerError {
    /// There is no connection, or it broke off.
    #[error("{0}")]
    Lost(String),
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// Nobody is there for a request: JetStream is off, or no stream takes the subject.
    #[error("nobody answers to `{0}`")]
    Nobody(String),
    /// JetStream answered with an error.
    #[error("JetStream answered: {text} ({code})")]
    JetStream {
        /// Its code, which says more than the status.
        code: u64,
        /// What it says.
        text: String,
    },
    /// A message is larger than the server takes.
    #[error("the server takes messages of at most {0} bytes")]
    TooLarge(usize),
    /// A header that cannot be sent.
    #[error("an attribute cannot be a header of NATS")]
    Header,
    /// Something other than what it should be.
    #[error("{0}")]
    Unfit(String),
}
