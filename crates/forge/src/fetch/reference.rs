//! References: what a package is called, `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, as OCI's distribution
//! specification has it.

use std::fmt;
use std::str::FromStr;

use super::client::FetchFailure;
use super::registry::base;
use super::store::is_digest;

/// The longest name of a repository, and of a tag.
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// What a package of a registry is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, with a port if it is not the usual one.
    pub registry: String,
    /// The repository: names with slashes between.
    pub repository: String,
    /// Which of the repository's packages.
    pub version: Version,
}

/// Which package of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// The one that has this tag at the moment.
    Tag(String),
    /// The one whose manifest has this SHA-256 digest, in hexadecimal digits.
    Digest(String),
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not begin with a host.
    #[error("it names no registry: write `REGISTRY/NAME:TAG`, such as `ghcr.io/me/hello:1.0.0`")]
    Registry,
    /// A repository has another name.
    #[error(
        "`{0}` is no name of a repository: lower-case letters and digits, with `.`, `_`, `-` and `/` between them"
    )]
    Repository(String),
    /// A tag has another name.
    #[error("`{0}` is no tag: letters, digits, `.`, `_` and `-`, up to {MAX_TAG} of them")]
    Tag(String),
    /// It is no digest.
    #[error("`{0}` is no digest: `sha256:` and 64 hexadecimal digits, in lower case")]
    Digest(String),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (registry, rest) = text.split_once('/').ok_or(ReferenceError::Registry)?;
        let names_host = registry.contains(['.', ':']) || registry == "localhost";
        // `./app` and `../app` are paths.
        if !names_host || registry.starts_with('.') || base(registry).is_err() {
            return Err(ReferenceError::Registry);
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_name) {
            return Err(ReferenceError::Repository(repository.to_owned()));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        let version = match (digest, tag) {
            (Some(digest), _) => match digest.strip_prefix("sha256:").filter(|it| is_digest(it)) {
                Some(digits) => Version::Digest(digits.to_owned()),
                None => return Err(ReferenceError::Digest(digest.to_owned())),
            },
            (None, tag) => Version::Tag(tag.unwrap_or("latest").to_owned()),
        };
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        Ok(Self { registry, repository, version })
    }
}

impl Reference {
    /// The last part of the repository's name.
    pub fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// How the protocol names the version.
    pub(crate) fn version(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digits) => format!("sha256:{digits}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = match self.version {
            Version::Tag(_) => ':',
            Version::Digest(_) => '@',
        };
        write!(f, "{}/{}{joint}{}", self.registry, self.repository, self.version())
    }
}

/// The host of a registry, of what a user writes for it.
///
/// # Errors
/// If it is none.
pub(super) fn registry(text: &str) -> Result<String, FetchFailure> {
    let host = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    base(host).map(|_| host.to_owned())
}

/// The host that is asked for what is called by a registry's name.
pub(super) fn asked(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// Words of lower-case letters and digits, joined by `.`, by one or two `_`, or by any number of `-`.
fn is_name(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_legal = |b: u8| is_inner(b) || b"._-".contains(&b);
    text.bytes().all(is_legal)
        && text.bytes().next().is_some_and(is_inner)
        && text.bytes().next_back().is_some_and(is_inner)
        && !["..", "._", "_.", "-.", ".-", "___"].iter().any(|odd| text.contains(odd))
}

fn is_tag(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_inner)
        && text.bytes().all(|b| is_inner(b) || b".-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let parsed = |text: &str| text.parse::<Reference>().map(|it| it.to_string());
        assert_eq!(parsed("ghcr.io/me/hello:1.0").unwrap(), "ghcr.io/me/hello:1.0");
        assert_eq!(parsed("localhost:5000/a").unwrap(), "localhost:5000/a:latest");
        assert_eq!(parsed("[::1]:5000/a/b-c_d.e").unwrap(), "[::1]:5000/a/b-c_d.e:latest");
        let digest = "a".repeat(64);
        let pinned = format!("a.example/b:tag@sha256:{digest}");
        assert_eq!(parsed(&pinned).unwrap(), format!("a.example/b@sha256:{digest}"));
        assert_eq!("a.example/b/c".parse::<Reference>().unwrap().name(), "c");
    }

    #[test]
    fn what_is_none_says_why() {
        let failed = |text: &str| text.parse::<Reference>().unwrap_err();
        assert_eq!(failed("examples/hello"), ReferenceError::Registry);
        assert_eq!(failed("hello"), ReferenceError::Registry);
        assert_eq!(failed("./typo.rb"), ReferenceError::Registry);
        assert_eq!(failed("../typo:1"), ReferenceError::Registry);
        assert_eq!(failed("user@a.example/hello"), ReferenceError::Registry);
        assert_eq!(failed("a.example/Hello"), ReferenceError::Repository("Hello".to_owned()));
        assert_eq!(failed("a.example/../b"), ReferenceError::Repository("../b".to_owned()));
        assert_eq!(failed("a.example/"), ReferenceError::Repository(String::new()));
        assert_eq!(failed("a.example/b:c/d"), ReferenceError::Tag("c/d".to_owned()));
        assert_eq!(failed("a.example/b@sha256:AB"), ReferenceError::Digest("sha256:AB".to_owned()));
    }
}
