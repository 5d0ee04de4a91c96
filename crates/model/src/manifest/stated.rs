//! What a manifest states, for whoever has to state it again, as a package does: the app, and the
//! tables of which the app keeps only the meaning.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::form::Dialect;
use super::value::Node;
use crate::app::{App, ComponentId, TriggerKind};

/// An app, and what its manifest states of it.
#[derive(Debug, Clone)]
pub struct Stated {
    /// The app.
    pub app: App,
    /// Whether it is stated in Dayfly's form, which has keys that Spin's has not.
    pub is_dayfly: bool,
    /// The triggers, in the order of [`App::triggers`].
    pub triggers: Vec<StatedTrigger>,
    /// The tables `limits` and `reuse` of the components that state them.
    pub bounds: BTreeMap<ComponentId, Map<String, Json>>,
}

/// A trigger's table.
#[derive(Debug, Clone)]
pub struct StatedTrigger {
    /// The name behind `trigger.`.
    pub kind: String,
    /// Its keys but `id`. A component stands there by its id, also one that is written out; what
    /// stands before an HTTP handler is left out, because
    /// [`HttpTrigger::middleware`](crate::HttpTrigger::middleware) has it.
    pub table: Map<String, Json>,
}

impl Stated {
    /// What a manifest would state of the app that a bare module makes.
    #[must_use]
    pub fn of_module(app: App) -> Self {
        let triggers = app.triggers.iter().map(|trigger| {
            let mut table = Map::from_iter([("route".to_owned(), "/...".into())]);
            name_handler(&mut table, &trigger.kind);
            StatedTrigger { kind: "http".to_owned(), table }
        });
        let triggers = triggers.collect();
        Self { app, is_dayfly: true, triggers, bounds: BTreeMap::new() }
    }

    /// What the tree of version 2 states that the app was made of, without mistakes.
    pub(super) fn new(app: App, dialect: Dialect, root: &Node) -> Self {
        let components = root.get("component").map_or(&[][..], Node::entries);
        let mut bounds: BTreeMap<_, _> = components
            .iter()
            .map(|entry| (ComponentId(entry.key.clone()), bounds_of(&entry.node)))
            .collect();
        let kinds = root.get("trigger").map_or(&[][..], Node::entries);
        let nodes =
            kinds.iter().flat_map(|kind| kind.node.items().iter().map(|it| (&kind.key, it)));
        let mut nodes: Vec<_> = nodes.collect();
        // As the app's are sorted.
        nodes.sort_by_key(|(_, node)| node.span.start);
        let mut triggers = Vec::new();
        for (trigger, (kind, node)) in app.triggers.iter().zip(nodes) {
            let Json::Object(mut table) = node.to_json() else { continue };
            let dropped: &[&str] = match trigger.kind {
                TriggerKind::Http(_) => &["id", "components", "dependencies"],
                _ => &["id"],
            };
            dropped.iter().for_each(|key| drop(table.remove(*key)));
            if let (Some(id), Some(component)) = (trigger.kind.handler(), node.get("component"))
                && component.as_text().is_none()
            {
                bounds.insert(id.clone(), bounds_of(component));
            }
            name_handler(&mut table, &trigger.kind);
            triggers.push(StatedTrigger { kind: kind.clone(), table });
        }
        bounds.retain(|_, table| !table.is_empty());
        Self { app, is_dayfly: dialect == Dialect::Dayfly, triggers, bounds }
    }
}

fn name_handler(table: &mut Map<String, Json>, kind: &TriggerKind) {
    if let Some(id) = kind.handler() {
        table.insert("component".to_owned(), id.0.clone().into());
    }
}

fn bounds_of(component: &Node) -> Map<String, Json> {
    let stated = ["limits", "reuse"].into_iter();
    stated.filter_map(|key| Some((key.to_owned(), component.get(key)?.to_json()))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Manifest;
    use super::*;

    fn stated(text: &str) -> Stated {
        let (app, dialect, tree) =
            Manifest::understand(text, "dayfly.toml", Path::new("/"), None).unwrap();
        Stated::new(app, dialect, &tree)
    }

    #[test]
    fn triggers_name_components_that_are_written_out() {
        let stated = stated(
            "dayfly = 1\n[application]\nname = \"a\"\n\
             [[trigger.http]]\nroute = \"/a\"\nid = \"first\"\n\
             component = { source = \"a.wasm\", limits = { memory = \"1MiB\" } }\n\
             [[trigger.queue]]\nqueue = \"q\"\ncomponent = \"b\"\n\
             [[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n\
             [component.b]\nsource = \"b.wasm\"\nreuse = { requests = 2 }\n",
        );
        assert!(stated.is_dayfly);
        let seen =
            stated.triggers.iter().map(|it| (it.kind.as_str(), Json::from(it.table.clone())));
        let seen: Vec<_> = seen.collect();
        assert_eq!(
            seen,
            [
                ("http", serde_json::json!({ "route": "/a", "component": "first-component" })),
                ("queue", serde_json::json!({ "queue": "q", "component": "b" })),
                ("http", serde_json::json!({ "route": "/b", "component": "b" })),
            ]
        );
        let bounds = |id: &str| Json::from(stated.bounds[&ComponentId(id.to_owned())].clone());
        assert_eq!(
            bounds("first-component"),
            serde_json::json!({ "limits": { "memory": "1MiB" } })
        );
        assert_eq!(bounds("b"), serde_json::json!({ "reuse": { "requests": 2 } }));
    }

    #[test]
    fn version_1_is_stated_as_version_2() {
        let stated = stated(
            "spin_manifest_version = \"1\"\nname = \"a\"\nversion = \"1.0.0\"\n\
             trigger = { type = \"http\", base = \"/base\" }\n\
             [[component]]\nid = \"A_b\"\nsource = \"a.wasm\"\n[component.trigger]\nroute = \"/\"\n",
        );
        assert!(!stated.is_dayfly);
        assert_eq!(stated.triggers[0].kind, "http");
        assert_eq!(
            Json::from(stated.triggers[0].table.clone()),
            serde_json::json!({ "route": "/", "component": "a-b" })
        );
    }
}
