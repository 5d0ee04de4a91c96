//! Registries of WebAssembly packages: which one serves a package, where it keeps it, and which of
//! its versions will do. Configuration and metadata are those of `wkg`; the protocol is OCI's.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use semver::{Op, Version, VersionReq};
use serde::Deserialize;
use url::Url;

use super::client::{Asker, FetchFailure, is_here, parse};
use super::oci::Oci;
use super::store::Store;
use super::{Copy, FetchConfig, Tell};
use crate::resolve::MAX_SOURCE_BYTES;

/// Where a registry says what it speaks.
const METADATA: &str = "/.well-known/wasm-pkg/registry.json";

/// Which registries serve packages whose manifest names none: what `wkg` reads from
/// `wasm-pkg/config.toml` in the user's configuration folder.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Registries {
    #[serde(default)]
    default_registry: Option<String>,
    #[serde(default)]
    namespace_registries: BTreeMap<String, Mapping>,
    #[serde(default)]
    package_registry_overrides: BTreeMap<String, Mapping>,
}

/// The file that says it could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// By the system.
    #[error("failed to read `{path}`")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("failed to understand `{path}`")]
    Syntax {
        /// The file.
        path: String,
        /// Where, and why.
        #[source]
        source: Box<toml::de::Error>,
    },
}

/// A registry, by its host alone or with what it would say of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Mapping {
    Host(String),
    Stated { registry: String, metadata: Metadata },
}

/// What a registry says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    preferred_protocol: Option<String>,
    oci: Option<OciMetadata>,
    warg: Option<serde::de::IgnoredAny>,
    // As older registries say it.
    oci_registry: Option<String>,
    oci_namespace_prefix: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OciMetadata {
    registry: Option<String>,
    namespace_prefix: Option<String>,
}

impl Registries {
    /// Reads the user's file; without one, nothing is configured.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn read(path: &Path) -> Result<Self, RegistriesError> {
        let shown = || path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(RegistriesError::Io { path: shown(), source }),
        };
        toml::from_str(&text)
            .map_err(|source| RegistriesError::Syntax { path: shown(), source: source.into() })
    }

    /// The registry of a package, and what the user says of it.
    fn serving(&self, package: &str) -> Result<(String, Option<Metadata>), FetchFailure> {
        let namespace = package.split(':').next().unwrap_or_default();
        let mapping = self.package_registry_overrides.get(package);
        if let Some(mapping) = mapping.or_else(|| self.namespace_registries.get(namespace)) {
            return Ok(match mapping.clone() {
                Mapping::Host(registry) => (registry, None),
                Mapping::Stated { registry, metadata } => (registry, Some(metadata)),
            });
        }
        let known = match namespace {
            "wasi" => Some("wasi.dev"),
            "ba" => Some("bytecodealliance.org"),
            _ => None,
        };
        let registry = self.default_registry.as_deref().or(known);
        let registry =
            registry.ok_or_else(|| FetchFailure::NoRegistry { namespace: namespace.to_owned() })?;
        Ok((registry.to_owned(), None))
    }
}

/// The version of a package that is kept and will do: the highest of them.
pub(super) fn kept(
    store: &Store,
    registry: Option<&str>,
    package: &str,
    version: &str,
) -> Option<Copy> {
    let wanted = Wanted::parse(version)?;
    let registry = registry.unwrap_or_default();
    let version = wanted.best(store.versions(registry, package))?;
    store.find_version(registry, package, &version)
}

/// Fetches the highest version of a package that will do.
pub(super) async fn fetch(
    asker: &Asker,
    config: &FetchConfig,
    store: &Store,
    registry: Option<&str>,
    package: &str,
    version: &str,
    tell: Tell<'_>,
) -> Result<(Copy, u64), FetchFailure> {
    let (host, stated) = match registry {
        Some(registry) => (registry.to_owned(), None),
        None => config.registries.serving(package)?,
    };
    let metadata = match stated {
        Some(metadata) => metadata,
        None => metadata(asker, &host).await?,
    };
    let mut oci = locate(asker, config, &host, metadata, package)?;
    let wanted = Wanted::parse(version).ok_or_else(|| oci.failed("has no such version"))?;
    let version = match wanted.exact() {
        Some(version) => version,
        None => {
            let versions = oci.versions().await?;
            let has = versions.len();
            wanted.best(versions).ok_or_else(|| FetchFailure::NoVersion {
                registry: host.clone(),
                has: match has {
                    0 => "none".to_owned(),
                    1 => "one other".to_owned(),
                    _ => format!("{has} others"),
                },
            })?
        }
    };
    let digest = oci.layer(&version).await?;
    let found = store.find(&digest);
    let (copy, bytes) = match found {
        Some(copy) => (copy, 0),
        None => {
            let response = oci.blob(&digest).await?;
            asker.keep(response, store, &digest, MAX_SOURCE_BYTES, tell).await?
        }
    };
    store.note(registry.unwrap_or_default(), package, &version, &digest)?;
    Ok((copy, bytes))
}

/// What a registry says of itself; one that says nothing speaks OCI.
async fn metadata(asker: &Asker, host: &str) -> Result<Metadata, FetchFailure> {
    let url = base(host)?.join(METADATA).map_err(|_| FetchFailure::Address)?;
    let response = asker.ask(&url, &[]).await?;
    match response.status() {
        status if status.is_success() => {}
        // As servers answer that know nothing of it.
        status if status.is_client_error() => return Ok(Metadata::default()),
        status => return Err(FetchFailure::Status(status.as_u16())),
    }
    let document = asker.document(response).await?;
    serde_json::from_slice(&document).map_err(|error| FetchFailure::Registry {
        registry: host.to_owned(),
        what: format!("says of itself what cannot be understood: {error}"),
    })
}

