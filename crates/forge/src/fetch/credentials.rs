//! The user's credentials for registries: the file that Docker keeps them in, in its form, so that
//! whoever is logged in with one tool is with the other.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::client::{Client, FetchFailure};
use super::oci::Oci;
use super::{FetchConfig, reference};

/// What Docker calls its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Why credentials could not be kept, or taken away.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The registry could not be asked, or does not take them.
    #[error("failed to log in to registry `{registry}`")]
    Refused {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        failure: FetchFailure,
    },
    /// It is no host.
    #[error("`{0}` is no registry: name its host, such as `ghcr.io` or `localhost:5000`")]
    NoRegistry(String),
    /// There is no folder of the user's.
    #[error("there is no folder for credentials: set `DOCKER_CONFIG`")]
    NoPlace,
    /// The file is not as Docker writes it.
    #[error("failed to understand `{}`, so it was left as it is: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be read or written.
    #[error("failed to use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How a registry took credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It asked for some, and accepted these.
    Accepted,
    /// It asks for none, so nobody knows whether they are good.
    NotAsked,
}

/// Keeps credentials for a registry, if it accepts them.
///
/// # Errors
/// If it does not, or they cannot be kept.
pub fn login(
    registry: &str,
    user: &str,
    password: &str,
    config: &FetchConfig,
) -> Result<Login, CredentialsError> {
    let host = host(registry)?;
    let file = config.credentials.as_deref().ok_or(CredentialsError::NoPlace)?;
    let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let refused = |failure| CredentialsError::Refused { registry: host.clone(), failure };
    let client = Client::new(config.patience).map_err(refused)?;
    let header = basic(&auth).ok_or(FetchFailure::Address);
    let asked = header.and_then(|header| {
        client.run(|asker| async { Oci::of_registry(asker, &host)?.accepts(header).await })
    });
    let login = asked.map_err(refused)?;
    change(file, |auths| {
        auths.insert(kept_as(&host).to_owned(), json!({ "auth": auth }));
        true
    })?;
    Ok(login)
}

/// Forgets the credentials for a registry; says whether there were any.
///
/// # Errors
/// If they cannot be taken out of the file.
pub fn logout(registry: &str, config: &FetchConfig) -> Result<bool, CredentialsError> {
    let host = host(registry)?;
    let file = config.credentials.as_deref().ok_or(CredentialsError::NoPlace)?;
    change(file, |auths| {
        let mut had = false;
        for name in names(&host) {
            had |= auths.remove(&name).is_some();
        }
        had
    })
}

/// What the user has for a registry, as an `Authorization` header.
pub(super) fn find(file: &Path, registry: &str) -> Option<HeaderValue> {
    let text = std::fs::read(file).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    let auths = config.get("auths")?;
    let names = names(registry);
    let auth = names.iter().find_map(|name| auths.get(name)?.get("auth")?.as_str())?;
    basic(auth)
}

fn basic(auth: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Basic {auth}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn host(registry: &str) -> Result<String, CredentialsError> {
    reference::registry(registry).map_err(|_| CredentialsError::NoRegistry(registry.to_owned()))
}

/// The names under which a registry's credentials may be kept.
fn names(registry: &str) -> Vec<String> {
    let host = kept_as(registry);
    vec![
        host.to_owned(),
        registry.to_owned(),
        format!("https://{registry}"),
        format!("https://{registry}/"),
    ]
}

/// The name under which Docker keeps a registry's credentials.
fn kept_as(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    }
}

/// Changes the credentials in the file, and nothing else of it, if there is something to change.
fn change(
    file: &Path,
    change: impl FnOnce(&mut serde_json::Map<String, Value>) -> bool,
) -> Result<bool, CredentialsError> {
    // Where it is a link, it stays one.
    let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let failed = |source| CredentialsError::Io { path: path.clone(), source };
    let problem = |problem: String| CredentialsError::Syntax { path: path.clone(), problem };
    let mut config = match std::fs::read(&path) {
        Ok(text) if text.trim_ascii().is_empty() => json!({}),
        Ok(text) => serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(failed(error)),
    };
    let config_table = config.as_object_mut();
    let auths = config_table.map(|table| table.entry("auths").or_insert_with(|| json!({})));
    let auths = auths.and_then(Value::as_object_mut);
    let auths = auths.ok_or_else(|| problem("`auths` is no table".to_owned()))?;
    if !change(auths) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        // Nobody else may read it, from the start.
        let mut new = NamedTempFile::new_in(folder)?;
        new.write_all(format!("{config:#}\n").as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(&path)?;
        Ok(())
    };
    write().map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_registry() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"auths":{"a.example":{"auth":"dXNlcg=="},"https://b.example":{"auth":"eA=="},
            "https://index.docker.io/v1/":{"auth":"aHVi"}}}"#;
        std::fs::write(file.path(), text).unwrap();
        let found = |registry| find(file.path(), registry);
        assert_eq!(found("a.example").unwrap(), "Basic dXNlcg==");
        assert_eq!(found("b.example").unwrap(), "Basic eA==");
        assert_eq!(found("docker.io").unwrap(), "Basic aHVi");
        assert!(found("c.example").is_none());
        assert_eq!(format!("{:?}", found("a.example").unwrap()), "Sensitive");
    }

    #[test]
    fn what_else_the_file_has_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.json");
        let set = |auths: &mut serde_json::Map<_, _>| {
            auths.insert("a.example".to_owned(), json!({ "auth": "eA==" })).is_none()
        };
        assert!(change(&file, set).unwrap());
        std::fs::write(&file, r#"{"credsStore":"x","auths":{"b.example":{"auth":"eQ=="}}}"#)
            .unwrap();
        assert!(change(&file, set).unwrap());
        let read = || serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap();
        let both = json!({ "a.example": { "auth": "eA==" }, "b.example": { "auth": "eQ==" } });
        assert_eq!(read(), json!({ "credsStore": "x", "auths": both }));
        assert!(!change(&file, |auths| auths.remove("c.example").is_some()).unwrap());
        std::fs::write(&file, "{ not JSON").unwrap();
        assert!(matches!(change(&file, set), Err(CredentialsError::Syntax { .. })));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{ not JSON");
    }
}
