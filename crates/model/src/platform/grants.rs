//! What an app asks for, so that two releases can be compared: who deploys sees what a new one would
//! get that the former had not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::events::EventSource;
use crate::{App, Component, FileGrant, Limits, TriggerKind};

/// What all components of an app ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grants {
    /// By the component's id.
    pub components: BTreeMap<String, ComponentGrants>,
    /// What wakes the app, by kind: `http`, `cron`, `queue`, `redis`, `mqtt`, `nats`, `command`.
    pub triggers: BTreeSet<String>,
}

/// What one component asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentGrants {
    /// What it may use, by kind of capability (`host`, `key_value`, `blob_container`, `messaging`,
    /// `sqlite`, `ai_model`, `websockets`, `write`), by name.
    pub may_use: BTreeMap<String, BTreeSet<String>>,
    /// Its bounds, by name, in bytes, milliseconds or pieces; one that is not there is none.
    pub limits: BTreeMap<String, u64>,
}

/// Something that a release asks for and another one has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ask {
    /// The component; nothing where it is the app as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What kind of thing: one of [`ComponentGrants::may_use`], `limit` or `trigger`.
    pub kind: String,
    /// Which one.
    pub name: String,
    /// The former value, of a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// The value that it asks for, of a limit; nothing where it is to have no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Grants {
    /// What an app asks for.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let components = app.components.iter();
        let components = components.map(|(id, it)| (id.0.clone(), ComponentGrants::of(it)));
        let triggers = app.triggers.iter().map(|trigger| kind_of(&trigger.kind).to_owned());
        Self { components: components.collect(), triggers: triggers.collect() }
    }

    /// What it asks for beyond what another release has, in a stable order. A component that the
    /// other has not is held against one that may use nothing, within the usual bounds.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Vec<Ask> {
        let mut asks: Vec<_> = self
            .triggers
            .difference(&before.triggers)
            .map(|kind| Ask::named(None, "trigger", kind))
            .collect();
        let usual = ComponentGrants::usual();
        for (id, component) in &self.components {
            component.beyond(before.components.get(id).unwrap_or(&usual), id, &mut asks);
        }
        asks
    }

    /// The largest value of a limit among the components.
    #[must_use]
    pub fn most(&self, limit: &str) -> Option<u64> {
        self.components.values().filter_map(|it| it.limits.get(limit)).max().copied()
    }
}

impl ComponentGrants {
    fn of(component: &Component) -> Self {
        let written = component.files.iter().filter_map(|grant| match grant {
            FileGrant::Mount { destination, writable: true, .. } => Some(destination.clone()),
            _ => None,
        });
        let sockets = component.websockets.then(|| "websockets".to_owned());
        let mut may_use = BTreeMap::new();
        let mut add = |kind: &str, names: BTreeSet<String>| {
            if !names.is_empty() {
                may_use.insert(kind.to_owned(), names);
            }
        };
        add("host", component.allowed_outbound_hosts.entries().collect());
        add("key_value", component.key_value_stores.iter().cloned().collect());
        add("blob_container", component.blob_containers.iter().cloned().collect());
        add("messaging", component.messaging.iter().cloned().collect());
        add("sqlite", component.sqlite_databases.iter().cloned().collect());
        add("ai_model", component.ai_models.iter().cloned().collect());
        add("websockets", sockets.into_iter().collect());
        add("write", written.collect());
        Self { may_use, limits: limits(&component.limits) }
    }

    fn usual() -> Self {
        Self { may_use: BTreeMap::new(), limits: limits(&Limits::default()) }
    }

    fn beyond(&self, before: &Self, id: &str, asks: &mut Vec<Ask>) {
        let nothing = BTreeSet::new();
        for (kind, names) in &self.may_use {
            let had = before.may_use.get(kind).unwrap_or(&nothing);
            asks.extend(names.difference(had).map(|name| Ask::named(Some(id), kind, name)));
        }
        let names: BTreeSet<_> = self.limits.keys().chain(before.limits.keys()).collect();
        for name in names {
            let (had, asked) = (before.limits.get(name).copied(), self.limits.get(name).copied());
            if asked.unwrap_or(u64::MAX) > had.unwrap_or(u64::MAX) {
                let ask = Ask::named(Some(id), "limit", name);
                asks.push(Ask { before: had, after: asked, ..ask });
            }
        }
    }
}

