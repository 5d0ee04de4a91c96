//! Dependencies: what satisfies a component's imports.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::value::{Entry, Node, Value, join};
use super::Lowering;
use super::component::{environment_of, source_of};
use crate::app::{ComponentId, Dependency, DependencySource, Inherit, Middleware, Source};

/// What a dependency must not have: it would be dropped in composition.
const GRANTS: [&str; 11] = [
    "ai_models",
    "allowed_http_hosts",
    "allowed_outbound_hosts",
    "blob_containers",
    "dependencies",
    "files",
    "key_value_stores",
    "messaging",
    "sqlite_databases",
    "variables",
    "websockets",
];

/// Each is compared with each.
const MAX_DEPENDENCIES: usize = 500;

impl Lowering<'_, '_> {
    /// The dependencies of component `id`, those of the profile in place of others of their name.
    pub(super) fn dependencies(
        &mut self,
        id: &str,
        node: &Node,
        profile: Option<&Node>,
        key: &str,
    ) -> Vec<Dependency> {
        let all = node.bool("dependencies_inherit_configuration");
        let mut found = BTreeMap::new();
        for holder in [Some(node), profile].into_iter().flatten() {
            let entries = holder.get("dependencies").map_or(&[][..], Node::entries);
            self.disjoint(entries);
            for entry in entries {
                let path = join(&format!("{key}.dependencies"), &entry.key);
                if let Some(source) = self.dependency_source(id, entry, &path) {
                    let inherit = inherit(&entry.node, all);
                    found.insert(
                        entry.key.clone(),
                        dependency(&entry.key, &entry.node, source, inherit),
                    );
                }
            }
        }
        found.into_values().collect()
    }

    /// What stands before a route's component and is stated as a dependency, which has no name.
    pub(super) fn middleware_dependency(&mut self, node: &Node, path: &str) -> Option<Middleware> {
        if let Some(entry) = node.entry("export") {
            let message = format!("`{path}.export` is not for middleware, which exports a handler");
            self.report(&entry.key_span, message, Some("remove it".to_owned()));
        }
        if node.get("version").is_some() && node.get("package").is_none() {
            let message = format!("`{path}` lacks `package`");
            let hint = "middleware has no name to take the package from";
            self.report(&node.span, message, Some(hint.to_owned()));
        }
        let source = match node.entry("component") {
            Some(target) => self.component_source(None, target),
            None => outside_source(node, ""),
        }?;
        let environment = environment_of(node).collect();
        Some(Middleware { source, inherit: inherit(node, None), environment })
    }

    fn dependency_source(
        &mut self,
        id: &str,
        entry: &Entry,
        path: &str,
    ) -> Option<DependencySource> {
        let (name, node) = (entry.key.as_str(), &entry.node);
        let plain = !name.contains([':', '/']);
        let package = name.split(['/', '@']).next().unwrap_or(name);
        if !plain
            && !name.contains('/')
            && let Some(export) = node.entry("export")
        {
            let hint = "name one interface in the key, or leave `export` out";
            let message = format!(
                "`{path}` is a whole package, of which no single export can take the place"
            );
            self.report(&export.key_span, message, Some(hint.to_owned()));
        }
        if let Value::Text(version) = &node.value {
            if plain {
                self.lacks_package(entry, path);
            }
            return Some(DependencySource::Source(Source::Registry {
                registry: None,
                package: package.to_owned(),
                version: range(version),
            }));
        }
        if let Some(target) = node.entry("component") {
            return self.component_source(Some(id), target);
        }
        if plain && node.get("package").is_none() && node.get("version").is_some() {
            self.lacks_package(entry, path);
        }
        outside_source(node, package)
    }

    /// Another component of the app, named by the entry `target`; `id` is the one that needs it.
    fn component_source(&mut self, id: Option<&str>, target: &Entry) -> Option<DependencySource> {
        let target_id = target.node.as_text()?;
        self.reference(target_id, &target.node.span);
        if id == Some(target_id) {
            let message = format!("component `{target_id}` depends on itself");
            self.report(&target.node.span, message, None);
            return None;
        }
        self.may_be_composed(target_id, &target.node.span, "a dependency");
        Some(DependencySource::Component(ComponentId(target_id.to_owned())))
    }

    fn lacks_package(&mut self, entry: &Entry, path: &str) {
        let message = format!("`{path}` does not say which package satisfies it");
        let hint = "a plain name needs `{ package = \"namespace:name\", version = \"…\" }`";
        self.report(&entry.key_span, message, Some(hint.to_owned()));
    }

