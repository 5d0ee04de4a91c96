//! Which imports of a component a dependency satisfies, and by which of its exports.
//!
//! A plain name stands for the import of that name; a package for all of its interfaces that the
//! component imports, or for the one that is named; a version, where there is one, has to be that of
//! the import. The export is called as the import unless the manifest says otherwise; one of a
//! compatible version will do.

use std::collections::BTreeMap;

use dayfly_model::Dependency;
use wac_graph::types::are_semver_compatible;

use super::graph::Graph;
use super::{ComposeError, Composition, Instance, called};
use crate::resolve::Location;

/// Satisfies the imports of `main` by its dependencies.
pub(super) fn satisfy(
    graph: &mut Graph,
    main: &Instance,
    composition: &Composition<'_>,
    like: &Location<'_>,
) -> Result<(), ComposeError> {
    let imports = graph.imports(main);
    let mut satisfied: BTreeMap<&str, String> = BTreeMap::new();
    for dependency in composition.dependencies {
        let part = called(dependency);
        let matched: Vec<_> =
            imports.iter().filter(|import| matches(&dependency.import, import)).collect();
        if matched.is_empty() {
            let imports = imports.iter().filter(|name| !is_platform(name)).cloned().collect();
            return Err(ComposeError::NoImport { part, imports });
        }
        let instance = composition.add(graph, &part, dependency.into(), like)?;
        for import in matched {
            if let Some(first) = satisfied.insert(import, part.clone()) {
                let import = import.clone();
                return Err(ComposeError::Conflict { first, second: part, import });
            }
            let export = export_for(graph, &instance, dependency, import)?;
            graph.connect(main, import, &instance, &export)?;
        }
    }
    Ok(())
}

/// What a dependency exports for an import.
fn export_for(
    graph: &Graph,
    instance: &Instance,
    dependency: &Dependency,
    import: &str,
) -> Result<String, ComposeError> {
    let wanted = dependency.export.as_deref().unwrap_or(import);
    let exports = graph.exports(instance);
    let found = exports
        .iter()
        .find(|export| *export == wanted)
        .or_else(|| exports.iter().find(|export| are_semver_compatible(export, wanted)));
    found.cloned().ok_or_else(|| ComposeError::NoExport {
        part: instance.called.clone(),
        export: wanted.to_owned(),
        import: import.to_owned(),
        exports,
    })
}

/// Whether a dependency's name stands for an import.
fn matches(name: &str, import: &str) -> bool {
    if !name.contains([':', '/']) {
        return name == import;
    }
    let (name, version) = split(name);
    let (path, import_version) = split(import);
    let Some((package, _)) = path.split_once('/') else { return false };
    let is_named = if name.contains('/') { name == path } else { name == package };
    is_named && version.is_none_or(|version| import_version == Some(version))
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

/// Whether the host itself serves imports of that name, which nobody looks for among dependencies.
fn is_platform(import: &str) -> bool {
    ["wasi:", "spin:", "fermyon:"].iter().any(|namespace| import.starts_with(namespace))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_name_stands_for_what_it_names() {
        for (name, imports) in [
            ("foo:bar/baz@0.1.0", &["foo:bar/baz@0.1.0"][..]),
            ("foo:bar/baz", &["foo:bar/baz@0.1.0", "foo:bar/baz"]),
            ("foo:bar", &["foo:bar/baz@0.1.0", "foo:bar/qux"]),
            ("foo:bar@0.1.0", &["foo:bar/baz@0.1.0"]),
            ("plain", &["plain"]),
        ] {
            for import in imports {
                assert!(matches(name, import), "{name} stands for {import}");
            }
        }
    }

    #[test]
    fn and_for_nothing_else() {
        for (name, imports) in [
            ("foo:bar/baz@0.1.0", &["foo:bar/baz", "foo:bar/baz@0.1.1", "foo:bar/bar@0.1.0"][..]),
            ("foo:bar/baz", &["foo:bar/qux", "foo:bar/baz-qux", "foo:barr/baz"]),
            ("foo:bar", &["foo:bar", "foo-bar", "foo:barr/baz", "a:foo/bar"]),
            ("plain", &["plain:plain/plain", "plain-2", "a:b/plain"]),
        ] {
            for import in imports {
                assert!(!matches(name, import), "{name} does not stand for {import}");
            }
        }
    }
}
