//! The validated app: what every other crate is told about what to run.
//!
//! Everything here has been checked: names are legal, routes parse, references resolve. What the
//! manifest did not say holds its default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::events::{EventSource, EventTrigger, Output, RedisFrom};
use crate::feature::FeatureUse;
use crate::limits::Limits;
use crate::outbound::OutboundHosts;
use crate::reuse::Reuse;
use crate::route::Route;
use crate::template::Template;
use crate::websocket::Websocket;

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
    /// [`Template::is_secret`].
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

/// A source of events and the component that they wake.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The id in the manifest, or one made up from its kind and position.
    pub id: String,
    /// What the trigger listens to.
    pub kind: TriggerKind,
}

/// What a trigger listens to.
#[derive(Debug, Clone)]
pub enum TriggerKind {
    /// HTTP requests.
    Http(HttpTrigger),
    /// Events of a kind that is served.
    Event(EventTrigger),
    /// The start of the app.
    Command(CommandTrigger),
    /// Any other kind, by its name in the manifest, with its table as JSON.
    Other {
        /// The name behind `trigger.`.
        name: String,
        /// The component that its events wake, if it names one.
        component: Option<ComponentId>,
        /// The trigger's other keys.
        settings: serde_json::Value,
    },
}

impl TriggerKind {
    /// The component that it wakes with events: those of HTTP routes are no events, but those of
    /// WebSockets are.
    #[must_use]
    pub fn component(&self) -> Option<&ComponentId> {
        match self {
            Self::Http(http) => match &http.target {
                HttpTarget::Component { component, .. } if http.websocket.is_some() => {
                    Some(component)
                }
                _ => None,
            },
            Self::Event(event) => Some(&event.component),
            Self::Command(_) | Self::Other { .. } => None,
        }
    }

    /// The queues of the app's own that it takes from or puts into, and that its handler's answers go
    /// into.
    fn queues(&self) -> [Option<&str>; 2] {
        let own = match self {
            Self::Http(HttpTrigger { target: HttpTarget::Queue(name), .. })
            | Self::Event(EventTrigger { source: EventSource::Queue(name), .. }) => Some(&**name),
            _ => None,
        };
        let output = match self.output() {
            Some(Output::Queue(name)) => Some(&**name),
            _ => None,
        };
        [own, output]
    }

    /// Where its handler's answers go, if the manifest says.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Http(http) => http.websocket.as_ref()?.output.as_ref(),
            Self::Event(event) => event.output.as_ref(),
            Self::Command(_) | Self::Other { .. } => None,
        }
    }

    /// The component that handles what comes by it, requests and events.
    #[must_use]
    pub fn handler(&self) -> Option<&ComponentId> {
        match self {
            Self::Http(HttpTrigger { target: HttpTarget::Component { component, .. }, .. }) => {
                Some(component)
            }
            Self::Http(_) => None,
            Self::Command(command) => Some(&command.component),
            Self::Event(event) => Some(&event.component),
            Self::Other { component, .. } => component.as_ref(),
        }
    }

    /// The components that it wakes, by itself or by what they answer.
    pub(crate) fn components(&self) -> impl Iterator<Item = &ComponentId> {
        let next = match self.output() {
            Some(Output::Component(next)) => Some(next),
            _ => None,
        };
        self.handler().into_iter().chain(next)
    }
}

/// A command that runs once, when the app starts.
#[derive(Debug, Clone)]
pub struct CommandTrigger {
    /// The command.
    pub component: ComponentId,
    /// How it is called, which for commands is always the same.
    pub executor: Executor,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
}

/// One HTTP route and what answers on it.
#[derive(Debug, Clone)]
pub struct HttpTrigger {
    /// The route, or `None` for a private one, reachable only by service chaining.
    pub route: Option<Route>,
    /// What answers.
    pub target: HttpTarget,
    /// What stands before the component, outermost first.
    pub middleware: Vec<Middleware>,
    /// How its WebSockets are kept, if that is what its requests become.
    pub websocket: Option<Websocket>,
}

/// A component that stands before the one that handles a route: it gets the requests, and passes on
/// what it likes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Middleware {
    /// Where it comes from.
    pub source: DependencySource,
    /// What it may use of what the route's component may use.
    pub inherit: Inherit,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// What answers on an HTTP route.
#[derive(Debug, Clone)]
pub enum HttpTarget {
    /// A component.
    Component {
        /// Which one.
        component: ComponentId,
        /// How it is called.
        executor: Executor,
    },
    /// A fixed response.
    Static(StaticResponse),
    /// A queue of the app's own, which requests are put into.
    Queue(String),
}

