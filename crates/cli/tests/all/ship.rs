//! Packages, of registries and in files: what is pushed is what is pulled and served, in Spin's form; and nothing
//! of a hostile package comes further than its error.

mod archive;
mod hostile;
mod login;
mod round;
mod signed;
mod spin;

use std::path::{Path, PathBuf};

use dayfly_testing::{Dayfly, Guest, Registry, Running};
use tempfile::TempDir;

use crate::dayfly;

/// A user of their own: without configuration, credentials, or anything that was fetched.
struct User {
    folder: TempDir,
}

impl User {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn dayfly(&self) -> Dayfly {
        dayfly()
            .env("DAYFLY_SOURCE_CACHE_DIR", self.path("sources"))
            .env("XDG_CONFIG_HOME", self.path("configuration"))
            .env("HOME", self.folder.path())
            .env("DOCKER_CONFIG", self.path("docker"))
            .within(self.folder.path())
    }

    /// Pushes an app; what the command says of it.
    async fn push(&self, app: &Path, reference: &str) -> serde_json::Value {
        let pushed = self.dayfly().args(["push", "--json"]).arg(app).arg(reference);
        serde_json::from_str(&pushed.ends().await.with_stdout(0)).unwrap()
    }

    /// Pulls a package into `app` of the user's folder.
    async fn pull(&self, reference: &str) -> PathBuf {
        let pulled = self.dayfly().args(["pull", reference, "-o", "app"]).ends().await;
        pulled.with(0);
        self.path("app")
    }

    async fn up(&self, reference: &str) -> Running {
        self.dayfly().up(reference).await
    }

    /// What `up` says before it ends without having served.
    async fn refused(&self, reference: &str) -> String {
        let said = self.dayfly().up_ends(reference).await.with(1);
        let apps = self.path("sources/apps").read_dir();
        assert_eq!(apps.map_or(0, Iterator::count), 0, "something was laid out: {said}");
        said
    }
}

fn reference(registry: &Registry, name: &str) -> String {
    format!("{}/{name}", registry.host())
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(Guest::path(name)).expect("a built guest")
}
