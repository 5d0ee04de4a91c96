//! A full disk: what cannot be kept is refused and says so, what was acknowledged is there, guests go on
//! being served, and once there is room again all goes on by itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Dayfly};
use tokio::time::{Instant, sleep};

use super::{Addresses, Platform, numbered};

const KEEPS: &str = "keeps.localhost";

/// A disk of its own for a platform's folder, which only the platform's processes see: it lasts longer than
/// they do. It takes no privilege, but user namespaces.
pub(super) struct Disk {
    folder: tempfile::TempDir,
    /// What keeps it mounted.
    keeper: Child,
}

impl Disk {
    /// # Panics
    /// If this system lets nobody make one.
    pub(super) fn of_mib(size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "mount -t tmpfs -o size={size}m,mode=700 none {} && echo mounted && exec sleep infinity",
            folder.path().display()
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let mut keeper = unshare.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            let ended = keeper.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&ended.stderr).into_owned();
            panic!("no disk can be made here, which takes user namespaces: {error}");
        }
        Self { folder, keeper }
    }

    /// A command line that sees it.
    pub(super) fn dayfly(&self) -> Dayfly {
        let keeper = self.keeper.id().to_string();
        let words = ["--preserve-credentials", "--user", "--mount", "--target", &keeper, "--"];
        let nsenter = Dayfly::new("nsenter").args(words).arg(env!("CARGO_BIN_EXE_dayfly"));
        nsenter.env("DAYFLY_STATE_DIR", self.folder.path())
    }

    /// A path of the folder, for this process.
    pub(super) fn seen(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.folder.path().strip_prefix("/").unwrap()).join(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

async fn insert(client: &Client, row: u32) -> Result<(), String> {
    let line = format!("INSERT INTO t VALUES ({row}, hex(randomblob(20000)))\n");
    let said = sql(client, &line).await;
    if said.contains("error") { Err(said) } else { Ok(()) }
}

/// Inserts rows behind so many until one is refused, for want of room.
async fn insert_all(client: &Client, rows: &mut u32) {
    loop {
        match insert(client, *rows).await {
            Ok(()) => *rows += 1,
            Err(refused) => return assert!(refused.contains("Full"), "{refused}"),
        }
        assert!(*rows < 10_000, "there is room for all");
    }
}

async fn sql(client: &Client, line: &str) -> String {
    let request = client.request(http::Method::POST, "/sqlite/default").header("host", KEEPS);
    client.send(request.body(Body::full(line.to_owned()))).await.text()
}

/// Writes until nothing more can be.
pub(super) fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4 << 10, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

const KEEPING: &str = "dayfly = 1\n[application]\nname = \"keeps\"\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
    [component.guest]\nsource = \"guest:rust-spin-5\"\nsqlite_databases = [\"default\"]\n";

/// Two apps on a platform: one keeps rows, and of the other there is release 1.
async fn settle(platform: &Platform) {
    platform.deploy(&App::new(KEEPING), &["--accept"]).await.with(0);
    platform.deploy(&numbered(1, "", ""), &["--accept"]).await.with(0);
    sql(&platform.apps, "CREATE TABLE t (n INTEGER, a TEXT)\n").await;
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
    let disk = Disk::of_mib(64);
    let platform = Platform::start_on(&disk).await;
    let supervisor = platform.server.process();
    settle(&platform).await;
    let mut rows = 0;
    while rows < 20 {
        insert(&platform.apps, rows).await.unwrap();
        rows += 1;
    }
    let ballast = disk.seen("ballast");
    fill(&ballast);

    insert_all(&platform.apps, &mut rows).await;
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
    are_there(&platform, (0..rows).chain([100_000])).await;
    platform.stop().await;
}

/// Checks that rows are there, and nothing is corrupt.
async fn are_there(platform: &Platform, rows: impl IntoIterator<Item = u32>) {
    let said = sql(&platform.apps, "PRAGMA integrity_check\n").await;
    assert_eq!(said, "integrity_check\nok\n");
    let said = sql(&platform.apps, "SELECT n FROM t\n").await;
    for row in rows {
        assert!(said.lines().any(|line| line == row.to_string()), "row {row} is lost");
    }
}

/// A command line whose platform has all that it keeps on a disk, what is compiled as well.
fn keeping_all_on(disk: &Disk) -> Dayfly {
    disk.dayfly().env_remove("DAYFLY_CACHE_DIR")
}

/// Ends all processes of a platform at once, as a machine does that fails.
async fn fail(platform: Platform) {
    let supervisor = platform.server.process();
    let children = supervisor.children();
    supervisor.kill();
    children.into_iter().for_each(|(child, _)| child.kill_if_running());
    platform.server.ended().await;
}

#[tokio::test]
async fn a_platform_that_is_started_on_a_full_disk_serves_what_is_there() {
    let disk = Disk::of_mib(96);
    let [ballast, spare, index] =
        ["ballast", "spare", "platform.sqlite-shm"].map(|it| disk.seen(it));
    let start = async || {
        let platform = Platform::serve(Addresses::free().of(keeping_all_on(&disk))).await;
        Platform { state: disk.seen(""), ..platform }.logged_in().await
    };
    let mut platform = start().await;
    settle(&platform).await;
    let mut rows = 0;
    for fails in [false, true] {
        insert(&platform.apps, rows).await.unwrap();
        rows += 1;
        if fails {
            fail(platform).await;
        } else {
            platform.stop().await;
        }
        fill(&ballast);
        platform = start().await;
        assert_eq!(platform.release().await, "1");
        let said = platform.deploy(&numbered(2, "", ""), &["--accept"]).await.with(1);
        assert!(said.contains("no space") || said.contains("full"), "{said}");
        insert_all(&platform.apps, &mut rows).await;
        assert_eq!(platform.release().await, "1");
        std::fs::remove_file(&ballast).unwrap();
        are_there(&platform, 0..rows).await;
    }
    platform.stop().await;

    // Where others have closed the database last, the index of its log has gone, and it is read by what is kept.
    assert!(spare.exists());
    std::fs::remove_file(&index).unwrap();
    fill(&ballast);
    let platform = start().await;
    assert_eq!((platform.release().await.as_str(), spare.exists()), ("1", false));
    platform.stop().await;
    std::fs::remove_file(&index).unwrap();
    fill(&ballast);
    let serve = Addresses::free().of(keeping_all_on(&disk)).arg("serve");
    let said = serve.patience(Duration::from_secs(60)).ends().await.with(1);
    assert!(said.contains("the disk is full") && said.contains("make room"), "{said}");
    std::fs::remove_file(&ballast).unwrap();
    let platform = start().await;
    assert!(spare.exists(), "no room is kept for the next start");
    are_there(&platform, 0..rows).await;
    platform.deploy(&numbered(3, "", ""), &["--accept"]).await.with(0);
    assert_eq!(platform.release().await, "3");
    platform.stop().await;
}
