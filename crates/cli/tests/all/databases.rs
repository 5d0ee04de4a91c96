//! What the tests of database servers share.

use std::time::{Duration, Instant};

use dayfly_testing::{App, MariaDb, Postgres, Running};

use crate::dayfly;

/// An app of one guest that may reach `grant`, with further lines in its table.
pub async fn started(guest: &str, grant: &str, more: &str) -> (App, Running) {
    let app = App::granted(guest, &format!("allowed_outbound_hosts = [\"{grant}\"]\n{more}"));
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// Runs a script by an interface, and gives back what its calls answer, a line each.
pub async fn run(server: &Running, interface: &str, script: &str) -> Vec<String> {
    let answer = server.post(&format!("/db/{interface}"), script.to_owned()).await;
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    text.lines().map(str::to_owned).collect()
}

/// This machine as guests may spell it.
const LOOPBACK: [&str; 6] =
    ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]"];

#[tokio::test]
async fn a_wildcard_leads_no_client_of_a_server_to_this_machine() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_app, server) = started("rust-spin-7", "*://*:*", "").await;
    let refused = |what: String, answer: String| {
        let is_refused = ["Error", "Failed", "not granted", "not permitted", "InvalidAddress"];
        assert!(is_refused.iter().any(|word| answer.contains(word)), "{what}: {answer}");
    };
    for host in LOOPBACK {
        for path in [
            format!("/redis/get?address=redis://{host}:{port}&key=k"),
            format!("/mqtt/publish?address=mqtt://{host}:{port}&topic=t&payload=p&qos=1"),
        ] {
            refused(path.clone(), server.get(&path).await.text());
        }
        for (interface, address) in [
            ("mysql3", format!("mysql://user:secret@{host}:{port}/data")),
            ("postgres4", format!("postgres://user:secret@{host}:{port}/data")),
        ] {
            let script = format!("open {address}\nquery SELECT 1 AS one\n");
            let lines = run(&server, interface, &script).await;
            refused(address, lines.join("\n"));
        }
    }
    let came = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(came.is_err(), "{came:?}");
    server.stop().await;
}

/// A database server that can fail.
pub trait Database {
    /// The statement that waits for a minute.
    const SLEEP: &str;
    fn address(&self) -> String;
    fn fail(&mut self);
    async fn come_back(&mut self);
}

impl Database for MariaDb {
    const SLEEP: &str = "SELECT SLEEP(60)";

    fn address(&self) -> String {
        self.url()
    }

    fn fail(&mut self) {
        self.kill();
    }

    async fn come_back(&mut self) {
        self.restart().await;
    }
}

impl Database for Postgres {
    const SLEEP: &str = "SELECT pg_sleep(60)";

    fn address(&self) -> String {
        self.url()
    }

    fn fail(&mut self) {
        self.kill();
    }

    async fn come_back(&mut self) {
        self.restart().await;
    }
}

/// A database that is killed while a statement runs, and comes back, twice.
pub async fn is_killed_and_comes_back<D: Database>(
    server: &Running,
    interface: &str,
    database: &mut D,
) {
    let script = format!("open {}\nquery SELECT 1 AS one\n", database.address());
    for _ in 0..2 {
        assert_eq!(run(server, interface, &script).await[2], "Int32(1)");
        let sleeping = format!("open {}\nquery {}\n", database.address(), D::SLEEP);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            database.fail();
        };
        let (lines, ()) = tokio::join!(run(server, interface, &sleeping), kill);
        assert!(lines[1].contains("QueryFailed"), "{lines:?}");
        let begun = Instant::now();
        let lines = run(server, interface, &script).await;
        assert!(lines.iter().all(|line| line.contains("ConnectionFailed")), "{lines:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        database.come_back().await;
        assert_eq!(run(server, interface, &script).await[2], "Int32(1)");
    }
}

/// One connection more than each guest may open, by each interface.
pub async fn one_connection_too_many(guests: &[(&str, &str)], grant: &str, address: &str) {
    for (guest, interface) in guests {
        let (_app, server) = started(guest, grant, "limits = { outbound = 1 }").await;
        let open = format!("open {address}\nquery SELECT 1 AS one\n");
        let script = format!("{open}close\n{open}");
        let text = run(&server, interface, &script).await.join("\n");
        assert_eq!(text.matches("Int32(1)").count(), 1, "{guest}, {interface}: {text}");
        assert_eq!(text.matches("too many connections").count(), 1, "{guest}, {interface}: {text}");
        server.stop().await;
    }
}

/// The bounds of results and, where a component may open three, of connections. `many` and `long`
/// are statements with so many rows of a number, and of a million letters.
pub async fn is_bounded(
    server: &Running,
    interface: &str,
    address: &str,
    (many, long): (impl Fn(u32) -> String, &str),
) {
    let script = format!(
        "open {address}\nquery {}\nclose\nopen {address}\nquery {long}\n\
         close\nopen {address}\nquery {}\nopen {address}\n",
        many(100_001),
        many(100_000)
    );
    let lines = run(server, interface, &script).await;
    let text = lines.join("\n");
    assert!(lines[1].contains("more than 100000 rows"), "{text}");
    assert!(lines[3].contains("larger than 67108864 bytes"), "{text}");
    assert_eq!(lines[6], "100000 rows", "{text}");
    assert!(lines[7].contains("too many connections"), "{text}");
}
