//! `kill -9` in the middle of writes: what a guest was told is stored is stored, and what it was
//! told together is there together.

use std::collections::HashSet;
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Running};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::dayfly;

const KILLS: u64 = 200;
const WRITERS: u64 = 4;

async fn sql(client: &Client, lines: String) -> Result<String, String> {
    let request = client.request(http::Method::POST, "/sqlite/default");
    let answer = client.try_send(request.body(Body::full(lines))).await?;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// Writes until the server is gone, and gives back what was answered: two rows at a time, alike.
async fn write(client: Client, kill: u64, writer: u64) -> HashSet<String> {
    let mut stored = HashSet::new();
    for number in 0.. {
        let row = format!("{kill}-{writer}-{number}");
        let insert = format!("INSERT INTO t VALUES ('{row}')\n");
        let lines = format!("BEGIN IMMEDIATE\n{insert}{insert}COMMIT\n");
        match sql(&client, lines).await {
            Ok(said) if !said.contains("error") => drop(stored.insert(row)),
            Ok(said) => panic!("{said}"),
            Err(_) => break,
        }
    }
    stored
}

/// Everything that was answered is there, twice.
async fn check(server: &Running, stored: &HashSet<String>) {
    let said = sql(server, "PRAGMA integrity_check\n".to_owned()).await.unwrap();
    assert_eq!(said, "integrity_check\nok\n");
    let odd = "SELECT count(*) FROM (SELECT a FROM t GROUP BY a HAVING count(*) <> 2)\n";
    assert!(sql(server, odd.to_owned()).await.unwrap().ends_with("\n0\n"));
    let there = sql(server, "SELECT DISTINCT a FROM t\n".to_owned()).await.unwrap();
    let there: HashSet<&str> = there.lines().collect();
    let lost: Vec<_> = stored.iter().filter(|row| !there.contains(row.as_str())).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[tokio::test]
async fn no_answered_write_is_lost_and_nothing_is_corrupt() {
    let app = App::granted("rust-spin-5", "sqlite_databases = [\"default\"]");
    let folder = tempfile::tempdir().unwrap();
    let create = "CREATE TABLE IF NOT EXISTS t (a TEXT)";
    let up = || {
        let command = dayfly()
            .env("DAYFLY_CACHE_DIR", folder.path().join("cache"))
            .env("DAYFLY_STATE_DIR", folder.path().join("state"));
        command.args(["up", "--sqlite", create]).arg(app.folder()).serve()
    };
    let mut stored = HashSet::new();
    for kill in 0..KILLS {
        let server = up().await;
        check(&server, &stored).await;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(server.another_client(), kill, writer));
        }
        sleep(Duration::from_millis(5 + kill * 7 % 40)).await;
        server.process().kill();
        for written in writers.join_all().await {
            stored.extend(written);
        }
        assert_eq!(server.ended().await.code, None);
    }
    let server = up().await;
    check(&server, &stored).await;
    assert!(stored.len() as u64 > KILLS, "{} writes were answered", stored.len());
    server.stop().await;
}