/// How a component takes an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Executor {
    /// As its exports say: an HTTP handler of any version, or a command by CGI.
    Detected,
    /// A command by CGI/1.1, which Spin calls wagi.
    Wagi {
        /// The name of the exported function to run; `_start` by default.
        entrypoint: String,
        /// The argument line; `${SCRIPT_NAME}` and `${ARGS}` are replaced. Spin's default.
        argv: String,
    },
}

/// A response that needs no component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticResponse {
    /// The status code, 200 by default.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<String>,
}

/// One component: its code and its grants.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name.
    pub id: ComponentId,
    /// What it is for, for people.
    pub description: String,
    /// Where its code comes from.
    pub source: Source,
    /// The files that it may see.
    pub files: Vec<FileGrant>,
    /// Globs of files that it may not see although `files` covers them.
    pub exclude_files: Vec<String>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// The hosts that it may reach.
    pub allowed_outbound_hosts: OutboundHosts,
    /// The key-value stores that it may open, by label.
    pub key_value_stores: Vec<String>,
    /// The containers of blobs that it may use, by name.
    pub blob_containers: Vec<String>,
    /// The messaging clients that it may use, by name.
    pub messaging: Vec<String>,
    /// The SQL databases that it may open, by label.
    pub sqlite_databases: Vec<String>,
    /// The language models that it may ask, by name.
    pub ai_models: Vec<String>,
    /// Whether it may send to the app's WebSockets.
    pub websockets: bool,
    /// Its variables: what it reads by `wasi:config` and Spin's variables interface.
    pub variables: BTreeMap<String, Template>,
    /// How it is built from source, if the manifest says.
    pub build: Option<Build>,
    /// What satisfies its imports, with the profile applied.
    pub dependencies: Vec<Dependency>,
    /// Its bounds.
    pub limits: Limits,
    /// How many requests one of its instances serves, and until when.
    pub reuse: Reuse,
}

/// Where a component's code comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file, absolute or relative to [`App::root`].
    File(PathBuf),
    /// An address with the SHA-256 digest of what it serves (`sha256:` and 64 hexadecimal digits).
    Url {
        /// The address.
        url: String,
        /// The digest.
        digest: String,
    },
    /// A package of a registry.
    Registry {
        /// The registry's host, if the manifest names one.
        registry: Option<String>,
        /// The package, `namespace:name`.
        package: String,
        /// A version; of what is composed into another component, a range (`^1.2.3`, `=1.2.3`).
        version: String,
    },
}

/// Files that a component may see, paths relative to [`App::root`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileGrant {
    /// The files that match a glob, at the same path under the guest's `/`, read-only.
    Glob(String),
    /// A directory (or one file) at a path of the guest's.
    Mount {
        /// The host's folder or file.
        source: PathBuf,
        /// The guest's absolute path.
        destination: String,
        /// Whether the guest may write.
        writable: bool,
    },
}

/// How a component is built from source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// Shell commands, run one after the other.
    pub commands: Vec<String>,
    /// The folder to run them in, relative to [`App::root`].
    pub workdir: Option<PathBuf>,
    /// Globs of what a watcher should watch.
    pub watch: Vec<String>,
    /// Whether its start-up work is done at build time, and by which function.
    pub freeze: Option<Initialiser>,
    /// What its code is optimised for, if it is.
    pub optimize: Option<Goal>,
}

/// The function that does a component's start-up work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialiser {
    /// One of a usual name.
    Usual,
    /// The one of this name.
    Named(String),
}

impl Initialiser {
    /// Its name, unless that is one of the usual ones.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Usual => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// What code is optimised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// That it runs fast.
    Speed,
    /// That it is small.
    Size,
}

impl Goal {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Speed, Self::Size];

    /// As a manifest spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::Size => "size",
        }
    }

    /// The goal of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|goal| goal.as_str() == name)
    }
}

/// What satisfies an import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The import: `namespace:package`, with `/interface` and `@version` if they are stated, or a
    /// plain name.
    pub import: String,
    /// Where the component that satisfies it comes from.
    pub source: DependencySource,
    /// The export that satisfies it, if it is not called as the import.
    pub export: Option<String>,
    /// What it may use of what the component may use.
    pub inherit: Inherit,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// Where a dependency comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DependencySource {
    /// A source of its own; of a package, the version is a range.
    Source(Source),
    /// Another component of the app.
    Component(ComponentId),
}

/// What stands before the name of an import that a part of a composition may not use. The host
/// serves no such name, so it is refused.
pub const DENIED: &str = "denied-";

/// What a dependency may use of what its component may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Inherit {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// What these keys of the component grant.
    Some(Vec<String>),
}

impl Inherit {
    /// Whether it has what `key` grants the component.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some(keys) => keys.iter().any(|inherited| inherited == key),
        }
    }
}
