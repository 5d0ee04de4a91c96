//! Why the client has no answer.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Code, Problem};

/// A platform did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{0}` is no address of a platform")]
    Address(String),
    /// An address that anybody on the way could answer for.
    #[error("`{host}` would be asked without encryption, which only this machine itself may be")]
    Insecure {
        /// The host.
        host: String,
    },
    /// The token has characters that no token has.
    #[error("the token has characters that no token has")]
    Token,
    /// There is no way to ask anybody.
    #[error("no client could be made: the platform's certificate roots cannot be read")]
    NoClient,
    /// Nobody answered.
    #[error("there is no connection to the platform")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke.
    #[error("the connection to the platform broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The platform fell silent.
    #[error("the platform did not answer for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// A file that was to be sent cannot be read.
    #[error("failed to read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The answer is longer than any is.
    #[error("the platform's answer is too long")]
    Long,
    /// The answer is no answer of a platform.
    #[error("the answer cannot be understood: is this the admin address of a Dayfly platform?")]
    Unread(#[source] serde_json::Error),
    /// The answer is none of a platform's.
    #[error("the server answered with status {0}, and not as a Dayfly platform does")]
    Status(u16),
    /// The platform refused.
    #[error("{0}")]
    Problem(Box<Problem>),
}

impl ClientError {
    /// What the platform said, if it answered.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The kind of problem, if the platform answered.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.problem().map(|problem| problem.code)
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Problem(problem) => return problem.hint.clone(),
            Self::Insecure { .. } => {
                "name an `https` address, or reach the platform through a tunnel (`ssh -L`)"
            }
            Self::Connect(_) | Self::Stalled(_) => {
                "does `dayfly serve` run there, and is this its admin address?"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether asking again may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Broken(_))
    }
}
