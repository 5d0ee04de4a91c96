//! PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{PASSWORD, Server, USER, copy, finish, free_port, give, newest, ready, unprivileged};
use crate::Certificate;
use crate::program::{program, run};

/// A PostgreSQL server for `127.0.0.1`, stopped when this is dropped.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Server>,
    options: Vec<String>,
}

impl Postgres {
    /// A server without TLS.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Self {
        Self::new(None).await
    }

    /// A server that offers TLS.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        Self::new(Some(certificate)).await
    }

    async fn new(certificate: Option<&Certificate>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy("postgres", &folder.path().join("data"), |data| {
            let password = data.with_file_name("password");
            fs::write(&password, PASSWORD).expect("a new file");
            give(&password);
            finish(
                unprivileged(&bin("initdb"))
                    .arg("-D")
                    .arg(data)
                    .args(["-U", USER, "--auth=scram-sha-256", "--no-sync", "--locale=C"])
                    .args(["--encoding=UTF8", "--wal-segsize=1"])
                    .arg(format!("--pwfile={}", password.display())),
            );
        });
        let mut options = Vec::new();
        if let Some(certificate) = certificate {
            let own = |name: &str| folder.path().join(name);
            fs::copy(certificate.chain(), own("certificate.pem")).expect("a copy");
            fs::copy(certificate.key(), own("key.pem")).expect("a copy");
            fs::set_permissions(own("key.pem"), fs::Permissions::from_mode(0o600)).expect("ours");
            options.push("ssl=on".to_owned());
            options.push(format!("ssl_cert_file={}", own("certificate.pem").display()));
            options.push(format!("ssl_key_file={}", own("key.pem").display()));
        }
        give(folder.path());
        let mut postgres = Self { folder, port: 0, server: None, options };
        for _ in 0..5 {
            postgres.port = free_port();
            if postgres.run().await {
                return postgres;
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// Starts the server; false if it ends at once.
    async fn run(&mut self) -> bool {
        let mut command = unprivileged(&bin("postgres"));
        command.arg("-D").arg(self.folder.path().join("data")).arg("-p").arg(self.port.to_string());
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "max_connections=100",
            "autovacuum=off",
        ];
        for setting in settings.into_iter().chain(self.options.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let mut server = Server::spawn(&mut command);
        let port = self.port.to_string();
        let is_ready = || async {
            let status = tokio::process::Command::new(bin("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .status();
            status.await.is_ok_and(|status| status.success())
        };
        let is_up = ready(&mut server, is_ready).await;
        self.server = is_up.then_some(server);
        is_up
    }

    /// Kills the server with all its processes, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Signal::KILL);
        }
    }

    /// Starts it again on the same port with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        for _ in 0..20 {
            // What was killed may still be about to end.
            if self.run().await {
                return;
            }
        }
        panic!("PostgreSQL does not start again");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `allowed_outbound_hosts` has to say to grant it.
    pub fn grant(&self) -> String {
        format!("postgres://127.0.0.1:{}", self.port)
    }

    /// Its address with user and password.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements by PostgreSQL's own client and gives back what they print, a line a row.
    ///
    /// # Panics
    /// If they fail.
    pub async fn query(&self, statements: &str) -> String {
        let mut psql = program("psql");
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statements])
            .arg(self.url());
        run(&mut psql).await.trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // At once, but so that nothing stays behind in the system's shared memory.
            server.end(Signal::QUIT);
        }
    }
}

/// One of PostgreSQL's programs, which Debian keeps by version.
fn bin(name: &str) -> PathBuf {
    match newest("/usr/lib/postgresql", "bin") {
        Some(folder) => folder.join(name),
        None => {
            let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
            let found = found.expect("a shell").stdout;
            assert!(!found.is_empty(), "`{name}` is not installed: run `cargo xtask setup`");
            String::from_utf8_lossy(&found).trim().into()
        }
    }
}
