//! Makes one component of several: a component, what satisfies its imports (its dependencies), and
//! what stands before it (HTTP middleware), outermost first.
//!
//! All of them run in one instance, with the grants of the component that they are composed with.
//! So that a part gets of these only what its table lets it inherit, its other imports are given
//! names for which the host defines nothing but refusals ([`deny`]).

mod deny;
mod environment;
mod graph;
mod matching;
mod middleware;

use std::collections::BTreeMap;

use dayfly_model::{App, Component, Dependency, DependencySource, Inherit, Middleware};

use crate::pipeline::{self, Failure};
use crate::resolve::Location;
use graph::{Graph, Instance};

/// The key of a component's table that opens an interface, named as a component imports it; `None`
/// for what every guest has.
pub type OpenedBy = fn(&str) -> Option<&'static str>;

/// What a component is composed with.
#[derive(Debug, Clone, Copy)]
pub struct Composition<'a> {
    /// The app whose components its parts may be.
    pub app: &'a App,
    /// The component's own environment, for parts that inherit it.
    pub environment: &'a BTreeMap<String, String>,
    /// What satisfies its imports.
    pub dependencies: &'a [Dependency],
    /// What stands before it, outermost first.
    pub middleware: &'a [Middleware],
    /// What the parts may use by which key.
    pub opened_by: OpenedBy,
}

/// Components that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A part could not be prepared.
    #[error("failed to prepare {part}")]
    Part {
        /// Which one.
        part: String,
        /// What is wrong with it.
        #[source]
        failure: Box<Failure>,
    },
    /// A part is a component that the app does not have.
    #[error("{part} is component `{component}`, which the app does not have")]
    NoComponent {
        /// Which part.
        part: String,
        /// The component.
        component: String,
    },
    /// A part's types could not be read.
    #[error("failed to read the types of {part}: {reason}")]
    Types {
        /// Which part.
        part: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A dependency whose name no import has.
    #[error("{part} satisfies no import of the component")]
    NoImport {
        /// Which dependency.
        part: String,
        /// What the component imports.
        imports: Vec<String>,
    },
    /// Two dependencies for one import.
    #[error("{first} and {second} both satisfy import `{import}`")]
    Conflict {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// What they both satisfy.
        import: String,
    },
    /// A dependency lacks what is asked of it.
    #[error("{part} does not export `{export}`, which import `{import}` needs")]
    NoExport {
        /// Which dependency.
        part: String,
        /// The export that it lacks.
        export: String,
        /// What it was to satisfy.
        import: String,
        /// What it does export.
        exports: Vec<String>,
    },
    /// An export and the import that it is for differ.
    #[error("export `{export}` of {part} is not what import `{import}` needs: {reason}")]
    Mismatch {
        /// Whose export.
        part: String,
        /// The export.
        export: String,
        /// The import.
        import: String,
        /// How they differ.
        reason: String,
    },
    /// Middleware that cannot be one.
    #[error("{part} is no middleware: it {lacks} no HTTP handler")]
    NotMiddleware {
        /// Which middleware.
        part: String,
        /// What it does not do: `imports` or `exports`.
        lacks: &'static str,
    },
    /// Middleware before something that it cannot pass requests to.
    #[error("{part} passes requests on as `{passes}`, but {next} takes {takes}")]
    NotPassedOn {
        /// Which middleware.
        part: String,
        /// The interface by which it does.
        passes: String,
        /// Who would have to take them.
        next: String,
        /// How that one takes requests.
        takes: String,
    },
    /// The parts fit one by one, but not together.
    #[error("the parts do not fit together: {reason}")]
    Unfit {
        /// What does not fit.
        reason: String,
    },
}

impl ComposeError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Part { failure, .. } => failure.hint(),
            Self::NoImport { imports, .. } if imports.is_empty() => {
                Some("the component imports nothing".to_owned())
            }
            Self::NoImport { imports, .. } => {
                Some(format!("name a dependency after an import: {}", list(imports)))
            }
            Self::NoExport { exports, .. } => Some(format!(
                "it exports {}; `export` names one that has another name",
                list(exports)
            )),
            Self::NotMiddleware { .. } | Self::NotPassedOn { .. } => Some(
                "middleware imports and exports the same handler: `wasi:http/handler@0.3` or \
                 `wasi:http/incoming-handler@0.2`"
                    .to_owned(),
            ),
            Self::Mismatch { .. } => {
                Some("build both against the same version of the interface".to_owned())
            }
            Self::NoComponent { .. }
            | Self::Types { .. }
            | Self::Conflict { .. }
            | Self::Unfit { .. } => None,
        }
    }
}

/// One part of a composition.
#[derive(Clone, Copy)]
struct Part<'a> {
    source: &'a DependencySource,
    inherit: &'a Inherit,
    environment: &'a BTreeMap<String, String>,
}

impl<'a> Composition<'a> {
    /// What `component` of `app` is composed with for a trigger that puts `middleware` before it.
    pub fn new(
        app: &'a App,
        component: &'a Component,
        middleware: &'a [Middleware],
        opened_by: OpenedBy,
    ) -> Self {
        let Component { environment, dependencies, .. } = component;
        Self { app, environment, dependencies, middleware, opened_by }
    }

    /// Whether there is anything to compose.
    pub fn is_empty(&self) -> bool {
        self.dependencies.is_empty() && self.middleware.is_empty()
    }

