//! PostgreSQL by each version of Spin's interface, against a real server.

mod types;

use std::time::{Duration, Instant};

use dayfly_testing::{App, Certificate, Postgres, Running};

use crate::databases::{self, run, started};
use crate::dayfly;

/// The guests and the interfaces that each has; 4 is 4.0 by the SDK's version 6, 4.2 by 7.
const GUESTS: &[(&str, &str)] = &[
    ("rust-interfaces", "postgres1"),
    ("rust-interfaces", "postgres4.1"),
    ("rust-spin-3", "postgres2"),
    ("rust-spin-3", "postgres3"),
    ("rust-spin-6", "postgres4"),
    ("rust-spin-7", "postgres4"),
];

/// An app of one guest that may reach a server, and the server that it is.
async fn start(guest: &str, postgres: &Postgres) -> (App, Running) {
    started(guest, &postgres.grant(), "").await
}

/// Makes a table, fills it, reads it, and gets errors, by the functions that all versions have.
async fn uses_a_table(server: &Running, interface: &str, address: &str) {
    let table = interface.replace('.', "_");
    let script = format!(
        "open {address}\n\
         execute CREATE TABLE {table} (id int PRIMARY KEY, name text)\n\
         param int32 1\nparam str one\nexecute INSERT INTO {table} VALUES ($1, $2)\n\
         execute INSERT INTO {table} SELECT n, 'more' FROM generate_series(2, 5) n\n\
         query SELECT id, name FROM {table} WHERE id < 3 ORDER BY id\n\
         query SELECT id FROM {table} WHERE id > 9\n\
         execute DELETE FROM {table} WHERE id > 1\n\
         execute INSERT INTO {table} VALUES (1, 'again')\n\
         param int32 1\nexecute SELECT 1\n\
         query SELEKT\n\
         query SELECT 1 AS one\n"
    );
    let lines = run(server, interface, &script).await;
    let text = lines.join("\n");
    let expected = [
        "opened",
        "0",
        "1",
        "4",
        "columns id Int32, name Str",
        "Int32(1) Str(\"one\")",
        "Int32(2) Str(\"more\")",
        "columns id Int32",
        "4",
    ];
    assert_eq!(lines[..9], expected, "{interface}: {text}");
    assert!(lines[9].contains("QueryFailed") && lines[9].contains("duplicate key"), "{text}");
    assert!(lines[10].contains("BadParameter"), "{text}");
    assert!(lines[11].contains("QueryFailed") && lines[11].contains("syntax error"), "{text}");
    assert_eq!(lines[12..], ["columns one Int32", "Int32(1)"], "{text}");
}

#[tokio::test]
async fn tables_by_every_version() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    for (guest, interfaces) in [
        ("rust-interfaces", &["postgres1", "postgres4.1"][..]),
        ("rust-spin-3", &["postgres2", "postgres3"]),
        ("rust-spin-5", &["postgres4"]),
    ] {
        let (_app, server) = start(guest, &postgres).await;
        for interface in interfaces {
            uses_a_table(&server, interface, &url).await;
        }
        server.stop().await;
        postgres.query("DROP TABLE IF EXISTS postgres4").await;
    }
    let (_app, server) = start("rust-spin-7", &postgres).await;
    uses_a_table(&server, "postgres4", &url).await;
    server.stop().await;
}

#[tokio::test]
async fn errors_of_the_server_in_parts() {
    let postgres = Postgres::start().await;
    let (_app, server) = start("rust-spin-5", &postgres).await;
    postgres.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let script = format!("open {}\nexecute INSERT INTO t VALUES (1)\n", postgres.url());
    let lines = run(&server, "postgres4", &script).await;
    for part in [
        "severity: \"ERROR\"",
        "code: \"23505\"",
        "message: \"duplicate key value",
        "detail: Some(\"Key (id)=(1) already exists.\")",
        "(\"constraint\", \"t_pkey\")",
        "(\"table\", \"t\")",
        "(\"schema\", \"public\")",
    ] {
        assert!(lines[1].contains(part), "no `{part}` in {}", lines[1]);
    }
    server.stop().await;
}

