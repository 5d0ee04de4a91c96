//! An app for a bare module: one component that answers every path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::app::{
    App, Component, ComponentId, Executor, HttpTarget, HttpTrigger, Source, Trigger, TriggerKind,
};
use crate::feature::{Feature, FeatureUse};
use crate::outbound::OutboundHosts;
use crate::place::Place;
use crate::route::Route;
use crate::{Limits, Reuse};

impl App {
    /// The app that a bare file makes: one component of the file's name, which may use nothing
    /// beyond computing and answers every HTTP request.
    ///
    /// # Panics
    /// Never: the route is a constant that parses.
    #[must_use]
    pub fn for_module(file: &Path) -> Self {
        let id = ComponentId(id_of(file));
        let target = HttpTarget::Component { component: id.clone(), executor: Executor::Detected };
        let route = Route::parse("/...").expect("the route is a constant that parses");
        let root = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let source = file.file_name().map_or_else(|| file.to_owned(), PathBuf::from);
        Self {
            name: id.0.clone(),
            version: String::new(),
            description: String::new(),
            authors: Vec::new(),
            root,
            variables: BTreeMap::new(),
            http_base: String::new(),
            http_health: None,
            trigger_settings: BTreeMap::new(),
            triggers: vec![Trigger {
                id: format!("{id}-http-trigger"),
                kind: TriggerKind::Http(HttpTrigger {
                    route: Some(route),
                    target,
                    middleware: Vec::new(),
                    websocket: None,
                }),
            }],
            uses: script_use(file, &id).into_iter().collect(),
            components: BTreeMap::from([(id.clone(), Box::new(component(id, source)))]),
        }
    }
}

/// That the file is a script, if it is one; there is no manifest to point at.
fn script_use(file: &Path, id: &ComponentId) -> Option<FeatureUse> {
    Some(FeatureUse {
        feature: Feature::script(file)?,
        key: format!("component.{id}.source"),
        place: Place { file: file.display().to_string().into(), line: 0, column: 0 },
    })
}

/// The file's stem in kebab-case, `app` if nothing is left of it.
fn id_of(file: &Path) -> String {
    let stem =
        file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words: Vec<_> =
        stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let id = words.join("-");
    if id.starts_with(|c: char| c.is_ascii_lowercase()) {
        id
    } else {
        format!("app-{id}").trim_end_matches('-').to_owned()
    }
}

fn component(id: ComponentId, source: PathBuf) -> Component {
    let source = Source::File(source);
    Component {
        id,
        description: String::new(),
        limits: Limits::of_source(&source),
        source,
        files: Vec::new(),
        exclude_files: Vec::new(),
        environment: BTreeMap::new(),
        allowed_outbound_hosts: OutboundHosts::none(),
        key_value_stores: Vec::new(),
        blob_containers: Vec::new(),
        messaging: Vec::new(),
        sqlite_databases: Vec::new(),
        ai_models: Vec::new(),
        websockets: false,
        variables: BTreeMap::new(),
        build: None,
        dependencies: Vec::new(),
        reuse: Reuse::default(),
    }
}