/// Where a registry keeps a package.
fn locate<'a>(
    asker: &'a Asker,
    config: &FetchConfig,
    host: &str,
    metadata: Metadata,
    package: &str,
) -> Result<Oci<'a>, FetchFailure> {
    let Metadata { preferred_protocol, oci, warg, oci_registry, oci_namespace_prefix } = metadata;
    let has_oci = oci.is_some() || oci_registry.is_some();
    let speaks_oci = match preferred_protocol.as_deref() {
        Some(protocol) => protocol == "oci" || has_oci,
        None => has_oci || warg.is_none(),
    };
    if !speaks_oci {
        return Err(FetchFailure::Registry {
            registry: host.to_owned(),
            what: "does not speak OCI, the one protocol that Dayfly knows".to_owned(),
        });
    }
    let oci = oci.unwrap_or_default();
    let registry = oci.registry.or(oci_registry).unwrap_or_else(|| host.to_owned());
    let prefix = oci.namespace_prefix.or(oci_namespace_prefix).unwrap_or_default();
    let repository = format!("{prefix}{}", package.replace(':', "/"));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !repository.chars().all(legal) || repository.contains("..") {
        return Err(FetchFailure::Address);
    }
    let base = base(&registry)?;
    Ok(Oci::new(asker, registry, base, repository, config.credentials.as_deref()))
}

/// The address of a host, which is encrypted unless it is this machine.
pub(super) fn base(host: &str) -> Result<Url, FetchFailure> {
    let url = parse(&format!("https://{host}"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    match url.host() {
        Some(name) if is_bare && is_here(&name) => parse(&format!("http://{host}")),
        Some(_) if is_bare => Ok(url),
        _ => Err(FetchFailure::Address),
    }
}

/// Which versions will do.
enum Wanted {
    Exact(Version),
    Range(VersionReq),
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(version) = Version::parse(text) {
            return Some(Self::Exact(version));
        }
        VersionReq::parse(text).ok().map(Self::Range)
    }

    /// The only version that will do, if there is only one.
    fn exact(&self) -> Option<Version> {
        match self {
            Self::Exact(version) => Some(version.clone()),
            Self::Range(range) => match range.comparators.as_slice() {
                [it] if it.op == Op::Exact => Some(Version {
                    pre: it.pre.clone(),
                    ..Version::new(it.major, it.minor?, it.patch?)
                }),
                _ => None,
            },
        }
    }

    fn best(&self, versions: Vec<Version>) -> Option<Version> {
        let fits = |version: &Version| match self {
            Self::Exact(wanted) => wanted == version,
            Self::Range(range) => range.matches(version),
        };
        versions.into_iter().filter(fits).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(wanted: &str, versions: &[&str]) -> Option<String> {
        let versions = versions.iter().map(|version| Version::parse(version).unwrap()).collect();
        Some(Wanted::parse(wanted)?.best(versions)?.to_string())
    }

    #[test]
    fn the_highest_version_that_fits_will_do() {
        let versions = ["0.9.0", "1.2.3", "1.10.0", "2.0.0", "1.11.0-rc.1"];
        assert_eq!(best("^1.2", &versions).as_deref(), Some("1.10.0"));
        assert_eq!(best(">=0.1.0", &versions).as_deref(), Some("2.0.0"));
        assert_eq!(best("1.2.3", &versions).as_deref(), Some("1.2.3"));
        assert_eq!(best("=1.2.3", &versions).as_deref(), Some("1.2.3"));
        assert_eq!(best("1.2.4", &versions), None);
        assert_eq!(best("^3", &versions), None);
    }

    #[test]
    fn one_version_needs_no_list() {
        let exact = |text| Wanted::parse(text).unwrap().exact().map(|it| it.to_string());
        assert_eq!(exact("1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(exact("=1.2.3-rc.1").as_deref(), Some("1.2.3-rc.1"));
        assert_eq!(exact("=1.2"), None);
        assert_eq!(exact("^1.2.3"), None);
    }

    #[test]
    fn the_users_file_says_which_registry_serves_a_package() {
        let registries: Registries = toml::from_str(
            "default_registry = \"default.example\"\n\
             [namespace_registries]\nacme = \"acme.example\"\n\
             stated = { registry = \"s.example\", metadata = { preferredProtocol = \"oci\", \
             oci = { registry = \"oci.example\", namespacePrefix = \"a/\" } } }\n\
             [package_registry_overrides]\n\"acme:special\" = \"special.example\"\n\
             [registry.\"acme.example\"]\ntype = \"oci\"\n",
        )
        .unwrap();
        let host = |package| registries.serving(package).unwrap().0;
        assert_eq!(host("acme:tool"), "acme.example");
        assert_eq!(host("acme:special"), "special.example");
        assert_eq!(host("other:tool"), "default.example");
        let (host, stated) = registries.serving("stated:tool").unwrap();
        assert_eq!(host, "s.example");
        assert_eq!(stated.unwrap().oci.unwrap().namespace_prefix.as_deref(), Some("a/"));
        let none = Registries::default();
        assert_eq!(none.serving("wasi:http").unwrap().0, "wasi.dev");
        assert!(matches!(none.serving("acme:tool"), Err(FetchFailure::NoRegistry { .. })));
    }

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        let base = |host| base(host).map(|url| url.to_string()).ok();
        assert_eq!(base("ghcr.io").as_deref(), Some("https://ghcr.io/"));
        assert_eq!(base("localhost:5000").as_deref(), Some("http://localhost:5000/"));
        assert_eq!(base("127.0.0.1:5000").as_deref(), Some("http://127.0.0.1:5000/"));
        for odd in ["", "a/b", "user@host", "host?query", "http://host"] {
            assert_eq!(base(odd), None, "{odd}");
        }
    }
}
