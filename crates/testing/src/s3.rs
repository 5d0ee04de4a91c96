//! A server that speaks S3 and checks signatures (version 4).

use std::path::PathBuf;

use crate::daemon::{Daemon, Recipe};
use crate::process::Process;
use crate::workspace;

/// An `s3s-fs` on a free port of this machine, whose buckets are folders. What it stores survives
/// `kill` and `restart`.
pub struct S3(Daemon);

impl S3 {
    /// The key that opens it.
    pub const ACCESS_KEY_ID: &str = "AKIADAYFLYTESTS";
    /// Its secret.
    pub const SECRET_ACCESS_KEY: &str = "hunter2/+secret";

    /// A server with these buckets.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(buckets: &[&str]) -> Self {
        let buckets: Vec<String> = buckets.iter().map(|bucket| (*bucket).to_owned()).collect();
        let arguments = Box::new(move |port: u16, folder: &std::path::Path| {
            let data = folder.join("data");
            for bucket in &buckets {
                std::fs::create_dir_all(data.join(bucket)).expect("a folder of ours");
            }
            let port = port.to_string();
            let flags = ["--host", "127.0.0.1", "--port", &port, "--access-key"];
            let keys = [Self::ACCESS_KEY_ID, "--secret-key", Self::SECRET_ACCESS_KEY];
            let flags = flags.into_iter().chain(keys).map(Into::into);
            flags.chain([data.into_os_string()]).collect()
        });
        let program = workspace().join("target/tools/cargo/bin/s3s-fs");
        let name = program.to_str().expect("a path in UTF-8").to_owned();
        Self(
            Daemon::start(Recipe { name: name.into(), ready: "server is running", arguments })
                .await,
        )
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port())
    }

    /// What a bucket's key holds, if it is there.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.0.folder().join("data").join(bucket).join(key)
    }

    /// How many parts of uploads it keeps that are not complete.
    ///
    /// # Panics
    /// If its folder is not there.
    pub fn unfinished(&self) -> usize {
        let found = std::fs::read_dir(self.0.folder().join("data")).expect("its folder");
        let names = found.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".upload")).count()
    }

    /// The process.
    pub fn process(&self) -> Process {
        self.0.process()
    }

    /// Ends it by SIGKILL.
    pub async fn kill(&mut self) {
        self.0.kill().await;
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.0.restart().await;
    }
}
