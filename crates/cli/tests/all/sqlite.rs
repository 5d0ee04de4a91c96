//! SQL on embedded SQLite, by every version of its interface.

use dayfly_testing::{App, Client, Running};

use crate::dayfly;

const GRANT: &str = "sqlite_databases = [\"default\"]";

/// The guests that run the lines of a body as SQL, and by which version of the interface.
const GUESTS: [&str; 4] = ["rust-spin-3", "rust-spin-5", "rust-spin-6", "rust-spin-7"];

/// What the lines gave on the default database.
async fn sql(client: &Client, lines: &str) -> String {
    let answer = client.post("/sqlite/default", lines.to_owned()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn up(app: &App, flags: &[&str]) -> Running {
    dayfly().arg("up").args(flags).arg(app.folder()).serve().await
}

#[tokio::test]
async fn every_type_goes_and_comes_by_every_version() {
    for guest in GUESTS {
        let app = App::granted(guest, GRANT);
        let state = app.path("state");
        let up = || dayfly().env("DAYFLY_STATE_DIR", &state).up(app.folder());
        let server = up().await;
        let lines = "CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB, e)\n\
            INSERT INTO t VALUES (?, ?, ?, ?, ?)\ti -7\tr 1.5\tt a text\tb ab\tn\n\
            SELECT a, b, c, d AS last, e FROM t WHERE c = ?\tt a text\n\
            SELECT * FROM missing\n\
            INSERT INTO t VALUES (?)\ti 1\n";
        let said = sql(&server, lines).await;
        let expected =
            "\n\na|b|c|last|e\n-7|1.5|a text|[61, 62]|NULL\nerror: no such table: missing";
        assert!(said.starts_with(expected), "{guest}: {said}");
        assert!(said.contains("error: table t has 5 columns but 1 values"), "{guest}: {said}");
        server.stop().await;
        // It is there after a restart, in the app's state folder.
        let server = up().await;
        assert_eq!(sql(&server, "SELECT a FROM t").await, "a\n-7\n", "{guest}");
        assert!(state.join("sqlite/default.db").exists());
        server.stop().await;
    }
}

#[tokio::test]
async fn connections_are_numbers_in_the_unversioned_interface() {
    let server = up(&App::granted("rust-interfaces", GRANT), &[]).await;
    let lines =
        "CREATE TABLE t (a)\nINSERT INTO t VALUES (?)\tx\nSELECT a FROM t\n:close\nSELECT 1";
    assert_eq!(sql(&server, lines).await, "\n\na\nx\nerror: Error::InvalidConnection\n");
    let refused = server.post("/sqlite/other", "SELECT 1").await;
    assert_eq!(refused.status, 502);
    assert!(refused.text().contains("AccessDenied"), "{}", refused.text());
    server.stop().await;
}

#[tokio::test]
async fn what_was_inserted_and_changed_is_told() {
    for guest in ["rust-spin-5", "rust-spin-6", "rust-spin-7"] {
        let server = up(&App::granted(guest, GRANT), &[]).await;
        let lines = ":counts\nCREATE TABLE t (n)\nINSERT INTO t VALUES (1), (2), (3)\n:counts\n\
                     DELETE FROM t WHERE n > 1\n:counts\nSELECT last_insert_rowid(), changes()\n";
        let said = sql(&server, lines).await;
        let expected = "0 0\n\n\n3 3\n\n3 2\nlast_insert_rowid()|changes()\n3|2\n";
        assert_eq!(said, expected, "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn rows_are_streamed_as_they_are_found() {
    let server = up(&App::granted("rust-spin-7", GRANT), &[]).await;
    // There is no end, so that whoever waits for it gets no first row.
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    assert_eq!(sql(&server, &format!(":first 2 {endless}")).await, "1\n2\n");
    let lines = format!(
        "CREATE TABLE t (n)\n:each {endless} LIMIT 300; INSERT INTO t VALUES (1)\n\
         SELECT count(*) FROM t\n{endless} LIMIT 100000\n"
    );
    let said = sql(&server, &lines).await;
    assert!(said.starts_with("\n300\ncount(*)\n300\ni\n1\n"), "{}", &said[..100]);
    assert!(said.ends_with("\n100000\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_component_without_the_grant_is_refused_and_the_log_says_so() {
    for guest in GUESTS {
        let server = up(&App::of(guest), &[]).await;
        let refused = server.post("/sqlite/default", "SELECT 1").await;
        assert_eq!(refused.status, 502, "{guest}");
        assert!(refused.text().contains("AccessDenied"), "{guest}: {}", refused.text());
        let ended = server.stop().await;
        assert!(ended.stderr.contains("sqlite_databases"), "{guest}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_database_is_its_components_and_its_apps() {
    let other = App::granted("rust-interfaces", GRANT);
    let other = up(&other, &[]).await;
    let read = "SELECT a FROM t";
    for (grant, status, text) in
        [(GRANT, 200, "a\nsecret\n"), ("", 502, "open: Error::AccessDenied")]
    {
        let app = App::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n\
             [[trigger.http]]\nroute = \"/sqlite/default\"\ncomponent = \"one\"\n\
             [[trigger.http]]\nroute = \"/sqlite/default/two\"\ncomponent = \"two\"\n\
             [component.one]\nsource = \"guest:rust-spin-3\"\n{GRANT}\n\
             [component.two]\nsource = \"guest:rust-interfaces\"\n{grant}\n"
        ));
        let server = up(&app, &[]).await;
        sql(&server, "CREATE TABLE t (a)\nINSERT INTO t VALUES (?)\tt secret").await;
        let answer = server.post("/sqlite/default/two", read).await;
        assert_eq!((answer.status, answer.text().trim_end()), (status, text.trim_end()));
        assert!(sql(&other, read).await.contains("no such table"));
        server.stop().await;
    }
    other.stop().await;
}

#[tokio::test]
async fn a_granted_database_that_nothing_defines_is_named_at_the_start() {
    let app = App::granted("rust-spin-3", "sqlite_databases = [\"default\", \"orders\"]");
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    for word in ["`guest`", "`orders`", "hint: "] {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_the_interfaces_error() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    for guest in GUESTS.into_iter().chain(["rust-interfaces"]) {
        let limits = "limits = { cpu = \"500ms\", database = \"200KiB\" }";
        let server = up(&App::granted(guest, &format!("{GRANT}\n{limits}")), &[]).await;
        let lines = format!(
            "CREATE TABLE t (b)\n\
             {endless} SELECT count(*) FROM n\n\
             {endless} INSERT INTO t SELECT randomblob(10000) FROM n LIMIT 100\n\
             ATTACH 'x.db' AS x\n\
             PRAGMA cache_size = 100000\n\
             SELECT count(*) FROM t\n"
        );
        let said = sql(&server, &lines).await;
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[1].starts_with("error: the statement ran for longer than 500ms"), "{said}");
        assert!(lines[2].contains("DatabaseFull"), "{guest}: {said}");
        assert_eq!(lines[3], "error: not allowed: `ATTACH` and `VACUUM`", "{guest}");
        assert_eq!(lines[4], "error: not allowed: setting `PRAGMA cache_size`", "{guest}");
        assert_eq!(lines[5..], ["count(*)", "0"], "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_operators_statements_run_before_the_app() {
    let app = App::granted("rust-spin-3", GRANT).file("more.sql", "INSERT INTO t VALUES (2);\n");
    let file = format!("@{}", app.path("more.sql").display());
    let create = "CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)";
    let server = up(&app, &["--sqlite", create, "--sqlite", &file]).await;
    assert_eq!(sql(&server, "SELECT n FROM t").await, "n\n1\n2\n");
    server.stop().await;
    for (wrong, word) in [
        ("SELEKT 1", "syntax error"),
        ("@missing.sql", "`missing.sql`"),
        (&*format!("{file}:other"), "`other`"),
    ] {
        let command = dayfly().args(["up", "--sqlite", wrong]).arg(app.folder());
        let stderr = command.ends().await.with(1);
        assert!(stderr.contains(word), "{wrong}: {stderr}");
    }
}

#[tokio::test]
async fn databases_are_where_the_runtime_configuration_says() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("deep/orders.db");
    let config = format!(
        "[sqlite_database.orders]\ntype = \"spin\"\npath = {path:?}\n\
         [sqlite_database.log]\ntype = \"spin\"\n"
    );
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/sqlite/:label\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/sqlite/:label/two\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:rust-spin-3\"\n\
         sqlite_databases = [\"orders\", \"default\"]\n\
         [component.two]\nsource = \"guest:rust-interfaces\"\n\
         sqlite_databases = [\"log\", \"default\"]\n",
    )
    .file("config.toml", config);
    let file = app.path("config.toml");
    let server = up(&app, &["--runtime-config-file", file.to_str().unwrap()]).await;
    for label in ["orders", "default"] {
        let said =
            server.post(&format!("/sqlite/{label}"), "CREATE TABLE t AS SELECT 7 AS a").await;
        assert_eq!(said.text(), "\n", "{label}");
    }
    let read = async |label: &str| {
        let answer = server.post(&format!("/sqlite/{label}/two"), "SELECT a FROM t").await;
        (answer.status, answer.text())
    };
    assert_eq!(read("default").await, (200, "a\n7\n".to_owned()), "both are granted it");
    assert_eq!(read("log").await, (200, "error: no such table: t\n".to_owned()));
    assert_eq!(read("orders").await.0, 502, "one alone is granted it");
    assert_eq!(server.post("/sqlite/log", "SELECT 1").await.status, 502, "the other alone is");
    assert!(path.exists() && server.state("sqlite/log.db").exists());
    server.stop().await;
}
