//! Fetches sources that are elsewhere, at an address or in a registry, into a folder of this user's,
//! where each is kept by its digest and never asked for again.
//!
//! This is the only part of the crate that opens connections. It blocks, and is done before anything
//! is served.

mod client;
mod credentials;
pub(crate) mod leftovers;
mod oci;
mod reference;
mod registry;
mod store;
mod upload;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dayfly_model::Source;

use crate::resolve::MAX_SOURCE_BYTES;
use crate::script::{Package, Wheels};

pub(crate) use client::Client;
pub use client::FetchFailure;
pub use credentials::{CredentialsError, Login, login, logout};
pub(crate) use oci::{Descriptor, MANIFEST, Manifest, Oci};
pub use reference::{Reference, ReferenceError, Version};
pub use registry::{Registries, RegistriesError};
pub(crate) use store::{Store, digest_of, hasher_digest, is_digest};

/// How a source is fetched.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// The folder in which what was fetched is kept.
    pub folder: PathBuf,
    /// How long a server may send nothing.
    pub patience: Duration,
    /// Which registry serves a package whose manifest names none.
    pub registries: Registries,
    /// The file in which the user keeps credentials for registries, as Docker writes it.
    pub credentials: Option<PathBuf>,
}

/// How long a server may send nothing, if nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is told while sources are fetched.
#[derive(Debug, Clone, Copy)]
pub enum Fetching<'a> {
    /// A source is asked for.
    Starts(&'a str),
    /// So many bytes of it have come, of how many if the server says so.
    Comes(u64, Option<u64>),
    /// It is here.
    Done {
        /// The source.
        source: &'a str,
        /// How many bytes it has.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
}

/// Where fetched sources are.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    found: HashMap<Source, Copy>,
    packages: HashMap<&'static str, PathBuf>,
    wheels: HashMap<String, PathBuf>,
}

/// A source that is kept on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
    /// The SHA-256 digest that it must have, in hexadecimal digits.
    pub(crate) digest: String,
}

impl Copy {
    /// Whether these bytes are those that were fetched.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        store::digest_of(bytes) == self.digest
    }
}

/// A source could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch {what}")]
pub struct FetchError {
    /// Which one.
    pub what: String,
    /// Why.
    #[source]
    pub failure: FetchFailure,
    /// Where a copy would be found, if that is known.
    pub place: Option<PathBuf>,
}

impl FetchError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match (&self.failure, &self.place) {
            (FetchFailure::Digest { .. }, _) => Some(
                "what is served there has changed: look at it, and state its digest if it is what \
                 you want"
                    .to_owned(),
            ),
            (FetchFailure::NoRegistry { namespace }, _) => Some(format!(
                "name a `registry`, or one for `{namespace}` in `wasm-pkg/config.toml` of your \
                 configuration folder"
            )),
            (FetchFailure::Connect(_) | FetchFailure::Stalled(_), Some(place)) => Some(format!(
                "a machine without a network needs the file as `{}`, from one that has fetched it",
                place.display()
            )),
            (FetchFailure::Connect(_) | FetchFailure::Stalled(_), None) => Some(
                "a machine without a network needs the folder in which one that has fetched it \
                 keeps what it fetches"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl Fetched {
    /// The copy of a source.
    pub(crate) fn get(&self, source: &Source) -> Option<&Copy> {
        self.found.get(source)
    }

    /// Says where the module of a package is.
    pub fn has_package(&mut self, package: &Package, path: PathBuf) {
        self.packages.insert(package.digest, path);
    }

    /// Says where requirements are installed.
    pub fn has_wheels(&mut self, wheels: Wheels) {
        self.wheels.insert(wheels.digest, wheels.folder);
    }

    /// Where the module of a package is, if it was fetched.
    pub fn package(&self, package: &Package) -> Option<&Path> {
        self.packages.get(package.digest).map(PathBuf::as_path)
    }

    /// The folder with the requirements of this digest.
    pub(crate) fn wheels(&self, digest: &str) -> Option<&Path> {
        self.wheels.get(digest).map(PathBuf::as_path)
    }

    /// The folders that the copies lie in.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let copies = self.found.values().map(|copy| &copy.path);
        let files = copies.chain(self.packages.values()).filter_map(|path| path.parent());
        files.chain(self.wheels.values().map(PathBuf::as_path))
    }
}

/// What of `sources` is kept already, without asking anybody.
pub fn kept<'a>(sources: impl IntoIterator<Item = &'a Source>, folder: &Path) -> Fetched {
    let store = Store::new(folder);
    let kept = sources.into_iter().filter_map(|source| {
        let copy = match source {
            Source::File(_) => None,
            Source::Url { digest, .. } => store.find(hex(digest)),
            Source::Registry { registry, package, version } => {
                registry::kept(&store, registry.as_deref(), package, version)
            }
        }?;
        Some((source.clone(), copy))
    });
    Fetched { found: kept.collect(), ..Fetched::default() }
}

