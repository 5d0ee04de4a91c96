//! From a tree that was checked to an [`App`]: defaults, references, and what spans several keys.
//!
//! What the checker reported already is passed over here in silence, so that both passes report
//! together.

mod command;
mod component;
mod dependency;
mod event;
mod http;
mod nats;
mod trigger;
mod uses;
mod websocket;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::check::nearest;
use super::error::ManifestError;
use super::text::Source;
use super::value::{Entry, Node, Value};
use crate::app::{App, Component, ComponentId, Variable};
use crate::feature::{Feature, FeatureUse};
use crate::template::Template;

/// Makes the app of a checked tree of version 2. The app is only good if nothing was reported.
pub(super) fn lower(
    source: &Source<'_>,
    root: &Node,
    folder: &Path,
    profile: Option<&str>,
    errors: &mut Vec<ManifestError>,
) -> App {
    let variables = variables(source, root, errors);
    let component_nodes = root.get("component").map_or(&[][..], Node::entries);
    let known: BTreeSet<_> = component_nodes.iter().map(|entry| entry.key.clone()).collect();
    let mut lowering = Lowering {
        source,
        profile,
        declared: variables.keys().cloned().collect(),
        component_nodes,
        taken: known.clone(),
        known,
        components: BTreeMap::new(),
        inline_count: 0,
        routes: BTreeMap::new(),
        websockets: BTreeSet::new(),
        uses: Vec::new(),
        errors,
    };
    lowering.profile_exists(root);
    let mut seen = BTreeSet::new();
    for entry in lowering.component_nodes {
        // Only version 1, which lists components, can say it twice.
        if !seen.insert(entry.key.as_str()) {
            let message = format!("two components have the id `{}`", entry.key);
            lowering.report(&entry.key_span, message, None);
        }
        let key = format!("component.{}", entry.key);
        let component = lowering.component(&entry.key, &entry.node, &key);
        lowering.components.insert(component.id.clone(), Box::new(component));
    }
    let details = root.get("application");
    let text = |key| details.and_then(|d| d.text(key)).unwrap_or_default().to_owned();
    lowering.use_of_targets(details, "application");
    let triggers = lowering.triggers(root);
    for id in std::mem::take(&mut lowering.websockets) {
        if let Some(component) = lowering.components.get_mut(&id) {
            component.websockets = true;
        }
    }
    App {
        name: text("name"),
        version: text("version"),
        description: text("description"),
        authors: details.map(|d| d.texts("authors")).unwrap_or_default(),
        root: folder.to_owned(),
        http_base: trigger::http_base(root),
        http_health: trigger::http_health(root),
        trigger_settings: trigger::settings(root),
        triggers,
        components: std::mem::take(&mut lowering.components),
        uses: {
            let mut uses = std::mem::take(&mut lowering.uses);
            uses.sort_by(|a, b| a.place.cmp(&b.place));
            uses.shrink_to_fit();
            uses
        },
        variables,
    }
}

struct Lowering<'l, 't> {
    source: &'l Source<'t>,
    profile: Option<&'l str>,
    declared: BTreeSet<String>,
    /// The components as the manifest states them, without inline ones.
    component_nodes: &'l [Entry],
    /// Their ids.
    known: BTreeSet<String>,
    /// The ids of all components, inline ones too.
    taken: BTreeSet<String>,
    components: BTreeMap<ComponentId, Box<Component>>,
    /// How many inline components were counted.
    inline_count: u32,
    /// The shapes of the routes so far, each with its route and line.
    routes: BTreeMap<String, (String, u32)>,
    /// The components of routes with WebSockets.
    websockets: BTreeSet<ComponentId>,
    uses: Vec<FeatureUse>,
    errors: &'l mut Vec<ManifestError>,
}

impl Lowering<'_, '_> {
    fn report(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.errors.push(self.source.error(span, message).maybe_hint(hint));
    }

    fn used(&mut self, feature: Feature, key: impl Into<String>, span: &Range<usize>) {
        let place = self.source.place(span.start);
        self.uses.push(FeatureUse { feature, key: key.into(), place });
    }

    /// A reference to a component of the app.
    fn reference(&mut self, id: &str, span: &Range<usize>) -> ComponentId {
        if !self.known.contains(id) {
            let hint = match nearest(id, self.known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `[component.{id}]`"),
            };
            self.report(span, format!("the app has no component `{id}`"), Some(hint));
        }
        ComponentId(id.to_owned())
    }

    /// Checks that the app declares each variable in a template. What does not parse was reported.
    fn template(&mut self, node: &Node) -> Option<Template> {
        let template = Template::parse(node.as_text()?).ok()?;
        for name in template.variables() {
            if self.declared.contains(name) {
                continue;
            }
            let hint = match nearest(name, self.declared.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "declare it: `[variables]` with `{name} = {{ default = \"…\" }}` or `{name} = {{ required = true }}`"
                ),
            };
            self.errors.push(
                self.source
                    .error(&node.span, format!("the app declares no variable `{name}`"))
                    .hint(hint),
            );
        }
        Some(template)
    }

    fn profile_exists(&mut self, root: &Node) {
        let Some(profile) = self.profile else { return };
        let kinds = root.get("trigger").map_or(&[][..], Node::entries);
        let triggers = kinds.iter().flat_map(|kind| kind.node.items());
        let inline = triggers.filter_map(|trigger| trigger.get("component"));
        let components = self.component_nodes.iter().map(|entry| &entry.node).chain(inline);
        let profiles = components.filter_map(|component| component.get("profile"));
        let known: BTreeSet<_> = profiles.flat_map(Node::entries).map(|e| e.key.clone()).collect();
        if known.contains(profile) {
            return;
        }
        let hint = match nearest(profile, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "no component has a `profile` table".to_owned(),
            None => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                format!("the profiles are {}", known.join(", "))
            }
        };
        self.report(&(0..0), format!("no component has a profile `{profile}`"), Some(hint));
    }
}

fn variables(
    source: &Source<'_>,
    root: &Node,
    errors: &mut Vec<ManifestError>,
) -> BTreeMap<String, Variable> {
    let entries = root.get("variables").map_or(&[][..], Node::entries);
    let variable = |entry: &Entry| {
        let node = &entry.node;
        let required = node.bool("required").unwrap_or(false);
        let name = &entry.key;
        let problem = match (required, node.get("default")) {
            (false, None) if matches!(node.value, Value::Table(_)) => Some((
                "has no default and is not required",
                "add `default = \"…\"` or `required = true`",
            )),
            (true, Some(_)) => Some(("is required and has a default", "keep one of them")),
            _ => None,
        };
        if let Some((problem, hint)) = problem {
            errors.push(
                source.error(&entry.key_span, format!("variable `{name}` {problem}")).hint(hint),
            );
        }
        let variable = Variable {
            default: node.text("default").map(str::to_owned),
            secret: node.bool("secret").unwrap_or(false),
            description: node.text("description").unwrap_or_default().to_owned(),
        };
        (name.clone(), variable)
    };
    entries.iter().map(variable).collect()
}