    /// A component that is composed into another one, as `role`, brings no grants along.
    pub(super) fn may_be_composed(&mut self, target: &str, span: &Range<usize>, role: &str) {
        let nodes = self.component_nodes;
        if let Some(stated) = nodes.iter().find(|entry| entry.key == target) {
            self.has_no_grants(target, &stated.node, span, role);
        }
    }

    /// The same, of a component that `node` states.
    pub(super) fn has_no_grants(
        &mut self,
        target: &str,
        node: &Node,
        span: &Range<usize>,
        role: &str,
    ) {
        let granted = GRANTS.iter().filter_map(|key| node.entry(key));
        let granted: Vec<_> = granted
            .filter(|e| !e.node.items().is_empty() || !e.node.entries().is_empty())
            .map(|e| format!("`{}`", e.key))
            .collect();
        if !granted.is_empty() {
            let message =
                format!("component `{target}` cannot be {role}: it has {}", granted.join(", "));
            let hint = format!("{role} has no grants of its own; see `inherit_configuration`");
            self.report(span, message, Some(hint));
        }
    }

    /// Two dependencies must not satisfy the same import.
    fn disjoint(&mut self, entries: &[Entry]) {
        if let Some(entry) = entries.get(MAX_DEPENDENCIES) {
            let message = format!("more than {MAX_DEPENDENCIES} dependencies");
            return self.report(&entry.key_span, message, None);
        }
        for (i, second) in entries.iter().enumerate() {
            if let Some(first) = entries[..i].iter().find(|first| overlap(&first.key, &second.key))
            {
                let message = format!(
                    "dependencies `{}` and `{}` cover the same imports",
                    first.key, second.key
                );
                let hint = "give them different interfaces or incompatible versions";
                self.report(&second.key_span, message, Some(hint.to_owned()));
            }
        }
    }
}

/// The source that a table states which names no component.
fn outside_source(node: &Node, package: &str) -> Option<DependencySource> {
    let source = if let Some(path) = node.text("path") {
        Source::File(path.into())
    } else if node.get("url").is_some() {
        source_of(node)
    } else {
        Source::Registry {
            registry: node.text("registry").map(str::to_owned),
            package: node.text("package").unwrap_or(package).to_owned(),
            version: range(node.text("version")?),
        }
    };
    Some(DependencySource::Source(source))
}

/// A range of versions in its long form: one that is written as a version is none.
fn range(text: &str) -> String {
    semver::VersionReq::parse(text).map_or_else(|_| text.to_owned(), |range| range.to_string())
}

fn dependency(name: &str, node: &Node, source: DependencySource, inherit: Inherit) -> Dependency {
    Dependency {
        import: name.to_owned(),
        source,
        export: node.text("export").map(str::to_owned),
        inherit,
        environment: environment_of(node).collect(),
    }
}

fn inherit(node: &Node, all: Option<bool>) -> Inherit {
    match node.get("inherit_configuration").map(|node| &node.value) {
        Some(Value::Bool(true)) => Inherit::All,
        Some(Value::Bool(false)) => Inherit::Nothing,
        Some(_) => Inherit::Some(node.texts("inherit_configuration")),
        None if all == Some(true) => Inherit::All,
        None => Inherit::Nothing,
    }
}

/// Whether two names of imports cover a common one: the same package, no two different
/// interfaces, no two incompatible versions.
fn overlap(first: &str, second: &str) -> bool {
    let parts = |name: &str| {
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, semver::Version::parse(version).ok()),
            None => (name, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package, Some(interface)),
            None => (name, None),
        };
        (package.to_owned(), interface.map(str::to_owned), version.map(|v| line_of(&v)))
    };
    let differ =
        |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
    let (first, second) = (parts(first), parts(second));
    first.0.contains(':')
        && first.0 == second.0
        && !differ(&first.1, &second.1)
        && !differ(&first.2, &second.2)
}

/// The line of compatible versions that a version is of.
fn line_of(version: &semver::Version) -> String {
    match (version.pre.is_empty(), version.major, version.minor) {
        (false, ..) => {
            format!("{}.{}.{}-{}", version.major, version.minor, version.patch, version.pre)
        }
        (true, 0, 0) => format!("0.0.{}", version.patch),
        (true, 0, minor) => format!("0.{minor}"),
        (true, major, _) => major.to_string(),
    }
}
