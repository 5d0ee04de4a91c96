//! A full disk: what cannot be kept is refused and says so, what was acknowledged is there, guests go on
//! being served, and once there is room again all goes on by itself.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Dayfly};
use tokio::time::{Instant, sleep};

use super::{Platform, numbered};

const KEEPS: &str = "keeps.localhost";

/// The platform's folder, on a disk of 64 MiB of its own, which only its processes see.
pub(super) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A command line within a mount namespace, which needs no privilege.
    pub(super) fn dayfly(&self) -> Dayfly {
        let mount = format!(
            "mount -t tmpfs -o size=64m,mode=700 none {0} && exec \"$0\" \"$@\"",
            self.folder.path().display()
        );
        let words = ["--user", "--map-root-user", "--mount", "sh", "-c", &mount];
        let unshare = Dayfly::new("unshare").args(words).arg(env!("CARGO_BIN_EXE_dayfly"));
        unshare.env("DAYFLY_STATE_DIR", self.folder.path())
    }

    /// A path of the folder as its processes see it.
    pub(super) fn seen(&self, platform: i32, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{platform}/root"));
        root.join(self.folder.path().strip_prefix("/").unwrap()).join(path)
    }
}

async fn insert(client: &Client, row: u32) -> Result<(), String> {
    let line = format!("INSERT INTO t VALUES ({row}, hex(randomblob(20000)))\n");
    let said = sql(client, &line).await;
    if said.contains("error") { Err(said) } else { Ok(()) }
}

async fn sql(client: &Client, line: &str) -> String {
    let request = client.request(http::Method::POST, "/sqlite/default").header("host", KEEPS);
    client.send(request.body(Body::full(line.to_owned()))).await.text()
}

/// Writes until nothing more can be.
fn fill(ballast: &std::path::Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4 << 10, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Waits until what is asked answers again, after a process was killed.
async fn again(platform: &Platform) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let request = platform.apps.request(http::Method::GET, "/env");
        let request = request.header("host", "test.localhost").body(Body::empty());
        match platform.apps.try_send(request).await {
            Ok(answer) if answer.status == 200 => return platform.release().await,
            answer if Instant::now() > until => panic!("it is not served again: {answer:?}"),
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_got_over() {
    let disk = Disk::new();
    let platform = Platform::start_on(&disk).await;
    let supervisor = platform.server.process();
    let keeps = App::new(
        "dayfly = 1\n[application]\nname = \"keeps\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-spin-5\"\nsqlite_databases = [\"default\"]\n",
    );
    platform.deploy(&keeps, &["--accept"]).await.with(0);
    platform.deploy(&numbered(1, "", ""), &["--accept"]).await.with(0);
    sql(&platform.apps, "CREATE TABLE t (n INTEGER, a TEXT)\n").await;
    let mut rows = 0;
    while rows < 20 {
        insert(&platform.apps, rows).await.unwrap();
        rows += 1;
    }
    let ballast = disk.seen(supervisor.id(), "ballast");
    fill(&ballast);

    let mut refused = insert(&platform.apps, rows).await;
    while refused.is_ok() && rows < 10_000 {
        rows += 1;
        refused = insert(&platform.apps, rows).await;
    }
    let refused = refused.unwrap_err();
    assert!(refused.contains("Full"), "{refused}");
    fill(&ballast);
    let said = platform.deploy(&numbered(2, "", ""), &["--accept"]).await.with(1);
    assert!(said.contains("no space") || said.contains("full"), "{said}");
    assert_eq!(platform.release().await, "1");
    for role in ["--role node", "--role control"] {
        let child = supervisor.children().into_iter().find(|(_, words)| words.contains(role));
        child.expect("it runs").0.kill();
        assert_eq!(again(&platform).await, "1", "{role} was killed");
    }

    std::fs::remove_file(&ballast).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        // The control plane may just be on its way.
        let deployed = platform.deploy(&numbered(3, "", ""), &["--accept"]).await;
        if deployed.code == Some(0) {
            break;
        }
        assert!(Instant::now() < until, "{}", deployed.stderr);
    }
    assert_eq!(platform.release().await, "3");
    insert(&platform.apps, 100_000).await.unwrap();
    let said = sql(&platform.apps, "PRAGMA integrity_check\n").await;
    assert_eq!(said, "integrity_check\nok\n");
    let said = sql(&platform.apps, "SELECT n FROM t\n").await;
    for row in (0..rows).chain([100_000]) {
        assert!(said.lines().any(|line| line == row.to_string()), "row {row} is lost");
    }
    platform.stop().await;
}
