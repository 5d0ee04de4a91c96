//! A component: its source, its grants and its bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::value::{Node, Value};
use super::Lowering;
use crate::app::{Build, Component, ComponentId, FileGrant, Goal, Initialiser, Source};
use crate::feature::Feature;
use crate::manifest::{parse_duration, parse_size};
use crate::outbound::{HostPattern, OutboundHosts, from_allowed_http_hosts};
use crate::template::Template;
use crate::{Limits, Reuse};

impl Lowering<'_, '_> {
    /// The component that `node` states, under the key `key`, with the profile applied.
    pub(super) fn component(&mut self, id: &str, node: &Node, key: &str) -> Component {
        let profile = self.profile.and_then(|name| node.get("profile")?.get(name));
        let source = profile.and_then(|p| p.entry("source")).or_else(|| node.entry("source"));
        self.uses_of_component(node, profile, source, key);
        let source =
            source.map_or_else(|| Source::File(PathBuf::new()), |entry| source_of(&entry.node));
        Component {
            id: ComponentId(id.to_owned()),
            description: node.text("description").unwrap_or_default().to_owned(),
            limits: limits(node, Limits::of_source(&source)),
            source,
            files: node.list("files").iter().filter_map(file_grant).collect(),
            exclude_files: node.texts("exclude_files"),
            environment: environment(node, profile),
            allowed_outbound_hosts: self.outbound_hosts(node, key),
            key_value_stores: node.texts("key_value_stores"),
            blob_containers: node.texts("blob_containers"),
            messaging: node.texts("messaging"),
            sqlite_databases: node.texts("sqlite_databases"),
            websockets: node.bool("websockets").unwrap_or(false),
            ai_models: node.texts("ai_models"),
            variables: self.component_variables(node),
            build: build(node, profile),
            dependencies: self.dependencies(id, node, profile, key),
            reuse: reuse(node),
        }
    }

    fn component_variables(&mut self, node: &Node) -> BTreeMap<String, Template> {
        let mut variables = BTreeMap::new();
        for entry in node.get("variables").map_or(&[][..], Node::entries) {
            if let Some(template) = self.template(&entry.node) {
                variables.insert(entry.key.clone(), template);
            }
        }
        variables
    }

    fn outbound_hosts(&mut self, node: &Node, key: &str) -> OutboundHosts {
        let mut hosts = OutboundHosts::none();
        for item in node.list("allowed_outbound_hosts") {
            self.template(item);
            // What does not parse was reported by the checker.
            let _ = item.as_text().map(|text| hosts.push(text));
            let pattern = item.as_text().and_then(|text| HostPattern::parse(text).ok());
            if pattern.is_some_and(|pattern| pattern.is_internal()) {
                let key = format!("{key}.allowed_outbound_hosts");
                self.used(Feature::ServiceChaining, key, &item.span);
            }
        }
        let old = node.list("allowed_http_hosts").iter().filter_map(Node::as_text);
        for entry in old.filter_map(|text| from_allowed_http_hosts(text).ok()).flatten() {
            let _ = hosts.push(&entry);
        }
        hosts
    }
}

/// The source that a checked value states.
pub(super) fn source_of(node: &Node) -> Source {
    let text = |key| node.text(key).unwrap_or_default().to_owned();
    match &node.value {
        Value::Text(path) => Source::File(path.into()),
        _ if node.get("url").is_some() => {
            Source::Url { url: text("url"), digest: text("digest").to_ascii_lowercase() }
        }
        _ => Source::Registry {
            registry: node.text("registry").map(str::to_owned),
            package: text("package"),
            version: text("version"),
        },
    }
}

fn file_grant(node: &Node) -> Option<FileGrant> {
    match &node.value {
        Value::Text(glob) => Some(FileGrant::Glob(glob.clone())),
        _ => Some(FileGrant::Mount {
            source: node.text("source")?.into(),
            destination: node.text("destination")?.to_owned(),
            writable: node.bool("writable").unwrap_or(false),
        }),
    }
}

/// The texts of the table at `environment`.
pub(super) fn environment_of(node: &Node) -> impl Iterator<Item = (String, String)> + '_ {
    let entries = node.get("environment").map_or(&[][..], Node::entries);
    entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.as_text()?.to_owned())))
}

fn environment(node: &Node, profile: Option<&Node>) -> BTreeMap<String, String> {
    environment_of(node).chain(profile.into_iter().flat_map(environment_of)).collect()
}

fn build(node: &Node, profile: Option<&Node>) -> Option<Build> {
    let default = node.get("build");
    let special = profile.and_then(|profile| profile.get("build"));
    default.or(special)?;
    let command = special.or(default)?.get("command")?;
    let commands = match command.as_text() {
        Some(command) => vec![command.to_owned()],
        None => command.items().iter().filter_map(Node::as_text).map(str::to_owned).collect(),
    };
    Some(Build {
        commands,
        workdir: default.and_then(|build| build.text("workdir")).map(PathBuf::from),
        watch: default.map(|build| build.texts("watch")).unwrap_or_default(),
        freeze: default.and_then(initialiser),
        optimize: default.and_then(|build| Goal::of(build.text("optimize")?)),
    })
}

fn initialiser(build: &Node) -> Option<Initialiser> {
    match build.text("freeze") {
        Some(name) => Some(Initialiser::Named(name.to_owned())),
        None => build.bool("freeze")?.then_some(Initialiser::Usual),
    }
}

fn limits(node: &Node, mut limits: Limits) -> Limits {
    let Some(stated) = node.get("limits") else { return limits };
    for name in Limits::NAMES {
        let integer = || stated.integer(name).map(|number| number.to_string());
        if let Some(value) = stated.text(name).map(str::to_owned).or_else(integer) {
            // What is no value was reported when the manifest was checked.
            let _ = limits.set(name, &value);
        }
    }
    limits
}

/// What is no value was reported when the manifest was checked.
fn reuse(node: &Node) -> Reuse {
    let default = Reuse::default();
    let Some(stated) = node.get("reuse") else { return default };
    let idle = stated.text("idle").and_then(|text| parse_duration(text).ok());
    let growth = stated.text("growth").and_then(|text| parse_size(text).ok());
    let requests = stated.integer("requests").and_then(|number| u32::try_from(number).ok());
    Reuse {
        requests: requests.unwrap_or(default.requests),
        idle: idle.unwrap_or(default.idle),
        growth_bytes: growth.unwrap_or(default.growth_bytes),
    }
}
