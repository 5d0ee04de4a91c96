//! The validated app: what every other crate is told about what to run.
//!
//! Everything here has been checked: names are legal, routes parse, references resolve. What the
//! manifest did not say holds its default.

mod component;
mod dependency;
mod trigger;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use self::component::{Build, Component, FileGrant, Goal, Initialiser, Source};
pub use self::dependency::{DENIED, Dependency, DependencySource, Inherit};
pub use self::trigger::{
    CommandTrigger, Executor, HttpTarget, HttpTrigger, Middleware, StaticResponse, Trigger,
    TriggerKind,
};
use crate::events::{EventSource, EventTrigger, RedisFrom};
use crate::feature::FeatureUse;

/// One app: what one manifest describes.
#[derive(Debug, Clone)]
pub struct App {
    /// The app's name, as its manifest states it; the file's stem for a bare module.
    pub name: String,
    /// The app's version, empty when the manifest states none.
    pub version: String,
    /// What the manifest says about the app, for people.
    pub description: String,
    /// The app's authors, for people.
    pub authors: Vec<String>,
    /// The folder that relative paths of the manifest are relative to.
    pub root: PathBuf,
    /// The variables that the app declares.
    pub variables: BTreeMap<String, Variable>,
    /// The path before every HTTP route, without a trailing slash: empty for `/`.
    pub http_base: String,
    /// The path that tells whether a release of the app is healthy, with its query, if there is one.
    pub http_health: Option<String>,
    /// The settings of all triggers of a kind, by kind, as JSON; HTTP's stand above.
    pub trigger_settings: BTreeMap<String, serde_json::Value>,
    /// The sources of events, in the manifest's order.
    pub triggers: Vec<Trigger>,
    /// The components, by id. Boxed, because a map has room for eleven from the first one on, and most
    /// apps have one.
    pub components: BTreeMap<ComponentId, Box<Component>>,
    /// Every use of a feature that a build of Dayfly may or may not serve, with its place.
    pub uses: Vec<FeatureUse>,
}

impl App {
    /// The names of the variables whose values must never be shown, for
    /// [`Template::is_secret`](crate::template::Template::is_secret).
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<String> {
        let secrets = self.variables.iter().filter(|(_, variable)| variable.secret);
        secrets.map(|(name, _)| name.clone()).collect()
    }

    /// Whether it has commands that run once.
    #[must_use]
    pub fn runs_commands(&self) -> bool {
        self.triggers.iter().any(|trigger| matches!(trigger.kind, TriggerKind::Command(_)))
    }

    /// The queues of its own that its triggers name, each perhaps several times.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.triggers.iter().flat_map(|trigger| trigger.kind.queues()).flatten()
    }

    /// Whether a trigger hears what is published to channels of Redis.
    pub fn hears_channels_of_redis(&self) -> bool {
        let mut kinds = self.triggers.iter().map(|trigger| &trigger.kind);
        kinds.any(|kind| match kind {
            TriggerKind::Event(EventTrigger { source: EventSource::Redis(source), .. }) => {
                matches!(source.from, RedisFrom::Channel(_) | RedisFrom::Pattern(_))
            }
            _ => false,
        })
    }

    /// Every source of code that the app names.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let components = self.components.values();
        let dependencies = components.clone().flat_map(|it| &it.dependencies).map(|it| &it.source);
        let composed = dependencies.chain(self.middleware().map(|it| &it.source));
        let composed = composed.filter_map(|source| match source {
            DependencySource::Source(source) => Some(source),
            DependencySource::Component(_) => None,
        });
        components.map(|it| &it.source).chain(composed)
    }

    /// The components that are composed into others, once for each of those.
    pub fn composed(&self) -> impl Iterator<Item = &ComponentId> {
        let dependencies = self.components.values().flat_map(|it| &it.dependencies);
        let sources = dependencies.map(|it| &it.source);
        sources.chain(self.middleware().map(|it| &it.source)).filter_map(|source| match source {
            DependencySource::Source(_) => None,
            DependencySource::Component(id) => Some(id),
        })
    }

    fn middleware(&self) -> impl Iterator<Item = &Middleware> {
        let middleware = self.triggers.iter().map(|trigger| match &trigger.kind {
            TriggerKind::Http(http) => http.middleware.as_slice(),
            _ => &[],
        });
        middleware.flatten()
    }
}

/// The name of a component within its app: kebab-case, as the manifest spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(pub String);

impl std::fmt::Display for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A variable that the app declares.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// The value when no provider has one; `None` means that a provider must.
    pub default: Option<String>,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// What the variable is for, for people.
    pub description: String,
}

impl std::fmt::Debug for Variable {
    /// Shows no secret's default.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let default = self.default.as_deref();
        f.debug_struct("Variable")
            .field("default", &default.map(|text| if self.secret { "[redacted]" } else { text }))
            .field("secret", &self.secret)
            .field("description", &self.description)
            .finish()
    }
}
