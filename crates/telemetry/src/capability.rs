//! The capabilities whose calls are counted, and how a call ends.

/// A capability, as metrics and spans name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Capability {
    Http,
    Variables,
    KeyValue,
    Sqlite,
    Postgres,
    Mysql,
    Redis,
    Mqtt,
    Llm,
    Blobstore,
    Messaging,
    Websocket,
    Otel,
    Logging,
}

impl Capability {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Http,
        Self::Variables,
        Self::KeyValue,
        Self::Sqlite,
        Self::Postgres,
        Self::Mysql,
        Self::Redis,
        Self::Mqtt,
        Self::Llm,
        Self::Blobstore,
        Self::Messaging,
        Self::Websocket,
        Self::Otel,
        Self::Logging,
    ];

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Variables => "variables",
            Self::KeyValue => "key-value",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Mqtt => "mqtt",
            Self::Llm => "llm",
            Self::Blobstore => "blobstore",
            Self::Messaging => "messaging",
            Self::Websocket => "websocket",
            Self::Otel => "otel",
            Self::Logging => "logging",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As the guest wished.
    Ok,
    /// By an error of the interface, or by the guest's end.
    Error,
    /// By a refusal: it was not granted, or over a limit.
    Refused,
}

impl Outcome {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Error, Self::Refused];

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
        }
    }
}
