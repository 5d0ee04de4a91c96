//! Features that a manifest may use and that a build of Dayfly may or may not serve.
//!
//! The model only lists the uses; the binary compares them with its registries and refuses to
//! start by name, so that nothing a manifest says is silently ignored.

use std::fmt;
use std::path::Path;

use crate::place::Place;

/// Something that a build serves or does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// A trigger of this kind, by its name in the manifest: `redis`, `cron` … Uses of `http` are
    /// listed too.
    Trigger(String),
    /// A capability that a manifest grants: `key-value`, `sqlite`, `llm`, `blobstore` or
    /// `messaging`.
    Capability(String),
    /// A component or dependency fetched from an address.
    UrlSource,
    /// A component or dependency fetched from a registry.
    RegistrySource,
    /// A component source that is a script (its file's extension), to be made into a component.
    ScriptSource(String),
    /// Components composed into another one.
    Dependencies,
    /// Components that stand before the handler of a route.
    Middleware,
    /// Start-up work done at build time.
    Freeze,
    /// Optimisation of the compiled component.
    Optimize,
    /// A check against a target environment's definition.
    Targets,
    /// Requests of a component to the app itself or to another of its components.
    ServiceChaining,
}

/// How the names of scripts end.
const SCRIPTS: [&str; 15] = [
    "rb", "ru", "py", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "psgi", "pl", "php",
    "lua",
];

impl Feature {
    /// The use that a source's file makes of a script language, if its name ends like one.
    #[must_use]
    pub fn script(source: &Path) -> Option<Self> {
        let extension = source.extension()?.to_str()?.to_ascii_lowercase();
        SCRIPTS.contains(&extension.as_str()).then_some(Self::ScriptSource(extension))
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trigger(name) => write!(f, "the `{name}` trigger"),
            Self::Capability(name) => write!(f, "the `{name}` capability"),
            Self::UrlSource => f.write_str("sources fetched from a URL"),
            Self::RegistrySource => f.write_str("sources fetched from a registry"),
            Self::ScriptSource(extension) => write!(f, "script sources (`.{extension}`)"),
            Self::Dependencies => f.write_str("component dependencies"),
            Self::Middleware => f.write_str("HTTP middleware"),
            Self::Freeze => f.write_str("freezing"),
            Self::Optimize => f.write_str("optimising"),
            Self::Targets => f.write_str("target environments"),
            Self::ServiceChaining => f.write_str("requests between components"),
        }
    }
}

/// One use of a feature, and where the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureUse {
    /// What is used.
    pub feature: Feature,
    /// The key that uses it, as a dotted path: `component.cart.key_value_stores`.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
}

impl fmt::Display for FeatureUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` uses {}", self.place, self.key, self.feature)
    }
}
