//! Finds the facts: reads the manifest and each component's outermost names.

use std::path::Path;

use anyhow::{Result, bail};
use dayfly_capabilities::variables::{Providers, VariableError};
use dayfly_capabilities::{opened_by, registry};
use dayfly_forge::fetch::{self, Fetched};
use dayfly_forge::{InterfaceName, ItemKind, Unshaped, shape};
use dayfly_host::serves_shape;
use dayfly_model::manifest::Manifest;
use dayfly_model::{
    App, Component, ComponentId, DENIED, Executor, Feature, HandlerShape, HttpTarget,
    RuntimeConfig, Source, TriggerKind,
};

use super::facts::{Access, ComponentFacts, Facts, Import, chain};
use super::graph::{self, Graph};
use crate::app::{self, AppSource, Target};
use crate::source::job;

impl Facts {
    /// What can be found without compiling.
    ///
    /// # Errors
    /// If there is nothing to look at.
    pub(super) fn of(source: &AppSource) -> Result<Self> {
        let path = source.path();
        if !path.exists() {
            bail!("`{}` does not exist", path.display());
        }
        let mut facts = Self { path: path.display().to_string(), ..Self::default() };
        if let Some(app) = facts.read(path, source.profile()) {
            let folder = source.fetched_folder();
            let fetched = folder.map(|folder| fetch::kept(app.sources(), &folder));
            facts.app(&app, &fetched.unwrap_or_default());
        }
        Ok(facts)
    }

    fn read(&mut self, path: &Path, profile: Option<&str>) -> Option<App> {
        if !app::is_manifest(path) {
            return Some(App::for_module(path));
        }
        if let Ok(manifest) = Manifest::find(path) {
            self.path = manifest.display().to_string();
        }
        match Manifest::load(path, profile) {
            Ok(app) => Some(app),
            Err(errors) => {
                for error in errors.iter() {
                    let message = format!("{}: {}", error.place, error.message);
                    self.problem(None, message, error.hint.clone());
                }
                None
            }
        }
    }

    fn app(&mut self, app: &App, fetched: &Fetched) {
        self.name.clone_from(&app.name);
        self.version.clone_from(&app.version);
        self.triggers(app);
        self.graph = Graph::of(app);
        if let Some(cycle) = self.graph.cycle() {
            let cycle: Vec<String> = cycle.iter().map(ToString::to_string).collect();
            let way = cycle.join(" -> ");
            self.warnings.push(format!("answers come back to where they began: {way}"));
        }
        for used in app.uses.iter().filter(|used| !app::is_served(&used.feature)) {
            self.problem(
                None,
                format!("{used}, which this version of Dayfly does not serve"),
                None,
            );
        }
        let providers = Providers::from_process(Default::default());
        let providers = providers.configured(&RuntimeConfig::default(), &app.root);
        if let Err(error) = providers.and_then(|providers| providers.resolve(app)) {
            self.warnings.push(match error {
                VariableError::Missing(_) => {
                    format!("{error}: `dayfly up` will want `--variable NAME=VALUE`")
                }
                other => chain(&other),
            });
        }
        let targets = app::targets(app);
        for (id, component) in &app.components {
            let mut named = targets.iter().filter(|target| target.component == id).peekable();
            if named.peek().is_none() {
                let alone =
                    Target { component: id, executor: &Executor::Detected, middleware: &[] };
                // A part of another one: what it exports need be no handler.
                let part = app.composed().any(|part| part == id);
                if !part {
                    self.warnings.push(format!("no trigger wakes component `{id}`"));
                }
                self.component(app, component, alone, part, fetched);
            }
            for target in named {
                self.component(app, component, *target, false, fetched);
            }
            self.takes_requests(app, id);
            self.takes_batches(app, id);
        }
    }

