//! What a manifest uses that a build may not serve.

use super::super::value::{Entry, Node, Value};
use super::Lowering;
use crate::feature::Feature;

/// The keys that grant a capability, and the capability's name.
const GRANTS: [(&str, &str); 5] = [
    ("key_value_stores", "key-value"),
    ("sqlite_databases", "sqlite"),
    ("ai_models", "llm"),
    ("blob_containers", "blobstore"),
    ("messaging", "messaging"),
];

impl Lowering<'_, '_> {
    pub(super) fn uses_of_component(
        &mut self,
        node: &Node,
        profile: Option<&Node>,
        source: Option<&Entry>,
        key: &str,
    ) {
        for (name, capability) in GRANTS {
            if let Some(entry) = node.entry(name).filter(|entry| !entry.node.items().is_empty()) {
                let feature = Feature::Capability(capability.to_owned());
                self.used(feature, format!("{key}.{name}"), &entry.key_span);
            }
        }
        if let Some(entry) = source {
            self.use_of_source(entry, key);
        }
        for (holder, key) in [
            (Some(node), key.to_owned()),
            (profile, format!("{key}.profile.{}", self.profile.unwrap_or_default())),
        ] {
            let stated = holder.and_then(|holder| holder.entry("dependencies"));
            if let Some(entry) = stated.filter(|entry| !entry.node.entries().is_empty()) {
                self.used(Feature::Dependencies, format!("{key}.dependencies"), &entry.key_span);
            }
        }
        self.uses_of_build(node, key);
        self.use_of_targets(Some(node), key);
    }

    fn uses_of_build(&mut self, node: &Node, key: &str) {
        let Some(build) = node.get("build") else {
            return;
        };
        if let Some(entry) = build.entry("freeze")
            && !matches!(entry.node.value, Value::Bool(false))
        {
            self.used(Feature::Freeze, format!("{key}.build.freeze"), &entry.key_span);
        }
        if let Some(entry) = build.entry("optimize") {
            self.used(Feature::Optimize, format!("{key}.build.optimize"), &entry.key_span);
        }
    }

    fn use_of_source(&mut self, entry: &Entry, key: &str) {
        let feature = match &entry.node.value {
            Value::Text(path) => match Feature::script(path.as_ref()) {
                Some(feature) => feature,
                None => return,
            },
            _ if entry.node.get("url").is_some() => Feature::UrlSource,
            _ => Feature::RegistrySource,
        };
        self.used(feature, format!("{key}.source"), &entry.key_span);
    }

    pub(super) fn use_of_targets(&mut self, node: Option<&Node>, key: &str) {
        let stated = node.and_then(|node| node.entry("targets"));
        if let Some(entry) = stated.filter(|entry| !entry.node.items().is_empty()) {
            self.used(Feature::Targets, format!("{key}.targets"), &entry.key_span);
        }
    }
}
