//! What wakes components.

use std::collections::BTreeMap;

use super::{ComponentId, DependencySource, Inherit};
use crate::events::{EventSource, EventTrigger, Output};
use crate::route::Route;
use crate::websocket::Websocket;

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
    pub(super) fn queues(&self) -> [Option<&str>; 2] {
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