impl Ask {
    fn named(component: Option<&str>, kind: &str, name: &str) -> Self {
        let component = component.map(str::to_owned);
        Self { component, kind: kind.to_owned(), name: name.to_owned(), before: None, after: None }
    }
}

fn kind_of(trigger: &TriggerKind) -> &str {
    match trigger {
        TriggerKind::Http(_) => "http",
        TriggerKind::Command(_) => "command",
        TriggerKind::Other { name, .. } => name,
        TriggerKind::Event(event) => match &event.source {
            EventSource::Cron(_) => "cron",
            EventSource::Queue(_) => "queue",
            EventSource::Redis(_) => "redis",
            EventSource::Mqtt(_) => "mqtt",
            EventSource::Nats(_) => "nats",
        },
    }
}

/// Limits by their names in manifests.
fn limits(limits: &Limits) -> BTreeMap<String, u64> {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bounds = [
        ("memory", Some(limits.memory_bytes)),
        ("tables", Some(limits.table_elements)),
        ("stack", Some(limits.stack_bytes)),
        ("cpu", Some(ms(limits.cpu))),
        ("instructions", limits.instructions),
        ("time", Some(ms(limits.time))),
        ("concurrency", Some(limits.concurrency.into())),
        ("body", Some(limits.body_bytes)),
        ("output", Some(limits.output_bytes)),
        ("headers", Some(limits.header_bytes)),
        ("log", Some(limits.log_bytes)),
        ("log_rate", Some(limits.log_rate_bytes)),
        ("files", Some(limits.files.into())),
        ("sockets", Some(limits.sockets.into())),
        ("outbound", Some(limits.outbound.into())),
        ("depth", Some(limits.depth.into())),
        ("resources", Some(limits.resources.into())),
        ("database", Some(limits.database_bytes)),
    ];
    let bounds = bounds.into_iter();
    bounds.filter_map(|(name, bound)| Some((name.to_owned(), bound?))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Manifest;

    fn grants(component: &str, trigger: &str) -> Grants {
        let text = format!(
            "dayfly = 1\n[application]\nname = \"a\"\n{trigger}\n\
             [component.a]\nsource = \"a.wasm\"\n{component}\n"
        );
        Grants::of(&Manifest::parse(&text, "dayfly.toml", Path::new("."), None).unwrap())
    }

    const HTTP: &str = "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"a\"";

    #[test]
    fn what_is_new_is_asked_for_and_what_went_is_not() {
        let before = grants(
            "allowed_outbound_hosts = [\"https://a.example\"]\nkey_value_stores = [\"default\"]",
            HTTP,
        );
        let after = grants(
            "allowed_outbound_hosts = [\"https://a.example\", \"https://b.example\"]\n\
             limits = { memory = \"300MiB\", cpu = \"1s\" }",
            &format!(
                "{HTTP}\n[[trigger.cron]]\ncron_expression = \"* * * * *\"\ncomponent = \"a\""
            ),
        );
        let said: Vec<_> = after.beyond(&before).into_iter().map(|it| (it.kind, it.name)).collect();
        let said: Vec<_> = said.iter().map(|(kind, name)| (&**kind, &**name)).collect();
        assert_eq!(said, [("trigger", "cron"), ("host", "https://b.example"), ("limit", "memory")]);
        assert!(before.beyond(&before).is_empty());
        assert_eq!(after.most("memory"), Some(300 << 20));
    }

    #[test]
    fn a_bound_that_goes_is_asked_for() {
        let before = grants("limits = { instructions = 100 }", HTTP);
        let asks = grants("", HTTP).beyond(&before);
        assert_eq!(asks.len(), 1);
        assert_eq!((asks[0].before, asks[0].after), (Some(100), None));
    }

    #[test]
    fn a_new_component_asks_for_all_it_may_use() {
        let after = grants("sqlite_databases = [\"default\"]", HTTP);
        let asks = after.beyond(&Grants::default());
        let kinds: Vec<_> = asks.iter().map(|ask| &*ask.kind).collect();
        assert_eq!(kinds, ["trigger", "sqlite"]);
    }

    #[test]
    fn every_limit_is_compared() {
        let known: BTreeSet<_> =
            limits(&Limits { instructions: Some(1), ..Limits::default() }).into_keys().collect();
        assert_eq!(known, Limits::NAMES.iter().map(|&name| name.to_owned()).collect());
    }
}
