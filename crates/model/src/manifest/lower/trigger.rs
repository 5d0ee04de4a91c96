//! Triggers: ids, the components that they wake, inline ones among them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::value::{Entry, Node, Value, quoted};
use super::Lowering;
use crate::app::{ComponentId, Trigger, TriggerKind};
use crate::feature::Feature;

/// Keys of a trigger that the model reads itself.
const OWN_KEYS: [&str; 2] = ["id", "component"];

/// The path before every HTTP route, without a trailing slash: empty for `/`.
pub(super) fn http_base(root: &Node) -> String {
    let base = http(root).and_then(|http| http.text("base"));
    let base = base.unwrap_or("/").trim_matches('/');
    if base.is_empty() { String::new() } else { format!("/{base}") }
}

/// The path that tells whether a release is healthy.
pub(super) fn http_health(root: &Node) -> Option<String> {
    http(root)?.text("health").map(str::to_owned)
}

/// The settings of all HTTP triggers.
fn http(root: &Node) -> Option<&Node> {
    root.get("application")?.get("trigger")?.get("http")
}

/// The settings of all triggers of a kind, by kind, HTTP's apart.
pub(super) fn settings(root: &Node) -> BTreeMap<String, serde_json::Value> {
    let settings = root.get("application").and_then(|d| d.get("trigger"));
    let entries = settings.map_or(&[][..], Node::entries);
    let others = entries.iter().filter(|entry| entry.key != "http");
    others.map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
}

impl Lowering<'_, '_> {
    pub(super) fn triggers(&mut self, root: &Node) -> Vec<Trigger> {
        let kinds = root.get("trigger").map_or(&[][..], Node::entries);
        self.uses_of_triggers(root, kinds);
        let ids = self.trigger_ids(kinds);
        let base = http_base(root);
        let mut found = Vec::new();
        for kind in kinds {
            for (i, node) in kind.node.items().iter().enumerate() {
                let id = ids[&node.span.start].clone();
                let path = format!("trigger.{}[{i}]", quoted(&kind.key));
                let trigger = if kind.key == "http" {
                    self.http_trigger(node, &id, &base, &path).map(TriggerKind::Http)
                } else if kind.key == "command" {
                    self.command_trigger(node, &id, &path).map(TriggerKind::Command)
                } else if let Some(source) = self.event_source(&kind.key, node, root, &path) {
                    let trigger = source.and_then(|it| self.event_trigger(it, node, &id, &path));
                    trigger.map(TriggerKind::Event)
                } else {
                    Some(self.other_trigger(&kind.key, node, &id, &path))
                };
                found.extend(trigger.map(|kind| (node.span.start, Trigger { id, kind })));
            }
        }
        self.lift_time_of_commands(root, &found);
        found.sort_by_key(|(start, _)| *start);
        let mut triggers: Vec<_> = found.into_iter().map(|(_, trigger)| trigger).collect();
        triggers.shrink_to_fit();
        triggers
    }

    fn uses_of_triggers(&mut self, root: &Node, kinds: &[Entry]) {
        let settings = root.get("application").and_then(|d| d.get("trigger"));
        let settings = settings.map_or(&[][..], Node::entries);
        let mut seen = BTreeSet::new();
        let stated = kinds.iter().filter(|kind| !kind.node.items().is_empty());
        for (prefix, entry) in stated
            .map(|entry| ("trigger", entry))
            .chain(settings.iter().map(|entry| ("application.trigger", entry)))
        {
            if seen.insert(entry.key.clone()) {
                let key = format!("{prefix}.{}", quoted(&entry.key));
                self.used(Feature::Trigger(entry.key.clone()), key, &entry.key_span);
            }
        }
    }

    /// An id for each trigger, by its place: its own, or one made up as Spin makes it up.
    fn trigger_ids(&mut self, kinds: &[Entry]) -> BTreeMap<usize, String> {
        let mut ids = BTreeMap::new();
        let mut taken = BTreeSet::new();
        let all =
            || kinds.iter().flat_map(|kind| kind.node.items().iter().map(move |node| (kind, node)));
        for (_, node) in all() {
            let Some(id) = node.entry("id").and_then(|e| Some((e, e.node.as_text()?))) else {
                continue;
            };
            if id.1.is_empty() {
                continue;
            }
            if !taken.insert(id.1.to_owned()) {
                self.report(
                    &id.0.node.span,
                    format!("two triggers have the id `{}`", id.1),
                    Some("ids are for the whole app; a trigger needs none".to_owned()),
                );
            }
            ids.insert(node.span.start, id.1.to_owned());
        }
        let mut counters = BTreeMap::<&str, u32>::new();
        for (kind, node) in all() {
            if ids.contains_key(&node.span.start) {
                continue;
            }
            let natural = node.text("component").map(|c| format!("{c}-{}-trigger", kind.key));
            // An id is never given back, so the counter need not start again.
            let counter = counters.entry(&kind.key).or_insert(0);
            let mut id = natural.unwrap_or_default();
            while id.is_empty() || taken.contains(&id) {
                *counter += 1;
                id = format!("{}-trigger{counter}", kind.key);
            }
            taken.insert(id.clone());
            ids.insert(node.span.start, id);
        }
        ids
    }

    /// The component that a value names or states in place.
    pub(super) fn handler(
        &mut self,
        node: &Node,
        trigger_id: &str,
        alone: bool,
        path: &str,
    ) -> Option<ComponentId> {
        match &node.value {
            Value::Text(id) => Some(self.reference(id, &node.span)),
            Value::Table(_) => {
                let id = self.inline_id(trigger_id, alone);
                let component = self.component(&id, node, path);
                self.components.insert(component.id.clone(), Box::new(component));
                Some(ComponentId(id))
            }
            _ => None,
        }
    }

    /// An id for an inline component, made up as Spin makes it up.
    pub(super) fn inline_id(&mut self, trigger_id: &str, alone: bool) -> String {
        let kebab = trigger_id.starts_with(|c: char| c.is_ascii_lowercase())
            && trigger_id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let natural = (alone && kebab).then(|| format!("{trigger_id}-component"));
        let mut id = natural.unwrap_or_default();
        while id.is_empty() || !self.taken.insert(id.clone()) {
            self.inline_count += 1;
            id = format!("inline-component{}", self.inline_count);
        }
        id
    }

    fn other_trigger(&mut self, name: &str, node: &Node, id: &str, path: &str) -> TriggerKind {
        let alone = node.get("components").is_none();
        let component = node.get("component");
        let component = component
            .and_then(|handler| self.handler(handler, id, alone, &format!("{path}.component")));
        for role in node.get("components").map_or(&[][..], Node::entries) {
            let several = if role.node.items().is_empty() {
                std::slice::from_ref(&role.node)
            } else {
                role.node.items()
            };
            for handler in several.iter().filter_map(|node| Some((node.as_text()?, &node.span))) {
                self.reference(handler.0, handler.1);
            }
        }
        let others = node.entries().iter().filter(|entry| !OWN_KEYS.contains(&entry.key.as_str()));
        let settings = others.map(|entry| (entry.key.clone(), entry.node.to_json())).collect();
        TriggerKind::Other {
            name: name.to_owned(),
            component,
            settings: serde_json::Value::Object(settings),
        }
    }
}
