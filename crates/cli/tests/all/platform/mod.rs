//! A platform and its command line, all of them real processes: who is logged in deploys, and clients of
//! the apps see what comes of that.

mod acme;
mod bombs;
mod certificates;
mod clock;
mod crowd;
mod deploy;
mod fair;
mod full;
mod handover;
mod hardened;
mod health;
mod idle;
mod killed;
mod labels;
mod login;
mod logs;
mod making;
mod operator;
mod own;
mod previews;
mod quotas;
mod readme;
mod refused;
mod retry;
mod settings;
mod smuggling;
mod soonest;
mod ssrf;
mod usage;

use std::path::{Path, PathBuf};

use dayfly_testing::{Answer, App, Client, Dayfly, Ended, Running};
use serde_json::Value;
use tempfile::TempDir;

use crate::dayfly;

/// A platform, and somebody who may use it.
struct Platform {
    server: Running,
    /// The address of the admin API.
    admin: String,
    apps: Client,
    /// Its folder.
    state: PathBuf,
    user: TempDir,
}

impl Platform {
    /// A platform, and its operator logged in.
    async fn start() -> Self {
        Self::start_with(dayfly()).await
    }

    /// The same, started by a command line of one's own.
    async fn start_with(dayfly: Dayfly) -> Self {
        Self::start_serving(dayfly, &[]).await
    }

    /// The same with its folder on a disk of its own.
    async fn start_on(disk: &full::Disk) -> Self {
        let platform = Self::serve(Addresses::free().of(disk.dayfly())).await;
        Self { state: disk.seen(""), ..platform }.logged_in().await
    }

    /// The same, whose processes listen where they did when they are started again.
    async fn start_anchored() -> Self {
        Self::serve(Addresses::free().of(dayfly())).await.logged_in().await
    }

    async fn logged_in(self) -> Self {
        let platform = self;
        let words = ["login", &platform.admin, "--token-stdin"];
        let said = platform.dayfly(&words).input(&platform.token()).ends().await.with(0);
        assert!(said.contains("Logged in") && !said.contains(platform.token().trim()), "{said}");
        platform
    }

    async fn start_logged_out() -> Self {
        Self::serve(anywhere(dayfly())).await
    }

    /// The same with further flags of `serve`.
    async fn start_serving(dayfly: Dayfly, flags: &[&str]) -> Self {
        Self::serve_with(anywhere(dayfly), flags).await.logged_in().await
    }

    async fn serve(dayfly: Dayfly) -> Self {
        Self::serve_with(dayfly, &[]).await
    }

    async fn serve_with(dayfly: Dayfly, flags: &[&str]) -> Self {
        let server = dayfly.arg("serve").args(flags).serve().await;
        let url = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
        let apps = Client::http1(&url(&server.stdout().containing("Apps").await));
        let admin = url(&server.stdout().containing("Admin API").await);
        server.stdout().containing("Token").await;
        let state = server.state("");
        Self { server, admin, apps, state, user: tempfile::tempdir().unwrap() }
    }

    /// The operator's first token.
    fn token(&self) -> String {
        std::fs::read_to_string(self.state.join("operator-token")).unwrap()
    }

    /// A command line of the user.
    fn dayfly(&self, words: &[&str]) -> Dayfly {
        self.stranger(words).env("HOME", self.user.path())
    }

    /// A command line of somebody who is logged in nowhere.
    fn stranger(&self, words: &[&str]) -> Dayfly {
        let nowhere = self.user.path().join("nowhere");
        dayfly().env("HOME", nowhere).env_remove("XDG_CONFIG_HOME").args(words)
    }

    /// What a command prints to standard output, which must succeed.
    async fn done(&self, words: &[&str]) -> String {
        self.dayfly(words).ends().await.with_stdout(0)
    }

    /// The same as JSON.
    async fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.dayfly(words).arg("--json").ends().await.with_stdout(0)).unwrap()
    }

    async fn deploy(&self, app: &App, more: &[&str]) -> Ended {
        self.dayfly(&["deploy"]).arg(app.folder()).args(more).ends().await
    }

    /// What a host answers.
    async fn get(&self, host: &str, path: &str) -> Answer {
        self.apps.get_with(path, &[("host", host)]).await
    }

    /// The text that app `test` answers with, which must be there.
    async fn text(&self, path: &str) -> String {
        let answer = self.get("test.localhost", path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// Which release answers.
    async fn release(&self) -> String {
        let text = self.text("/env").await;
        let number = text.lines().find_map(|line| line.strip_prefix("RELEASE="));
        number.unwrap_or_else(|| panic!("no release in {text}")).to_owned()
    }

    /// Where it speaks TLS.
    async fn tls(&self) -> String {
        let line = self.server.stdout().containing("https://").await;
        line.split_once("https://").unwrap().1.to_owned()
    }

    async fn stop(self) {
        self.server.stop().await;
    }
}

/// A platform whose admin API is wherever there is room.
fn anywhere(dayfly: Dayfly) -> Dayfly {
    dayfly.env("DAYFLY_ADMIN_LISTEN", "127.0.0.1:0")
}

/// Where a platform listens that lasts longer than its processes.
struct Addresses {
    apps: String,
    admin: String,
}

impl Addresses {
    /// Ports that are free now, which a process that is started again finds again.
    fn free() -> Self {
        let free = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().to_string()
        };
        Self { apps: free(), admin: free() }
    }

    fn of(&self, dayfly: Dayfly) -> Dayfly {
        dayfly.env("DAYFLY_LISTEN", &self.apps).env("DAYFLY_ADMIN_LISTEN", &self.admin)
    }
}

/// An app `test` whose `/env` says which release it is, with further lines of its component, and of
/// the whole manifest.
fn numbered(number: u32, component: &str, more: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{more}\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n\
         environment = {{ RELEASE = \"{number}\" }}\n{component}\n"
    ))
    .file("guest.wasm", dayfly_testing::Guest::bytes("rust-http"))
}

fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}
