//! What the host logs of errors whose causes clients do not see, by the id that both have.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How many are kept.
const KEPT: usize = 10_000;

static CAUSES: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);

/// Listens to what is logged.
pub(crate) struct Causes;

#[derive(Default)]
struct Line {
    id: Option<String>,
    text: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "error_id" => self.id = Some(format!("{value:?}")),
            // Writing to a string cannot fail.
            "message" => drop(write!(self.text, "{value:?}")),
            "cause" => drop(write!(self.text, ": {value:?}")),
            _ => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for Causes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "dayfly::edge" {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut causes = CAUSES.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(id), true) = (line.id, causes.len() < KEPT) {
            causes.insert(id, line.text);
        }
    }
}

/// The cause of an error, from the text that a client got.
pub(super) fn of(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once("(error ")?;
    let id = rest.split(')').next()?;
    CAUSES.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
}
