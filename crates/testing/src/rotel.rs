//! A collector of OpenTelemetry that others wrote: it takes what it is told apart, and passes it on.

use std::path::{Path, PathBuf};

use crate::daemon::{Daemon, Recipe};
use crate::{Collector, workspace};

/// A `rotel` on a free port of this machine, which takes OTLP in one of its forms.
pub struct Rotel(Daemon);

impl Rotel {
    /// Takes OTLP over HTTP, and tells `next`.
    pub async fn over_http(next: &Collector) -> Self {
        Self::start("--otlp-http-endpoint", "--otlp-grpc-endpoint", next).await
    }

    /// Takes OTLP over gRPC, and tells `next`.
    pub async fn over_grpc(next: &Collector) -> Self {
        Self::start("--otlp-grpc-endpoint", "--otlp-http-endpoint", next).await
    }

    async fn start(used: &'static str, unused: &'static str, next: &Collector) -> Self {
        let next = next.url().to_owned();
        let arguments = Box::new(move |port: u16, folder: &Path| {
            let file = |name| folder.join(name).display().to_string();
            let here = format!("127.0.0.1:{port}");
            let (pid, log) = (file("pid"), file("log"));
            let own = ["start", used, &here, unused, "127.0.0.1:0", "--pid-file", &pid];
            let out = ["--log-file", &log, "--exporter", "otlp", "--otlp-exporter-endpoint", &next];
            let how = ["--otlp-exporter-protocol", "http"];
            own.iter().chain(&out).chain(&how).map(Into::into).collect()
        });
        let name = program().display().to_string().into();
        Self(Daemon::start(Recipe { name, ready: "Starting Rotel", arguments }).await)
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port())
    }
}

/// Where the set-up puts it.
fn program() -> PathBuf {
    let libraries = workspace().join("target/tools/venv-collector/lib");
    let versions = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    let found = versions.map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    let found = found.filter(|program| program.is_file()).last();
    found.expect("`rotel` is installed: run `cargo xtask setup`")
}