/// Fetches what of `sources` is not kept yet.
///
/// # Errors
/// All that failed.
pub fn fetch<'a>(
    sources: impl IntoIterator<Item = &'a Source>,
    config: &FetchConfig,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<Fetched, Vec<FetchError>> {
    let sources: Vec<_> = sources.into_iter().collect();
    let mut fetched = kept(sources.iter().copied(), &config.folder);
    let missing = |source: &&Source| !matches!(source, Source::File(_));
    let mut failed = Vec::new();
    let mut client = None;
    for source in sources.into_iter().filter(missing) {
        if fetched.found.contains_key(source) {
            continue;
        }
        let client = client.get_or_insert_with(|| Client::new(config.patience));
        let what = described(source);
        let began = Instant::now();
        tell(Fetching::Starts(&what));
        match fetch_one(source, config, client, &mut tell) {
            Ok((copy, bytes)) => {
                tell(Fetching::Done { source: &what, bytes, took: began.elapsed() });
                fetched.found.insert(source.clone(), copy);
            }
            Err(failure) => {
                let place = match source {
                    Source::Url { digest, .. } => {
                        Some(Store::new(&config.folder).path(hex(digest)))
                    }
                    _ => None,
                };
                failed.push(FetchError { what, failure, place });
            }
        }
    }
    if failed.is_empty() { Ok(fetched) } else { Err(failed) }
}

pub(crate) type Tell<'a> = &'a mut dyn FnMut(Fetching<'_>);

fn fetch_one(
    source: &Source,
    config: &FetchConfig,
    client: &mut Result<Client, FetchFailure>,
    tell: Tell<'_>,
) -> Result<(Copy, u64), FetchFailure> {
    let client = match client {
        Ok(client) => client,
        Err(_) => return Err(FetchFailure::NoClient),
    };
    let store = Store::new(&config.folder);
    match source {
        Source::File(_) => Err(FetchFailure::NoClient),
        Source::Url { url, digest } => client.run(|client| async move {
            let url = client::parse(url)?;
            let response = client.get(&url, &[]).await?;
            client.keep(response, &store, hex(digest), MAX_SOURCE_BYTES, tell).await
        }),
        Source::Registry { registry, package, version } => client.run(|client| async move {
            let registry = registry.as_deref();
            registry::fetch(client, config, &store, registry, package, version, tell).await
        }),
    }
}

/// The digits of a digest.
pub(crate) fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// What a source is called in messages.
#[must_use]
pub fn described(source: &Source) -> String {
    match source {
        Source::File(path) => format!("`{}`", path.display()),
        Source::Url { url, .. } => format!("`{}`", without_secrets(url)),
        Source::Registry { package, version, .. } => format!("package `{package}@{version}`"),
    }
}

/// An address as it may be shown: what comes before the host and after the path may be secret.
fn without_secrets(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => "an address that is none".to_owned(),
    }
}
