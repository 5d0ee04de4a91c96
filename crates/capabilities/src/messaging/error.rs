//! What goes wrong with messages, as the interface says it.

use thiserror::Error as ThisError;

use super::backend::pool::PoolError;
use super::message::{MESSAGE_BYTES, METADATA, METADATA_BYTES};
use super::topic::TOPIC_BYTES;
use crate::queue::QueueError;
use crate::under_way::Busy;

/// Why a call did not do as it was asked.
#[derive(Debug, Clone, ThisError)]
pub(super) enum Error {
    #[error("the client is not granted")]
    NotGranted,
    #[error("the client is disconnected")]
    Disconnected,
    #[error("the topic is not open to this client")]
    ClosedTopic,
    #[error("a topic has 1 to {TOPIC_BYTES} bytes, and {0}")]
    Topic(&'static str),
    #[error("a message may have {} MiB", MESSAGE_BYTES >> 20)]
    TooLarge,
    #[error("the server takes messages of at most {0} bytes")]
    TooLargeForServer(usize),
    #[error("a message may have {METADATA} metadata of {METADATA_BYTES} bytes together")]
    TooMuchMetadata,
    #[error("a name or value of metadata is not one that the server can carry")]
    Metadata,
    #[error(transparent)]
    Queue(QueueError),
    #[error("{0} has no requests and replies")]
    NoRequests(&'static str),
    #[error("at most {0} replies can be expected")]
    TooManyReplies(u32),
    #[error("nobody answers requests of this topic")]
    Nobody,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("the outbound connections of the instance are used up")]
    Spent,
    #[error("too many clients and messages are held")]
    TableFull,
    #[error("the server did not answer in time")]
    Timeout,
    /// Of the server's reasons only those are told that tell nothing of how it is reached.
    #[error("{0}")]
    Connection(String),
    /// What the server says that its account may not do.
    #[error("the server does not permit it")]
    Forbidden,
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Connection("too many calls wait for the server".to_owned()),
        }
    }
}
