//! Why a guest gets no session, in the words that it and the operator are told.

use crate::Grants;
use crate::dial::DialError;
use crate::rdbms::pool::Unavailable;
use crate::refusals::Refusal;

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The component was not granted this host and port.
    Destination(String, u16),
    /// The addresses behind its name, in words.
    Address(String),
    /// As many connections as may be are open.
    Limit,
    /// The instance made as many as it may.
    Spent,
    /// Something else, in words.
    Failed(String),
}

impl Refused {
    /// Whether it was not granted, or is over a limit.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// What the guest is told. The operator is told of what is the operator's to change.
    pub(crate) fn explain(self, grants: &Grants, scheme: &str) -> String {
        let component = &grants.component;
        match self {
            Self::Destination(host, port) => {
                grants.refuse_destination(scheme, &host, port);
                format!("address `{scheme}://{host}:{port}` is not permitted")
            }
            Self::Limit => {
                grants.refusals.note(Refusal::Connection, |unsaid| {
                    tracing::warn!(
                        %component, unsaid, "refused: too many outbound connections are open"
                    );
                });
                BUSY.to_owned()
            }
            Self::Spent => BUSY.to_owned(),
            Self::Address(text) | Self::Failed(text) => text,
        }
    }
}

/// What a guest is told that has or wants too many connections.
pub(crate) const BUSY: &str = "too many connections";

impl From<DialError> for Refused {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Limit => Self::Limit,
            error => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                let text = format!("{error}{cause}");
                match error {
                    DialError::NotGranted | DialError::AddressRefused => Self::Address(text),
                    _ => Self::Failed(text),
                }
            }
        }
    }
}

impl From<Unavailable<Refused>> for Refused {
    fn from(unavailable: Unavailable<Self>) -> Self {
        match unavailable {
            Unavailable::Busy => Self::Limit,
            Unavailable::Failed(refused) => refused,
        }
    }
}