#[tokio::test]
async fn streams_of_version_4_2() {
    let postgres = Postgres::start().await;
    let (_app, server) =
        started("rust-spin-7", &postgres.grant(), "limits = { cpu = \"60s\" }").await;
    let url = postgres.url();
    let numbers = "SELECT n, repeat('x', 2000) AS text FROM generate_series(1, 40000) n";
    let script = format!(
        "open {url}\n\
         count {numbers}\n\
         first {numbers}\n\
         query SELECT 1 AS one\n\
         count SELECT 6 / (4 - n) AS quotient FROM generate_series(1, 9) n\n\
         query SELECT 2 AS two\n\
         together 20 SELECT pg_sleep(0.01)\n\
         sync-open {url}\nsync-execute SELECT 1\nsync-query SELECT 3 AS three\n\
         build {url}\nquery SELECT 4 AS four\nsync-build {url}\nquery SELECT 5 AS five\n"
    );
    let before = server.process().resident_bytes();
    let lines = run(&server, "postgres4", &script).await;
    let text = lines.join("\n");
    let rows = "Int32(1) Str(\"xxx";
    assert!(lines[2].starts_with(rows) && lines[5].starts_with(rows), "{text}");
    assert_eq!(lines[3], "40000 rows", "{text}");
    assert_eq!(lines[6..8], ["columns one Int32", "Int32(1)"], "{text}");
    assert_eq!(lines[9..11], ["Int32(2)", "3 rows"], "{text}");
    assert!(lines[11].contains("division by zero"), "{text}");
    assert_eq!(lines[12..15], ["columns two Int32", "Int32(2)", "20 done"], "{text}");
    assert_eq!(
        lines[15..],
        [
            "opened",
            "1",
            "columns three Int32",
            "Int32(3)",
            "opened",
            "columns four Int32",
            "Int32(4)",
            "opened",
            "columns five Int32",
            "Int32(5)",
        ],
        "{text}"
    );
    let grown = server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more for a result of 80 MB that streams");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let postgres = Postgres::start().await;
    let port = postgres.port();
    let grants = [
        "postgres://127.0.0.1:1".to_owned(),
        format!("postgres://localhost:{port}"),
        format!("mysql://127.0.0.1:{port}"),
        // Public addresses alone.
        format!("postgres://*:{port}"),
    ];
    let url = postgres.url();
    for grant in &grants {
        for (guest, interface) in GUESTS {
            let (_app, server) = started(guest, grant, "").await;
            let script = format!("open {url}\nquery SELECT 1\nexecute SELECT 1\n");
            let lines = run(&server, interface, &script).await;
            let refused = lines.iter().filter(|line| line.contains("ConnectionFailed")).count();
            assert_eq!(refused, if *interface == "postgres1" { 2 } else { 1 }, "{lines:#?}");
            assert!(!lines.iter().any(|line| line.contains("Int32")), "{lines:#?}");
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn no_address_leads_around_the_grant() {
    let postgres = Postgres::start().await;
    let (_app, server) = start("rust-spin-3", &postgres).await;
    let port = postgres.port();
    for address in [
        // Another host among granted ones, in each way to say so.
        format!("postgres://tester:opensesame@127.0.0.1:{port},10.0.0.1:{port}/postgres"),
        format!("host=127.0.0.1,10.0.0.1 port={port} user=tester password=opensesame"),
        format!("host=127.0.0.1 hostaddr=10.0.0.1 port={port} user=tester"),
        format!("host=localhost port={port} user=tester password=opensesame"),
        format!("host=2130706433 port={port} user=tester password=opensesame"),
        "host=127.0.0.1 port=5432 user=tester password=opensesame".to_owned(),
        // Sockets, files, and whatever this process is.
        format!("host=/var/run/postgresql port={port} user=tester"),
        format!("host=@x port={port} user=tester"),
        format!("postgres://tester@%2Ftmp:{port}/postgres"),
        format!("port={port} user=tester password=opensesame"),
        format!("host=127.0.0.1 port={port} password=opensesame"),
        format!("host=127.0.0.1 port={port} user=tester passfile=/etc/passwd"),
        format!("host=127.0.0.1 port={port} user=tester sslrootcert=/etc/passwd"),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let script = format!("open {address}\nquery SELECT 1\n");
        let lines = run(&server, "postgres3", &script).await;
        assert!(lines.len() == 1 && lines[0].contains("ConnectionFailed"), "{address}: {lines:?}");
        assert!(!lines[0].contains("opensesame"), "{lines:?}");
    }
    // What is granted, in other words.
    for address in [
        format!("host=127.0.0.1 port={port} user=tester password=opensesame dbname=postgres"),
        format!(
            "host=db hostaddr=127.0.0.1 port={port} user=tester password=opensesame dbname=postgres"
        ),
        format!(
            "postgresql://tester:opensesame@127.0.0.1:{port}/postgres?application_name=x&options=-c%20geqo%3Doff"
        ),
        format!(
            "postgres://tester:opensesame@127.0.0.1:{port}/postgres?target_session_attrs=read-write"
        ),
    ] {
        let lines =
            run(&server, "postgres3", &format!("open {address}\nquery SELECT 1 AS one\n")).await;
        assert_eq!(lines, ["opened", "columns one Int32", "Int32(1)"], "{address}");
    }
    server.stop().await;
}

#[tokio::test]
async fn wrong_passwords_and_servers_that_are_not_there() {
    let postgres = Postgres::start().await;
    let (_app, server) = start("rust-spin-3", &postgres).await;
    let wrong = postgres.url().replace("opensesame", "wrongsecret");
    let lines = run(&server, "postgres2", &format!("open {wrong}\n")).await;
    assert!(lines[0].contains("password authentication failed"), "{lines:?}");
    assert!(!lines[0].contains("wrongsecret"), "{lines:?}");
    server.stop().await;
    let (_app, server) = started("rust-spin-3", "postgres://127.0.0.1:1", "").await;
    let lines = run(&server, "postgres2", "open postgres://u:p@127.0.0.1:1/d\n").await;
    assert!(lines[0].contains("refused the connection"), "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_finds_nothing_of_another_in_its_session() {
    let postgres = Postgres::start().await;
    postgres.query("CREATE ROLE other; CREATE TABLE t (n int); CREATE SCHEMA s").await;
    let (_app, server) = start("rust-spin-3", &postgres).await;
    let url = postgres.url();
    let leaves = [
        "execute BEGIN\nexecute INSERT INTO t VALUES (1)\n",
        "execute CREATE TEMP TABLE mine (n int)\n",
        "execute SET search_path = s\n",
        "execute SET ROLE other\n",
        "execute SET SESSION AUTHORIZATION other\n",
        "execute SELECT pg_advisory_lock(7)\n",
        "execute PREPARE mine AS SELECT 1\n",
        "execute LISTEN mine\n",
        "execute BEGIN\nexecute DECLARE mine CURSOR WITH HOLD FOR SELECT 1\nexecute COMMIT\n",
        "execute SELECT set_config('my.secret', 'x', false)\n",
        "execute BEGIN\nquery SELEKT\n",
        "execute DEALLOCATE ALL\n",
        "execute DISCARD ALL\n",
    ];
    let looks = "query SELECT current_user::text = 'tester' AND session_user::text = 'tester'\
         AND current_setting('search_path') LIKE '%public' \
         AND coalesce(current_setting('my.secret', true), '') = '' \
         AND to_regclass('pg_temp.mine') IS NULL \
         AND NOT EXISTS (SELECT FROM pg_prepared_statements WHERE from_sql) \
         AND NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'mine') \
         AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) \
         AND NOT EXISTS (SELECT FROM pg_listening_channels()) \
         AND pg_current_xact_id_if_assigned() IS NULL AND (SELECT count(*) FROM t) = 0 AS clean\n";
    for leave in leaves {
        run(&server, "postgres3", &format!("open {url}\n{leave}")).await;
        for _ in 0..3 {
            let lines = run(&server, "postgres3", &format!("open {url}\n{looks}")).await;
            assert_eq!(lines[1..], ["columns clean Boolean", "Boolean(true)"], "after {leave}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_kept_for_the_same_address_and_component_for_a_while() {
    let postgres = Postgres::start().await;
    postgres.query("CREATE TYPE mood AS ENUM ('sad', 'happy')").await;
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/two/...\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:rust-spin-3\"\nallowed_outbound_hosts = [{0:?}]\n\
         [component.two]\nsource = \"guest:rust-interfaces\"\nallowed_outbound_hosts = [{0:?}]\n",
        postgres.grant()
    ));
    let server = dayfly().up(app.folder()).await;
    let url = postgres.url();
    let ask =
        |more: &str| format!("open {url}{more}\nquery SELECT pg_backend_pid(), 'sad'::mood\n");
    let first = run(&server, "postgres3", &ask("")).await[2].clone();
    for _ in 0..5 {
        // It is there again when it has been made as good as new.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(run(&server, "postgres3", &ask("")).await[2], first);
    }
    let other = run(&server, "postgres3", &ask("?application_name=x")).await[2].clone();
    assert_ne!(other, first, "another address");
    let held = format!("open {url}\nopen {url}\nquery SELECT pg_backend_pid(), 'sad'::mood\n");
    assert_ne!(run(&server, "postgres3", &held).await[3], first, "one that is in use");
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('dayfly', 'x')";
    assert_eq!(postgres.query(sessions).await, "3");
    let begun = Instant::now();
    while postgres.query(sessions).await != "0" {
        assert!(begun.elapsed() < Duration::from_secs(30), "unused sessions stay");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_gone_request_asked_is_cancelled() {
    let postgres = Postgres::start().await;
    let (_app, server) =
        started("rust-spin-3", &postgres.grant(), "limits = { time = \"500ms\" }").await;
    let script = format!("open {}\nquery SELECT pg_sleep(60)\n", postgres.url());
    let answer = server.post("/db/postgres3", script).await;
    assert_eq!(answer.status, 504);
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dayfly'";
    let begun = Instant::now();
    while postgres.query(running).await != "0" {
        assert!(begun.elapsed() < Duration::from_secs(5), "the server still works on it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let script = format!("open {}\nquery SELECT 1 AS one\n", postgres.url());
    assert_eq!(run(&server, "postgres3", &script).await[2], "Int32(1)");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back() {
    let mut postgres = Postgres::start().await;
    let (_app, server) = start("rust-spin-3", &postgres).await;
    databases::is_killed_and_comes_back(&server, "postgres3", &mut postgres).await;
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_by_every_version() {
    let postgres = Postgres::start().await;
    databases::one_connection_too_many(GUESTS, &postgres.grant(), &postgres.url()).await;
}

#[tokio::test]
async fn results_and_connections_are_bounded() {
    let postgres = Postgres::start().await;
    let limits = "limits = { outbound = 3 }";
    let (_app, server) = started("rust-spin-3", &postgres.grant(), limits).await;
    let many = |rows: u32| format!("SELECT n FROM generate_series(1, {rows}) n");
    let long = "SELECT repeat('x', 1000000) FROM generate_series(1, 100)";
    databases::is_bounded(&server, "postgres3", &postgres.url(), (many, long)).await;
    server.stop().await;
}

#[tokio::test]
async fn tls_and_whom_it_trusts() {
    let certificate = Certificate::new();
    let postgres = Postgres::start_tls(&certificate).await;
    let plain = Postgres::start().await;
    let grants = format!("{}\", \"{}", postgres.grant(), plain.grant());
    let (_app, server) = started("rust-interfaces", &grants, "").await;
    let authority = std::fs::read_to_string(certificate.authority()).unwrap().replace('\n', "\\n");
    let other =
        std::fs::read_to_string(Certificate::new().authority()).unwrap().replace('\n', "\\n");
    let secure = "query SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\n";
    let opened = async |url: String, authority: &str| {
        let space = if authority.is_empty() { "" } else { " " };
        run(&server, "postgres4.1", &format!("open {url}{space}{authority}\n{secure}")).await
    };
    let url = |server: &Postgres, mode: &str| format!("{}?sslmode={mode}", server.url());
    let yes = ["opened", "columns ssl Boolean", "Boolean(true)"];
    let no = ["opened", "columns ssl Boolean", "Boolean(false)"];
    assert_eq!(opened(url(&postgres, "prefer"), "").await, yes);
    assert_eq!(opened(url(&postgres, "disable"), "").await, no);
    assert_eq!(opened(url(&plain, "prefer"), "").await, no);
    for mode in ["require", "verify-ca", "verify-full"] {
        let unknown = opened(url(&postgres, mode), "").await;
        assert!(unknown[0].contains("certificate"), "{mode}: {unknown:?}");
        let unknown = opened(url(&postgres, mode), &other).await;
        assert!(unknown[0].contains("certificate"), "{mode}: {unknown:?}");
        assert_eq!(opened(url(&postgres, mode), &authority).await, yes, "{mode}");
        let without = opened(url(&plain, mode), "").await;
        assert!(without[0].contains("does not support TLS"), "{mode}: {without:?}");
    }
    // Who brings an authority wants to know whom it talks to.
    assert_eq!(opened(postgres.url(), &authority).await, yes);
    assert!(opened(postgres.url(), &other).await[0].contains("ConnectionFailed"));
    assert!(opened(plain.url(), &authority).await[0].contains("does not support TLS"));
    assert!(opened(postgres.url(), "nonsense").await[0].contains("the certificate is malformed"));
    server.stop().await;
}
