//! What wakes components: one file or folder a trigger, one list of them all.

pub(crate) mod http;

use dayfly_model::App;

use crate::dispatch::{ActivateError, Index};
use crate::host::HostConfig;
use crate::{Outcome, ServeError, Shutdown};

/// One kind of trigger, as the rest of Dayfly sees it.
pub struct TriggerType {
    /// Its name behind `trigger.` in the manifest.
    pub name: &'static str,
    /// Makes the app's triggers of this kind ready, all of them together; `None` if it has none.
    pub(crate) start: Start,
}

type Start = fn(&App, &Index<'_>, &HostConfig) -> Result<Option<Box<dyn Trigger>>, ActivateError>;

/// Every kind of trigger that this build serves: what a new one adds is one line here.
pub const TRIGGERS: &[TriggerType] = &[http::TRIGGER];

/// Whether this build serves the trigger of that name.
pub fn serves(name: &str) -> bool {
    TRIGGERS.iter().any(|trigger| trigger.name == name)
}

/// An app's triggers of one kind, ready to wake its components.
pub(crate) trait Trigger: Send {
    /// What wakes which component, a line each, for people.
    fn describe(&self) -> Vec<String>;

    /// Wakes components until the shutdown is over, on threads of its own; the calling one waits.
    fn run(self: Box<Self>, shutdown: Shutdown) -> Result<Outcome, ServeError>;
}