    /// The parts, with what they are called in messages.
    fn parts(&self) -> impl Iterator<Item = (String, Part<'a>)> {
        let dependencies = self.dependencies.iter().map(|it| (called(it), it.into()));
        let middleware =
            self.middleware.iter().enumerate().map(|(i, it)| (called_middleware(i, it), it.into()));
        dependencies.chain(middleware)
    }

    /// Where the sources of all parts are.
    ///
    /// # Errors
    /// If one of them is no component of the app.
    pub(crate) fn locations(
        &self,
        like: &Location<'a>,
    ) -> Result<Vec<(String, Location<'a>)>, ComposeError> {
        let located = self.parts().map(|(called, part)| {
            let location = self.location(&called, part.source, like)?;
            Ok((called, location))
        });
        located.collect()
    }

    fn location(
        &self,
        part: &str,
        source: &'a DependencySource,
        like: &Location<'a>,
    ) -> Result<Location<'a>, ComposeError> {
        Ok(match source {
            DependencySource::Source(source) => Location { source, build_commands: &[], ..*like },
            DependencySource::Component(id) => {
                let component = self.component(part, id)?;
                let build = component.build.as_ref();
                Location {
                    source: &component.source,
                    build_commands: build.map_or(&[], |build| &build.commands),
                    ..*like
                }
            }
        })
    }

    fn component(
        &self,
        part: &str,
        id: &dayfly_model::ComponentId,
    ) -> Result<&'a Component, ComposeError> {
        self.app.components.get(id).map(Box::as_ref).ok_or_else(|| ComposeError::NoComponent {
            part: part.to_owned(),
            component: id.to_string(),
        })
    }

    /// The environment that a part has of its own; `None` if it has that of the component, or none
    /// at all.
    fn environment_of(
        &self,
        called: &str,
        part: &Part<'a>,
    ) -> Result<Option<BTreeMap<String, String>>, ComposeError> {
        let mut own = match part.source {
            DependencySource::Component(id) => self.component(called, id)?.environment.clone(),
            DependencySource::Source(_) => BTreeMap::new(),
        };
        own.extend(part.environment.clone());
        if own.is_empty() {
            return Ok(None);
        }
        let mut all = BTreeMap::new();
        if part.inherit.has(environment::KEY) {
            all.clone_from(self.environment);
        }
        all.extend(own);
        Ok(Some(all))
    }

    /// Reads a part and adds it to the graph.
    fn add(
        &self,
        graph: &mut Graph,
        called: &str,
        part: Part<'a>,
        like: &Location<'a>,
    ) -> Result<Instance, ComposeError> {
        let location = self.location(called, part.source, like)?;
        let wasm = pipeline::part(&location).map_err(|failure| ComposeError::Part {
            part: called.to_owned(),
            failure: Box::new(failure),
        })?;
        let own_environment = self.environment_of(called, &part)?;
        let is_open = |import: &str| {
            (own_environment.is_some() && environment::is(import))
                || (self.opened_by)(import).is_none_or(|key| part.inherit.has(key))
        };
        let wasm = deny::deny(wasm, is_open).map_err(|error| ComposeError::Types {
            part: called.to_owned(),
            reason: error.to_string(),
        })?;
        let instance = graph.add(called, wasm)?;
        if let Some(variables) = own_environment {
            environment::give(graph, &instance, &variables)?;
        }
        Ok(instance)
    }
}

/// Composes `wasm`, the component itself, with what its composition names.
///
/// # Errors
/// If a part cannot be had, or does not fit.
pub(crate) fn compose(
    wasm: Vec<u8>,
    composition: &Composition<'_>,
    like: &Location<'_>,
) -> Result<Vec<u8>, ComposeError> {
    graph::guarded(|| {
        let mut graph = Graph::default();
        let main = graph.add("the component", wasm)?;
        matching::satisfy(&mut graph, &main, composition, like)?;
        if composition.middleware.is_empty() {
            graph.export_all(&main)?;
        } else {
            middleware::stand_before(&mut graph, main, composition, like)?;
        }
        graph.encode()
    })
}

impl<'a> From<&'a Dependency> for Part<'a> {
    fn from(it: &'a Dependency) -> Self {
        Self { source: &it.source, inherit: &it.inherit, environment: &it.environment }
    }
}

impl<'a> From<&'a Middleware> for Part<'a> {
    fn from(it: &'a Middleware) -> Self {
        Self { source: &it.source, inherit: &it.inherit, environment: &it.environment }
    }
}

fn called(dependency: &Dependency) -> String {
    format!("dependency `{}`", dependency.import)
}

fn called_middleware(index: usize, middleware: &Middleware) -> String {
    use dayfly_model::Source;
    match &middleware.source {
        DependencySource::Component(id) => format!("middleware `{id}`"),
        DependencySource::Source(Source::File(path)) => format!("middleware `{}`", path.display()),
        DependencySource::Source(Source::Registry { package, .. }) => {
            format!("middleware `{package}`")
        }
        DependencySource::Source(Source::Url { .. }) => format!("middleware {}", index + 1),
    }
}

/// Names in backticks, as far as they are of use to somebody who reads them.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    if text.is_empty() { "nothing".to_owned() } else { text.join(", ") }
}
