//! The shapes of handlers: how a component takes an event.

/// How a component takes an event, as its exports say. The version is the one the component was
/// built against; patch versions of WASI 0.2 and
/// its release candidates are one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandlerShape {
    /// `wasi:http/incoming-handler@0.2.x`.
    Http02,
    /// `wasi:http/handler@0.3.x`.
    Http03,
    /// `fermyon:spin/inbound-http`.
    SpinHttp,
    /// `fermyon:spin/inbound-redis`.
    SpinRedis,
    /// `spin:redis/inbound-redis@3.x`.
    SpinRedis3,
    /// The function `handle-cron-event` of Spin's cron plugin.
    SpinCron,
    /// `wasi:messaging/incoming-handler@0.2.0-draft`.
    Messaging,
    /// `wasi:cli/run@0.2.x`: a command, called by CGI/1.1 on HTTP.
    Command02,
    /// `wasi:cli/run@0.3.x`: a command, called by CGI/1.1 on HTTP.
    Command03,
}

impl HandlerShape {
    /// The interface that a component of this shape exports.
    #[must_use]
    pub fn interface(self) -> &'static str {
        match self {
            Self::Http02 => "wasi:http/incoming-handler@0.2",
            Self::Http03 => "wasi:http/handler@0.3",
            Self::SpinHttp => "fermyon:spin/inbound-http",
            Self::SpinRedis => "fermyon:spin/inbound-redis",
            Self::SpinRedis3 => "spin:redis/inbound-redis@3",
            Self::SpinCron => "handle-cron-event",
            Self::Messaging => "wasi:messaging/incoming-handler@0.2.0-draft",
            Self::Command02 => "wasi:cli/run@0.2",
            Self::Command03 => "wasi:cli/run@0.3",
        }
    }
}

impl HandlerShape {
    /// Whether it takes several events at once.
    #[must_use]
    pub const fn takes_batches(self) -> bool {
        self.takes_requests()
    }

    /// Whether it takes HTTP requests.
    #[must_use]
    pub const fn takes_requests(self) -> bool {
        !matches!(self, Self::SpinRedis | Self::SpinRedis3 | Self::SpinCron | Self::Messaging)
    }
}

impl std::fmt::Display for HandlerShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.interface())
    }
}
