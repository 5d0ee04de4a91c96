//! A component: its code, how that is made, and its grants.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{ComponentId, Dependency};
use crate::limits::Limits;
use crate::outbound::OutboundHosts;
use crate::reuse::Reuse;
use crate::template::Template;

/// One component: its code and its grants.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name.
    pub id: ComponentId,
    /// What it is for, for people.
    pub description: String,
    /// Where its code comes from.
    pub source: Source,
    /// The files that it may see.
    pub files: Vec<FileGrant>,
    /// Globs of files that it may not see although `files` covers them.
    pub exclude_files: Vec<String>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// The hosts that it may reach.
    pub allowed_outbound_hosts: OutboundHosts,
    /// The key-value stores that it may open, by label.
    pub key_value_stores: Vec<String>,
    /// The containers of blobs that it may use, by name.
    pub blob_containers: Vec<String>,
    /// The messaging clients that it may use, by name.
    pub messaging: Vec<String>,
    /// The SQL databases that it may open, by label.
    pub sqlite_databases: Vec<String>,
    /// The language models that it may ask, by name.
    pub ai_models: Vec<String>,
    /// Whether it may send to the app's WebSockets.
    pub websockets: bool,
    /// Its variables: what it reads by `wasi:config` and Spin's variables interface.
    pub variables: BTreeMap<String, Template>,
    /// How it is built from source, if the manifest says.
    pub build: Option<Build>,
    /// What satisfies its imports, with the profile applied.
    pub dependencies: Vec<Dependency>,
    /// Its bounds.
    pub limits: Limits,
    /// How many requests one of its instances serves, and until when.
    pub reuse: Reuse,
}

/// Where a component's code comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file, absolute or relative to [`App::root`](super::App::root).
    File(PathBuf),
    /// An address with the SHA-256 digest of what it serves (`sha256:` and 64 hexadecimal digits).
    Url {
        /// The address.
        url: String,
        /// The digest.
        digest: String,
    },
    /// A package of a registry.
    Registry {
        /// The registry's host, if the manifest names one.
        registry: Option<String>,
        /// The package, `namespace:name`.
        package: String,
        /// A version; of what is composed into another component, a range (`^1.2.3`, `=1.2.3`).
        version: String,
    },
}

/// Files that a component may see, paths relative to [`App::root`](super::App::root).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileGrant {
    /// The files that match a glob, at the same path under the guest's `/`, read-only.
    Glob(String),
    /// A directory (or one file) at a path of the guest's.
    Mount {
        /// The host's folder or file.
        source: PathBuf,
        /// The guest's absolute path.
        destination: String,
        /// Whether the guest may write.
        writable: bool,
    },
}

/// How a component is built from source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// Shell commands, run one after the other.
    pub commands: Vec<String>,
    /// The folder to run them in, relative to [`App::root`](super::App::root).
    pub workdir: Option<PathBuf>,
    /// Globs of what a watcher should watch.
    pub watch: Vec<String>,
    /// Whether its start-up work is done at build time, and by which function.
    pub freeze: Option<Initialiser>,
    /// What its code is optimised for, if it is.
    pub optimize: Option<Goal>,
}

/// The function that does a component's start-up work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialiser {
    /// One of a usual name.
    Usual,
    /// The one of this name.
    Named(String),
}

impl Initialiser {
    /// Its name, unless that is one of the usual ones.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Usual => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// What code is optimised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// That it runs fast.
    Speed,
    /// That it is small.
    Size,
}

impl Goal {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Speed, Self::Size];

    /// As a manifest spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::Size => "size",
        }
    }

    /// The goal of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|goal| goal.as_str() == name)
    }
}
