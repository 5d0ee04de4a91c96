//! What components are composed with.

use std::collections::BTreeMap;

use super::{ComponentId, Source};

/// What satisfies an import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The import: `namespace:package`, with `/interface` and `@version` if they are stated, or a
    /// plain name.
    pub import: String,
    /// Where the component that satisfies it comes from.
    pub source: DependencySource,
    /// The export that satisfies it, if it is not called as the import.
    pub export: Option<String>,
    /// What it may use of what the component may use.
    pub inherit: Inherit,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// Where a dependency comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DependencySource {
    /// A source of its own; of a package, the version is a range.
    Source(Source),
    /// Another component of the app.
    Component(ComponentId),
}

/// What stands before the name of an import that a part of a composition may not use. The host
/// serves no such name, so it is refused.
pub const DENIED: &str = "denied-";

/// What a dependency may use of what its component may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Inherit {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// What these keys of the component grant.
    Some(Vec<String>),
}

impl Inherit {
    /// Whether it has what `key` grants the component.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some(keys) => keys.iter().any(|inherited| inherited == key),
        }
    }
}
