//! Spin's version 1 rewritten as version 2: the same places, the newer vocabulary.

use std::collections::BTreeSet;
use std::ops::Range;

use super::value::{Entry, Node, Value};

/// What version 1 granted a component that states no `allowed_outbound_hosts`: databases
/// anywhere, because the key is younger than those grants.
const DATABASES: [&str; 3] = ["redis://*:*", "mysql://*:*", "postgres://*:*"];

/// Rewrites a manifest of version 1. What is malformed stays as it is: it was reported.
pub(super) fn to_version_2(root: &Node) -> Node {
    let application = ["name", "version", "description", "authors"];
    let mut details: Vec<_> =
        application.iter().filter_map(|key| root.entry(key).cloned()).collect();
    let kind = root.get("trigger").and_then(|trigger| trigger.text("type")).unwrap_or("http");
    if let Some(trigger) = root.entry("trigger") {
        let settings = trigger.node.entries().iter().filter(|entry| entry.key != "type");
        let of_kind = table(&trigger.key_span, settings.cloned().collect());
        let by_kind = table(&trigger.key_span, vec![entry(kind, &trigger.key_span, of_kind)]);
        details.push(entry("trigger", &trigger.key_span, by_kind));
    }
    let mut ids = BTreeSet::new();
    let mut triggers = Vec::new();
    let mut components = Vec::new();
    for component in root.list("component") {
        let Some(id) = component.entry("id") else {
            continue;
        };
        let Some(name) = id.node.as_text().map(kebab) else {
            continue;
        };
        // Of two components with one id, which is reported, only one gives its trigger a name.
        let first = ids.insert(name.clone());
        triggers.push(trigger_of(component, &name, &id.node, first));
        components.push(entry(&name, &id.node.span, component_of(component)));
    }
    let at = 0..0;
    let kind_at = root.entry("trigger").map_or(at.clone(), |entry| entry.key_span.clone());
    let list = Node { span: at.clone(), value: Value::List(triggers) };
    let mut entries = vec![
        entry("application", &at, table(&at, details)),
        entry("trigger", &at, table(&at, vec![entry(kind, &kind_at, list)])),
        entry("component", &at, table(&at, components)),
    ];
    entries.extend(root.entry("variables").cloned());
    table(&root.span, entries)
}

/// Underscores and capitals, which version 2 does not allow in ids, as Spin rewrites them.
fn kebab(id: &str) -> String {
    id.replace('_', "-").to_lowercase()
}

fn table(span: &Range<usize>, entries: Vec<Entry>) -> Node {
    Node { span: span.clone(), value: Value::Table(entries) }
}

fn text(span: &Range<usize>, text: &str) -> Node {
    Node { span: span.clone(), value: Value::Text(text.to_owned()) }
}

fn entry(key: &str, key_span: &Range<usize>, node: Node) -> Entry {
    Entry { key: key.to_owned(), key_span: key_span.clone(), node }
}

fn trigger_of(component: &Node, name: &str, id: &Node, named: bool) -> Node {
    let stated = component.get("trigger");
    let mut entries = stated.map_or_else(Vec::new, |trigger| trigger.entries().to_vec());
    entries.push(entry("component", &id.span, text(&id.span, name)));
    if named && !entries.iter().any(|entry| entry.key == "id") {
        entries.push(entry("id", &id.span, text(&id.span, &format!("trigger-{name}"))));
    }
    let span = component.entry("trigger").map_or(&id.span, |entry| &entry.key_span);
    table(span, entries)
}

fn component_of(component: &Node) -> Node {
    let mut entries = Vec::new();
    for stated in component.entries() {
        match stated.key.as_str() {
            "id" | "trigger" => {}
            "config" => entries.push(Entry { key: "variables".to_owned(), ..stated.clone() }),
            _ => entries.push(stated.clone()),
        }
    }
    if component.get("allowed_outbound_hosts").is_none() {
        let span = component.span.clone();
        let hosts = DATABASES.iter().map(|host| text(&span, host)).collect();
        let node = Node { span: span.clone(), value: Value::List(hosts) };
        entries.push(entry("allowed_outbound_hosts", &span, node));
    }
    table(&component.span, entries)
}
