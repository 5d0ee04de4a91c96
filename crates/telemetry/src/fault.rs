//! Whose fault an error is.

/// Whose fault an error is. It decides the log level and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client's: it sent what it should not have.
    Client,
    /// The guest's: its code trapped, answered nothing, or passed one of its limits.
    Guest,
    /// The tenant's: it uses more than it was given.
    Tenant,
    /// The operator's: what was deployed or configured cannot be served.
    Operator,
    /// Dayfly's own, or its machine's.
    Platform,
}

impl Fault {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Client, Self::Guest, Self::Tenant, Self::Operator, Self::Platform];

    /// The word for it in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Guest => "guest",
            Self::Tenant => "tenant",
            Self::Operator => "operator",
            Self::Platform => "platform",
        }
    }
}