    fn triggers(&mut self, app: &App) {
        for trigger in &app.triggers {
            self.triggers.push(match &trigger.kind {
                TriggerKind::Http(http) => {
                    let on = match &http.route {
                        Some(route) => graph::route(http, route),
                        None => "http (private)".to_owned(),
                    };
                    let target = match &http.target {
                        HttpTarget::Component { component, .. } => {
                            let output = http.websocket.as_ref().and_then(|it| it.output.as_ref());
                            let output = output.map(|it| format!(" -> {it}")).unwrap_or_default();
                            format!("{component}{output}")
                        }
                        HttpTarget::Static(_) => "(static response)".to_owned(),
                        HttpTarget::Queue(name) => format!("queue {name}"),
                    };
                    (on, target)
                }
                TriggerKind::Event(event) => {
                    let on = graph::source(event);
                    let output = event.output.as_ref();
                    let output = output.map(|it| format!(" -> {it}")).unwrap_or_default();
                    (on, format!("{}{output}", event.component))
                }
                TriggerKind::Command(command) => {
                    ("command".to_owned(), command.component.to_string())
                }
                TriggerKind::Other { name, component, .. } => {
                    let target = component.as_ref().map_or_else(String::new, ToString::to_string);
                    (name.clone(), target)
                }
            });
        }
        if self.triggers.is_empty() {
            let hint = "add a `[[trigger.http]]` with `route` and `component`".to_owned();
            self.problem(None, "the app has no trigger, so nothing would ever wake it", Some(hint));
        }
    }

    /// A component that a route leads to must take requests.
    fn takes_requests(&mut self, app: &App, id: &ComponentId) {
        let is_routed = app.triggers.iter().any(|trigger| match &trigger.kind {
            TriggerKind::Http(http) => match &http.target {
                HttpTarget::Component { component, .. } => component == id,
                HttpTarget::Static(_) | HttpTarget::Queue(_) => false,
            },
            _ => false,
        });
        let found = self.components.iter().filter(|it| it.id == id.0).find_map(|it| it.shape);
        if let Some(shape) = found.filter(|shape| is_routed && !shape.takes_requests()) {
            let message = format!("exports {shape}, which takes no HTTP requests");
            self.problem(Some(&id.0), message, None);
        }
    }

    /// A component that gets batches must take them.
    fn takes_batches(&mut self, app: &App, id: &ComponentId) {
        let gets_batches = app.triggers.iter().any(|trigger| match &trigger.kind {
            TriggerKind::Event(event) => event.component == *id && event.delivery.batch.is_some(),
            _ => false,
        });
        let found = self.components.iter().filter(|it| it.id == id.0).find_map(|it| it.shape);
        if let Some(shape) = found.filter(|shape| gets_batches && !shape.takes_batches()) {
            let message = format!("exports {shape}, which takes one event at a time");
            let hint = "remove `batch` from its trigger".to_owned();
            self.problem(Some(&id.0), message, Some(hint));
        }
    }

    fn component(
        &mut self,
        app: &App,
        component: &Component,
        target: Target<'_>,
        part: bool,
        fetched: &Fetched,
    ) {
        self.folders(app, component);
        // A kind of source that is not served has been told already, with its place.
        if let Source::File(file) = &component.source
            && Feature::script(file).is_some()
        {
            return;
        }
        let Target { component: id, executor, middleware } = target;
        match dayfly_forge::prepare_unshaped(&job(app, component, executor, middleware, fetched)) {
            Ok(prepared) if part => self.prepared(id, component, None, prepared),
            Ok(prepared) => {
                let shape = self.shape(id, executor, &prepared);
                self.prepared(id, component, shape, prepared);
            }
            // It may be had where there is a network.
            Err(error) if error.is_unfetched() => {
                let (error, hint) = (chain(&error.failure), error.hint().unwrap_or_default());
                self.warnings.push(format!("component `{id}`: {error}: {hint}"));
            }
            Err(error) => {
                let hint = error.hint();
                self.problem(Some(&id.0), chain(&error.failure), hint);
            }
        }
    }

