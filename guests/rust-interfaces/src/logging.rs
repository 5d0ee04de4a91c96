//! `wasi:logging`, with and without a version: `/logging/draft?level=warn&context=c&message=m`.

use crate::bindings::wasi::logging::logging as old;
use crate::bindings::wasi::logging0_1_0_draft::logging as draft;
use crate::exchange::{Exchange, Failure};

macro_rules! log {
    ($logging:ident, $level:expr, $context:expr, $message:expr) => {
        $logging::log(
            match $level {
                "trace" => $logging::Level::Trace,
                "debug" => $logging::Level::Debug,
                "warn" => $logging::Level::Warn,
                "error" => $logging::Level::Error,
                "critical" => $logging::Level::Critical,
                _ => $logging::Level::Info,
            },
            $context,
            $message,
        )
    };
}

pub fn call(exchange: &mut Exchange, interface: &str) -> Result<(), Failure> {
    let level = exchange.query("level").unwrap_or_default();
    let context = exchange.query("context").unwrap_or_default();
    let message = exchange.query("message").unwrap_or_default();
    let message = message.repeat(exchange.number("bytes", 1)? as usize);
    for _ in 0..exchange.number("times", 1)? {
        match interface {
            "old" => log!(old, &*level, &context, &message),
            _ => log!(draft, &*level, &context, &message),
        }
    }
    exchange.text("logged")
}
