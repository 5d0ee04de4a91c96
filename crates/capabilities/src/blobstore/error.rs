//! What goes wrong with blobs. The interface has texts for errors, which are these.

use std::error::Error as StdError;
use std::io;

use thiserror::Error as ThisError;

use super::folder::{CONTAINER_BYTES, OBJECTS};
use super::opened::WHOLE_BYTES;
use super::value::OBJECT_BYTES;
use crate::Over;
use crate::under_way::Busy;

/// Why a call did not do as it was asked.
#[derive(Debug, ThisError)]
pub(super) enum Error {
    #[error("the container is not granted")]
    NotGranted,
    #[error("there is no such container")]
    NoContainer,
    #[error("there is such a container already")]
    ContainerExists,
    #[error("there is no such object")]
    NoObject,
    #[error(
        "an object's name has 1 to 255 bytes, of which `/`, `%`, `\\`, control characters and a `.` \
         at the beginning count three times"
    )]
    Name,
    #[error("the range ends before it begins, or begins after the object's end")]
    Range,
    #[error("an object may have {} MiB", OBJECT_BYTES >> 20)]
    TooLarge,
    #[error("an object of more than {} MiB is to be read as a stream", WHOLE_BYTES >> 20)]
    TooLargeAtOnce,
    #[error("a container may have {} MiB and {OBJECTS} objects", CONTAINER_BYTES >> 20)]
    Full,
    #[error("too many objects are open")]
    TooManyOpen,
    #[error("one call deletes at most {0} objects")]
    TooMany(usize),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Quota(#[from] Over),
    /// Whose reason is for the log alone.
    #[error("the store failed")]
    Failed(#[from] io::Error),
    /// The same of a server. It comes from the client that hides what credentials stand in.
    #[error("the store failed")]
    Server(#[source] Box<object_store::Error>),
    /// The server does not take the operator's credentials, or they open too little.
    #[error("the store's server refuses access")]
    Denied(#[source] Box<object_store::Error>),
}

impl Error {
    /// What only the log is told.
    pub(super) fn reason(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Failed(_) | Self::Server(_) | Self::Denied(_) => self.source(),
            _ => None,
        }
    }

    /// Whether the guest was not granted what it asked for, or is over a limit.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::NotGranted
            | Self::TooLarge
            | Self::TooLargeAtOnce
            | Self::Full
            | Self::TooManyOpen
            | Self::TooMany(_)
            | Self::Busy(_)
            | Self::Quota(_) => true,
            Self::NoContainer
            | Self::ContainerExists
            | Self::NoObject
            | Self::Name
            | Self::Range
            | Self::Failed(_)
            | Self::Server(_)
            | Self::Denied(_) => false,
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        match error {
            PermissionDenied { .. } | Unauthenticated { .. } => Self::Denied(Box::new(error)),
            _ => Self::Server(Box::new(error)),
        }
    }
}
