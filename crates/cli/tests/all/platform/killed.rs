//! `kill -9` of each process of a platform at any moment, while releases come and apps write: what was
//! acknowledged is there, and what serves is one release or the other.

use std::collections::HashSet;
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Process};
use tokio::time::{Instant, sleep};

use super::{Addresses, Platform, numbered};

/// `DAYFLY_TEST_KILLS` asks for more than every run can wait for.
const KILLS: u32 = 25;

/// How long a platform may take to be itself again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hosts of the app that writes: of a tenant that the node serves, and of one with a process of its own.
const KEEPS: [&str; 2] = ["keeps.localhost", "keeps.acme.localhost"];

fn kills() -> u32 {
    let asked = std::env::var("DAYFLY_TEST_KILLS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(KILLS)
}

/// Which process is killed, one after the other.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Supervisor,
    Node,
    Control,
    Worker,
    /// The process of a tenant.
    Own,
}

impl Victim {
    const ALL: [Self; 5] = [Self::Node, Self::Own, Self::Control, Self::Worker, Self::Supervisor];

    fn find(self, supervisor: Process) -> Option<Process> {
        let child = |of: Process, word: &str| {
            let mut children = of.children().into_iter();
            Some(children.find(|(_, words)| words.contains(word))?.0)
        };
        let control = || child(supervisor, "--role control");
        match self {
            Self::Supervisor => Some(supervisor),
            Self::Node => child(supervisor, "--role node"),
            Self::Control => control(),
            Self::Own => child(supervisor, "--role own"),
            // There is one only while something is compiled.
            Self::Worker => child(control()?, " prepare ").or_else(control),
        }
    }
}

async fn sql(client: &Client, host: &str, lines: String) -> Result<String, String> {
    let request = client.request(http::Method::POST, "/sqlite/default").header("host", host);
    let answer = client.try_send(request.body(Body::full(lines))).await?;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// Writes until it fails or its time is over, and gives back what was answered.
async fn write(client: Client, host: &str, kill: u32, until: Instant) -> Vec<String> {
    let mut stored = Vec::new();
    for number in 0.. {
        let row = format!("{kill}-{number}");
        match sql(&client, host, format!("INSERT INTO t VALUES ('{row}')\n")).await {
            Ok(said) if said.contains("error") => panic!("{said}"),
            Ok(_) if Instant::now() < until => stored.push(row),
            Ok(_) => return [stored, vec![row]].concat(),
            Err(_) => break,
        }
    }
    stored
}

/// What an app answers once it is served.
async fn asked(platform: &Platform, host: &str, lines: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match sql(&platform.apps, host, lines.to_owned()).await {
            Ok(said) => return said,
            Err(error) if Instant::now() > until => panic!("{host} is not served again: {error}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Which release is served, once that is one of `expected`.
async fn served(platform: &Platform, expected: &[u32]) -> u32 {
    let until = Instant::now() + PATIENCE;
    loop {
        let request = platform.apps.request(http::Method::GET, "/env");
        let request = request.header("host", "test.localhost").body(Body::empty());
        let answer = platform.apps.try_send(request).await;
        let text = answer.map(|answer| answer.text()).unwrap_or_else(|error| error);
        let release = text.lines().find_map(|line| line.strip_prefix("RELEASE="));
        match release.and_then(|number| number.parse().ok()) {
            Some(number) if expected.contains(&number) => return number,
            _ if Instant::now() > until => panic!("none of {expected:?} is served, but: {text}"),
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A moment of a deploy, otherwise each time.
fn moment() -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    Duration::from_micros(random % 1_200_000)
}

#[tokio::test]
async fn what_was_acknowledged_is_there() {
    let state = tempfile::tempdir().unwrap();
    let addresses = Addresses::free();
    let start = || Platform::start_in(state.path(), &addresses);
    let mut platform = start().await;
    let keeps = App::new(
        "dayfly = 1\n[application]\nname = \"keeps\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-spin-5\"\nsqlite_databases = [\"default\"]\n",
    );
    platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
    platform.deploy(&keeps, &["--accept"]).await.with(0);
    platform.deploy(&keeps, &["--accept", "--tenant", "acme"]).await.with(0);
    platform.deploy(&numbered(0, "", ""), &["--accept"]).await.with(0);
    for host in KEEPS {
        asked(&platform, host, "CREATE TABLE t (a TEXT)\n").await;
    }
    let (mut last, mut stored, mut acknowledged) = (0, [HashSet::new(), HashSet::new()], 0);
    for kill in 1..=kills() {
        let app = numbered(kill, "", "");
        let deploys = platform.dayfly(&["deploy", "--accept"]).arg(app.folder());
        let deploys = tokio::spawn(async move { deploys.ends().await });
        let moment = moment();
        let until = Instant::now() + moment + Duration::from_millis(300);
        let writes = KEEPS.map(|host| {
            tokio::spawn(write(Client::http1(platform.apps.base()), host, kill, until))
        });
        sleep(moment).await;
        let victim = Victim::ALL[kill as usize % Victim::ALL.len()];
        let process = victim.find(platform.server.process()).expect("the platform runs");
        process.kill_if_running();
        if matches!(victim, Victim::Supervisor) {
            assert_eq!(platform.server.ended().await.code, None);
            platform = start().await;
        }
        for (stored, writes) in stored.iter_mut().zip(writes) {
            stored.extend(writes.await.unwrap());
        }
        let deployed = deploys.await.unwrap();
        let expected = if deployed.code == Some(0) { vec![kill] } else { vec![last, kill] };
        last = served(&platform, &expected).await;
        acknowledged += u32::from(deployed.code == Some(0));
        for (host, stored) in KEEPS.into_iter().zip(&stored) {
            check(&platform, host, stored).await;
        }
        eprintln!("{kill}: {victim:?} after {moment:?}, deploy {:?}, {last} serves", deployed.code);
    }
    let counts = stored.map(|stored| stored.len());
    assert!(!counts.contains(&0) && acknowledged > 0, "{acknowledged}, {counts:?}");
    // Nothing is in the way of what comes next.
    platform.deploy(&numbered(9999, "", ""), &["--accept"]).await.with(0);
    served(&platform, &[9999]).await;
    platform.stop().await;
}

/// Everything that was answered is there, and nothing is corrupt.
async fn check(platform: &Platform, host: &str, stored: &HashSet<String>) {
    let said = asked(platform, host, "PRAGMA integrity_check\n").await;
    assert_eq!(said, "integrity_check\nok\n");
    let there = asked(platform, host, "SELECT a FROM t\n").await;
    let there: HashSet<&str> = there.lines().collect();
    let lost: Vec<_> = stored.iter().filter(|row| !there.contains(row.as_str())).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}
