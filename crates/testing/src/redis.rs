//! A Redis server.

use std::ffi::OsString;

use crate::Certificate;
use crate::daemon::{Daemon, Recipe};
use crate::process::Process;

/// A `redis-server` on a free port of this machine. What it stores survives `kill` and `restart`.
pub struct Redis(Daemon);

impl Redis {
    /// A server that asks for no password.
    pub async fn start() -> Self {
        Self::with(&["--port", "PORT"]).await
    }

    /// A server whose default user has this password.
    pub async fn with_password(password: &str) -> Self {
        Self::with(&["--port", "PORT", "--requirepass", password]).await
    }

    /// A server that speaks TLS alone.
    pub async fn with_tls(certificate: &Certificate) -> Self {
        let file = |path: std::path::PathBuf| path.display().to_string();
        let (chain, key) = (file(certificate.chain()), file(certificate.key()));
        let tls = ["--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no"];
        let files = ["--tls-cert-file", &chain, "--tls-key-file", &key, "--tls-ca-cert-file"];
        let authority = file(certificate.authority());
        Self::with(&[&tls[..], &files, &[authority.as_str()]].concat()).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let common = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"];
        let always = ["--appendfsync", "always"];
        let arguments: Vec<String> =
            [&common, &always[..], arguments].concat().into_iter().map(str::to_owned).collect();
        let arguments = Box::new(move |port: u16, _: &std::path::Path| {
            let port = port.to_string();
            let each = |argument: &String| match argument.as_str() {
                "PORT" => port.as_str().into(),
                other => OsString::from(other),
            };
            arguments.iter().map(each).collect()
        });
        Self(
            Daemon::start(Recipe {
                name: "redis-server".into(),
                ready: "Ready to accept connections",
                arguments,
            })
            .await,
        )
    }

    /// `HOST:PORT`, with an address as host.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.authority())
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
