//! What `dayfly login` keeps: a token for each platform, in a file that only the user reads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use dayfly_api::{Secret, TenantId};
use directories::ProjectDirs;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use url::Url;

/// The file in the user's configuration folder.
const FILE: &str = "platforms.json";

/// What is kept of one platform.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) token: Secret,
    /// Whose apps are meant, where nobody says so.
    pub(crate) tenant: TenantId,
}

/// Platforms by their addresses.
#[derive(Default)]
pub(crate) struct Kept {
    file: Option<PathBuf>,
    content: Content,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    /// The one that was logged in to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    platforms: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    token: String,
    tenant: TenantId,
}

impl Kept {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, or is none of this program's.
    pub(crate) fn load() -> Result<Self> {
        let folder = ProjectDirs::from("", "", "dayfly").map(|it| it.config_dir().to_owned());
        let Some(file) = folder.map(|folder| folder.join(FILE)) else { return Ok(Self::default()) };
        let content = match fs::read(&file) {
            // What is wrong with it is not told: a token may stand there.
            Ok(text) => serde_json::from_slice(&text).map_err(|_| {
                let hint = "remove it, and log in again";
                let error = anyhow!("failed to understand `{}`", file.display());
                crate::report::hint(error, Some(hint))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read `{}`", file.display()));
            }
        };
        Ok(Self { file: Some(file), content })
    }

    /// The platform that was logged in to last.
    pub(crate) fn current(&self) -> Option<&str> {
        self.content.current.as_deref()
    }

    /// What is kept of a platform.
    pub(crate) fn find(&self, url: &Url) -> Option<Login> {
        let entry = self.content.platforms.get(url.as_str())?;
        Some(Login { token: Secret(entry.token.clone()), tenant: entry.tenant.clone() })
    }

    /// Keeps a token for a platform, which is the one that is meant from now on.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn keep(&mut self, url: &Url, login: Login) -> Result<()> {
        let entry = Entry { token: login.token.0.clone(), tenant: login.tenant };
        self.content.platforms.insert(url.to_string(), entry);
        self.content.current = Some(url.to_string());
        self.write()
    }

    /// Forgets a platform; whether anything was kept of it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn forget(&mut self, url: &Url) -> Result<bool> {
        let was_there = self.content.platforms.remove(url.as_str()).is_some();
        if self.content.current.as_deref() == Some(url.as_str()) {
            self.content.current = None;
        }
        if was_there {
            self.write()?;
        }
        Ok(was_there)
    }

    /// Replaces the file as a whole, readable by its user alone.
    fn write(&self) -> Result<()> {
        let file = self.file.as_deref().context("this system has no folder for configuration")?;
        let folder = file.parent().context("the file lies in a folder")?;
        let written = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            // Such a file is its user's alone from the start.
            let mut new = NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut new, &self.content)?;
            new.write_all(b"\n")?;
            new.as_file().sync_all()?;
            new.persist(file)?;
            Ok(())
        };
        written().with_context(|| format!("failed to write `{}`", file.display()))
    }
}
