//! Logging by `wasi:logging`: a guest's messages with their levels, in its component's log. Every guest
//! has one.

use dayfly_engine::Flavour;
use dayfly_telemetry::{Capability as Called, Outcome};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

use crate::HostState;
use crate::registry::Capability;
use crate::wasi::stdio::{Level, OutputKind};

/// The interface as the proposal has it, and as it was used before it had a version.
const INTERFACES: &[&str] = &["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// This capability's line in the registry.
pub const CAPABILITY: Capability =
    Capability { name: "logging", interfaces: INTERFACES, granted_by: &[], link };

/// The longest message and the longest context, in bytes; the rest of them is cut off.
const MESSAGE_BYTES: usize = 16 << 10;
const CONTEXT_BYTES: usize = 256;

/// The interface's levels.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "guests make them")]
enum Named {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl From<Named> for Level {
    fn from(named: Named) -> Self {
        match named {
            Named::Trace => Self::Trace,
            Named::Debug => Self::Debug,
            Named::Info => Self::Info,
            Named::Warn => Self::Warn,
            Named::Error => Self::Error,
            Named::Critical => Self::Critical,
        }
    }
}

/// What one instance has logged so far, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Logged(u64);

fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    for interface in INTERFACES {
        linker.instance(interface)?.func_wrap("log", log)?;
    }
    Ok(())
}

type Message = (Named, String, String);

fn log(
    mut store: StoreContextMut<'_, HostState>,
    (level, context, message): Message,
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let (context, message) = (cut(&context, CONTEXT_BYTES), cut(&message, MESSAGE_BYTES));
    // An empty message takes as much as the rest of its line.
    let bytes = (context.len() + message.len()).max(16) as u64;
    let most = state.grants().limits.log_bytes;
    let before = state.logged().0;
    state.logged().0 = before.saturating_add(bytes);
    let grants = state.grants();
    let outcome = if before.saturating_add(bytes) <= most {
        grants.log.message(level.into(), context, message);
        Outcome::Ok
    } else {
        if before <= most {
            let said = "[log limit of this instance reached: the rest is dropped]";
            grants.log.line(OutputKind::Stderr, said);
        }
        Outcome::Refused
    };
    grants.metrics.call(Called::Logging, outcome);
    Ok(())
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