    fn shape(&mut self, id: &ComponentId, how: &Executor, it: &Unshaped) -> Option<HandlerShape> {
        let detected = match how {
            Executor::Wagi { .. } => shape::detect_command(&it.world),
            Executor::Detected => shape::detect_shape(&it.world),
        };
        match &detected {
            Ok(shape) if serves_shape(*shape) => {}
            Ok(shape) => {
                let message = format!("exports {shape}, which this version does not serve");
                self.problem(Some(&id.0), message, None);
            }
            Err(error) => self.problem(Some(&id.0), error.to_string(), error.hint()),
        }
        detected.ok()
    }

    fn prepared(
        &mut self,
        id: &ComponentId,
        component: &Component,
        shape: Option<HandlerShape>,
        it: Unshaped,
    ) {
        let imports: Vec<Import> =
            it.world.imports.iter().filter_map(|name| import(name, component)).collect();
        for missing in imports.iter().filter(|import| import.access == Access::Missing) {
            let message = format!("imports `{}`, which nothing can stand for", missing.name);
            let hint = "compose the component with what it needs before it comes here".to_owned();
            self.problem(Some(&id.0), message, Some(hint));
        }
        self.components.push(ComponentFacts {
            id: id.to_string(),
            source: source(&component.source),
            bytes: it.phases.first().map_or(it.wasm.len(), |phase| phase.bytes),
            shape,
            imports,
            exports: it.world.exports.iter().map(|export| export.raw.clone()).collect(),
            wasm: it.wasm,
            compiled: None,
        });
    }

    /// Folders and files that are granted and not there.
    fn folders(&mut self, app: &App, component: &Component) {
        if let Err(error) = dayfly_capabilities::wasi::check_files(component, &app.root) {
            self.problem(Some(&component.id.0), chain(&error), None);
        }
    }
}

/// What an import leads to; a type needs nobody.
fn import(name: &InterfaceName, component: &Component) -> Option<Import> {
    // What a part of it may not use, though the component may.
    let denied = name.raw.strip_prefix(DENIED);
    let interface = denied.unwrap_or(&name.raw);
    let served = registry::serving(interface);
    let key = match denied {
        Some(interface) => opened_by(interface),
        None => served.and_then(|capability| capability.key_of(interface)),
    };
    let access = match (name.kind, served, key) {
        (ItemKind::Instance, Some(_), _) if denied.is_some() => Access::Denied,
        (ItemKind::Type, ..) => return None,
        (ItemKind::Module | ItemKind::Component | ItemKind::Value, ..) => Access::Missing,
        (_, None, _) => Access::Refused,
        (_, Some(_), None) => Access::Always,
        (_, Some(_), Some(key)) if has(component, key) => Access::Granted,
        (_, Some(_), Some(_)) => Access::Denied,
    };
    let capability = served.map(|capability| capability.name);
    Some(Import { name: name.raw.clone(), capability, key, access })
}

/// Whether a component's table has this key, with something in it.
fn has(component: &Component, key: &str) -> bool {
    match key {
        "files" => !component.files.is_empty(),
        "environment" => !component.environment.is_empty(),
        "allowed_outbound_hosts" => !component.allowed_outbound_hosts.is_empty(),
        "variables" => !component.variables.is_empty(),
        "key_value_stores" => !component.key_value_stores.is_empty(),
        "blob_containers" => !component.blob_containers.is_empty(),
        "messaging" => !component.messaging.is_empty(),
        "sqlite_databases" => !component.sqlite_databases.is_empty(),
        "websockets" => component.websockets,
        "ai_models" => !component.ai_models.is_empty(),
        // A key that grants by being there at all stands in no list of ours yet.
        _ => false,
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Url { url, .. } => url.clone(),
        Source::Registry { package, version, .. } => format!("{package}@{version}"),
    }
}
