//! MariaDB.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::{PASSWORD, Server, USER, copy, finish, free_port, give, ready, unprivileged};
use crate::Certificate;

const DAEMON: &str = "/usr/sbin/mariadbd";

/// Small files: each test has a copy.
const SIZES: [&str; 2] = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M"];

/// A MariaDB server for `127.0.0.1`, stopped when this is dropped.
pub struct MariaDb {
    folder: TempDir,
    port: u16,
    server: Option<Server>,
    options: Vec<String>,
}

impl MariaDb {
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
        copy("mariadb", &folder.path().join("data"), |data| {
            // As the installer does, which needs programs of another package.
            let tables = data.with_file_name("tables.sql");
            let mut statements = String::from("CREATE DATABASE mysql;\nUSE mysql;\n");
            for file in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
                let file = Path::new("/usr/share/mysql").join(file);
                statements += &fs::read_to_string(file).expect("MariaDB's own statements");
            }
            fs::write(&tables, statements).expect("a new file");
            let tables = fs::File::open(tables).expect("the file");
            let mut server = unprivileged(Path::new(DAEMON));
            server
                .args(["--no-defaults", "--bootstrap", "--enforce-storage-engine="])
                .arg(format!("--datadir={}", data.display()))
                .args(SIZES);
            finish(server.stdin(tables));
        });
        let own = |name: &str| folder.path().join(name);
        fs::write(
            own("init.sql"),
            format!(
                "CREATE DATABASE IF NOT EXISTS test;\n\
                 CREATE USER IF NOT EXISTS {USER} IDENTIFIED BY '{PASSWORD}';\n\
                 GRANT ALL ON *.* TO {USER};\n"
            ),
        )
        .expect("a new file");
        let mut options = Vec::new();
        if let Some(certificate) = certificate {
            fs::copy(certificate.chain(), own("certificate.pem")).expect("a copy");
            fs::copy(certificate.key(), own("key.pem")).expect("a copy");
            options.push(format!("--ssl-cert={}", own("certificate.pem").display()));
            options.push(format!("--ssl-key={}", own("key.pem").display()));
        }
        give(folder.path());
        let mut mariadb = Self { folder, port: 0, server: None, options };
        for _ in 0..5 {
            mariadb.port = free_port();
            if mariadb.run().await {
                return mariadb;
            }
        }
        panic!("MariaDB does not start");
    }

    /// Starts the server; false if it ends at once.
    async fn run(&mut self) -> bool {
        let folder = self.folder.path();
        let mut command: Command = unprivileged(Path::new(DAEMON));
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", folder.join("data").display()))
            .arg(format!("--init-file={}", folder.join("init.sql").display()))
            .arg(format!("--socket={}", folder.join("socket").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"])
            .args(SIZES)
            .args(["--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M"])
            .args(["--performance-schema=off", "--local-infile=on", "--skip-ssl"])
            .args(["--character-set-server=utf8mb4"])
            .args(&self.options);
        let mut server = Server::spawn(&mut command);
        let port = self.port;
        let is_ready = || async move {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
                return false;
            };
            // Its greeting; the file of statements has been read by then.
            stream.read_u8().await.is_ok()
        };
        let is_up = ready(&mut server, is_ready).await;
        self.server = is_up.then_some(server);
        is_up
    }

    /// Kills the server, as a crash would.
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
            if self.run().await {
                return;
            }
        }
        panic!("MariaDB does not start again");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `allowed_outbound_hosts` has to say to grant it.
    pub fn grant(&self) -> String {
        format!("mysql://127.0.0.1:{}", self.port)
    }

    /// Its address with user and password.
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}/test", self.port)
    }
}
