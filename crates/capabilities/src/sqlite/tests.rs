use std::time::{Duration, Instant};

use dayfly_model::Limits;
use dayfly_model::RuntimeConfig;
use dayfly_model::outbound::OutboundHosts;
use tempfile::TempDir;
use tokio::time::timeout;

use super::handle::Connection;
use super::value::{QueryResult, Value};
use super::*;
use crate::Grants;
use crate::wasi::stdio::{LogSink, OutputKind};

struct Silent;

impl LogSink for Silent {
    fn line(&self, _: OutputKind, _: &str) {}
}

/// A component that is granted the default database in a folder of its own.
struct Component {
    folder: TempDir,
    grants: Arc<Grants>,
}

impl Component {
    fn new() -> Self {
        Self::bounded(|_| {})
    }

    fn bounded(bound: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::new(&RuntimeConfig::default(), folder.path());
        let mut limits = Limits::default();
        bound(&mut limits);
        let hosts = OutboundHosts::parse::<&str>([]).unwrap();
        let mut grants =
            Grants::for_command("test", limits, Vec::new(), &[], hosts, Arc::new(Silent)).unwrap();
        grants.sqlite = databases.share(["default"]).unwrap();
        Self { folder, grants: Arc::new(grants) }
    }

    fn open(&self) -> Connection {
        let (database, turns) = self.grants.sqlite.open("default").unwrap();
        Connection::new(database, turns, self.grants.clone(), Arc::default())
    }
}

async fn run(connection: &Connection, sql: &str) -> Result<QueryResult, Error> {
    connection.execute(sql.to_owned(), Vec::new()).await
}

/// The first value of a result of one row.
async fn value(connection: &Connection, sql: &str) -> Value {
    let mut result = run(connection, sql).await.unwrap();
    assert_eq!(result.rows.len(), 1, "{sql}");
    result.rows.remove(0).values.remove(0)
}

async fn words(connection: &Connection, sql: &str) -> String {
    match run(connection, sql).await {
        Err(Error::Io(words)) => words,
        other => panic!("{sql}: {other:?}"),
    }
}

/// Rows without an end, by a machine that stays small.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

#[tokio::test]
async fn every_type_comes_back_as_it_went() {
    let component = Component::new();
    let connection = component.open();
    let values = vec![
        Value::Integer(i64::MIN),
        Value::Real(0.1),
        Value::Text("é\0x".to_owned()),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    let sql = "SELECT ?1 AS a, ?2, ?3, ?4, ?5".to_owned();
    let result = connection.execute(sql, values.clone()).await.unwrap();
    assert_eq!(result.columns[0], "a");
    assert_eq!(result.rows[0].values, values);
    let missing = connection.execute("SELECT ?1".to_owned(), Vec::new()).await;
    assert!(matches!(missing, Err(Error::Io(_))), "{missing:?}");
}

#[tokio::test]
async fn a_transaction_belongs_to_its_connection_and_ends_with_it() {
    let component = Component::new();
    let (one, two) = (component.open(), component.open());
    run(&one, "CREATE TABLE t (n INTEGER)").await.unwrap();
    run(&one, "BEGIN").await.unwrap();
    run(&one, "INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(value(&one, "SELECT count(*) FROM t").await, Value::Integer(1));
    assert_eq!(value(&two, "SELECT count(*) FROM t").await, Value::Integer(0));
    drop(one);
    // The other waits for the write lock until the first one's transaction is rolled back.
    run(&two, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(value(&two, "SELECT n FROM t").await, Value::Integer(2));
    assert_eq!((two.last_insert_rowid(), two.changes()), (1, 1));
    let three = component.open();
    run(&three, "SELECT 1").await.unwrap();
    assert_eq!((three.last_insert_rowid(), three.changes()), (0, 0));
}

#[tokio::test]
async fn nothing_sticks_to_a_connection_that_another_gets() {
    let component = Component::new();
    let one = component.open();
    run(&one, "CREATE TABLE t (n INTEGER)").await.unwrap();
    run(&one, "CREATE TEMP TABLE u (n INTEGER)").await.unwrap();
    run(&one, "CREATE TEMP VIEW t AS SELECT 42").await.unwrap();
    run(&one, "PRAGMA foreign_keys = off").await.unwrap();
    assert_eq!(value(&one, "PRAGMA foreign_keys").await, Value::Integer(0));
    drop(one);
    let two = component.open();
    assert_eq!(value(&two, "PRAGMA foreign_keys").await, Value::Integer(1));
    assert_eq!(value(&two, "SELECT count(*) FROM t").await, Value::Integer(0));
    assert!(words(&two, "SELECT * FROM u").await.contains("no such table"));
}

#[tokio::test]
async fn what_reaches_beyond_the_database_is_refused() {
    let component = Component::new();
    let connection = component.open();
    run(&connection, "CREATE TABLE t (n INTEGER)").await.unwrap();
    let file = component.folder.path().join("out.db");
    let file = file.display();
    for sql in [
        format!("ATTACH '{file}' AS other"),
        "ATTACH ':memory:' AS other".to_owned(),
        "DETACH main".to_owned(),
        "VACUUM".to_owned(),
        format!("VACUUM INTO '{file}'"),
        "SELECT load_extension('/lib/evil.so')".to_owned(),
        "SELECT fts3_tokenizer('simple')".to_owned(),
        "CREATE VIRTUAL TABLE v USING fts3(x)".to_owned(),
        "PRAGMA temp_store_directory = '/etc'".to_owned(),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "PRAGMA cache_size = 1000000".to_owned(),
        "PRAGMA mmap_size = 1000000000".to_owned(),
        "PRAGMA max_page_count = 4000000000".to_owned(),
        "PRAGMA writable_schema = ON".to_owned(),
        "PRAGMA trusted_schema = ON".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        "PRAGMA database_list".to_owned(),
        "SELECT * FROM pragma_database_list".to_owned(),
    ] {
        assert!(words(&connection, &sql).await.starts_with("not allowed: "), "{sql}");
    }
    for sql in [
        "UPDATE sqlite_master SET sql = 'x'",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'x')",
        "SELECT edit('x')",
        "SELECT 1; SELECT 2",
        "",
    ] {
        words(&connection, sql).await;
    }
    assert!(!std::fs::exists(component.folder.path().join("out.db")).unwrap());
    // A trigger or view does no more than its statements could.
    run(&connection, "CREATE VIEW w AS SELECT load_extension('x')").await.unwrap();
    let said = words(&connection, "SELECT * FROM w").await;
    assert!(said.contains("load_extension"), "{said}");
    // What apps set before anything else is no error.
    for sql in ["PRAGMA journal_mode = WAL", "PRAGMA busy_timeout = 5000", "PRAGMA synchronous = 0"]
    {
        run(&connection, sql).await.unwrap();
    }
    assert_eq!(value(&connection, "PRAGMA synchronous").await, Value::Integer(1));
    assert_eq!(value(&connection, "PRAGMA journal_mode").await, Value::Text("wal".to_owned()));
}

#[tokio::test]
async fn full_text_search_and_json_are_there() {
    let component = Component::new();
    let connection = component.open();
    run(&connection, "CREATE VIRTUAL TABLE f USING fts5(body)").await.unwrap();
    run(&connection, "INSERT INTO f VALUES ('a quick fox'), ('a slow dog')").await.unwrap();
    let found = value(&connection, "SELECT rowid FROM f WHERE f MATCH 'quick'").await;
    assert_eq!(found, Value::Integer(1));
    let found = value(&connection, "SELECT json_extract('{\"a\":[1,2]}', '$.a[1]')").await;
    assert_eq!(found, Value::Integer(2));
    run(&connection, "CREATE TABLE t (n)").await.unwrap();
    run(&connection, "ALTER TABLE t ADD COLUMN m INTEGER NOT NULL DEFAULT 0").await.unwrap();
    run(&connection, "ALTER TABLE t RENAME COLUMN m TO k").await.unwrap();
    run(&connection, "ANALYZE").await.unwrap();
    run(&connection, "REINDEX").await.unwrap();
}

#[tokio::test]
async fn a_runaway_statement_ends_with_its_time() {
    let component = Component::bounded(|limits| limits.cpu = Duration::from_millis(200));
    let connection = component.open();
    let began = Instant::now();
    let said = words(&connection, &format!("{ENDLESS} SELECT count(*) FROM n")).await;
    assert!(said.contains("200ms") && said.contains("limits.cpu"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(value(&connection, "SELECT 1").await, Value::Integer(1));
}

#[tokio::test]
async fn a_runaway_statement_ends_with_its_guest() {
    let component = Component::new();
    let sql = format!("{ENDLESS} SELECT count(*) FROM n");
    // More than may run at once, so that those before them must have ended.
    for _ in 0..10 * *turns::RUNNING {
        let connection = component.open();
        let endless = run(&connection, &sql);
        assert!(timeout(Duration::from_millis(5), endless).await.is_err());
    }
    assert_eq!(value(&component.open(), "SELECT 1").await, Value::Integer(1));
}

#[tokio::test]
async fn results_statements_and_values_are_bounded() {
    let component = Component::new();
    let connection = component.open();
    let large = format!("{ENDLESS} SELECT randomblob(1000000) FROM n LIMIT 100");
    assert!(words(&connection, &large).await.contains("larger than 32 MiB"));
    let same = vec!["?1"; 1000].join(",");
    let large = vec![Value::Blob(vec![0; 1 << 20])];
    let same = connection.execute(format!("SELECT {same}"), large).await;
    assert!(matches!(same, Err(Error::Io(words)) if words.contains("larger than 32 MiB")));
    let many = format!("{ENDLESS} SELECT NULL FROM n");
    assert!(words(&connection, &many).await.contains("larger than 32 MiB"));
    assert!(words(&connection, "SELECT zeroblob(10000000)").await.contains("too big"));
    let long = format!("SELECT '{}'", "x".repeat(2 << 20));
    assert!(words(&connection, &long).await.contains("too long"));
    let deep = format!("SELECT {}1{}", "(1+".repeat(500), ")".repeat(500));
    words(&connection, &deep).await;
    let wide = vec!["1"; 2000].join(",");
    assert!(words(&connection, &format!("SELECT {wide}")).await.contains("too many columns"));
}

#[tokio::test]
async fn memory_is_bounded() {
    let component = Component::new();
    let connection = component.open();
    let sorted = format!(
        "{ENDLESS} SELECT * FROM (SELECT randomblob(1000000) AS b FROM n LIMIT 2000) \
         ORDER BY b LIMIT 1 OFFSET 1999"
    );
    assert_eq!(words(&connection, &sorted).await, "the statement needs too much memory");
    assert_eq!(value(&connection, "SELECT 1").await, Value::Integer(1));
}

#[tokio::test]
async fn a_database_that_is_full_says_so() {
    let component = Component::bounded(|limits| limits.database_bytes = 1 << 20);
    let connection = component.open();
    run(&connection, "CREATE TABLE t (b BLOB)").await.unwrap();
    let mut full = Ok(());
    for _ in 0..20 {
        full = run(&connection, "INSERT INTO t VALUES (randomblob(100000))").await.map(drop);
        if full.is_err() {
            break;
        }
    }
    assert_eq!(full, Err(Error::DatabaseFull));
    run(&connection, "DELETE FROM t").await.unwrap();
    run(&connection, "INSERT INTO t VALUES (randomblob(100000))").await.unwrap();
}

#[tokio::test]
async fn temporary_tables_are_small() {
    let component = Component::new();
    let connection = component.open();
    run(&connection, "CREATE TEMP TABLE t (b BLOB)").await.unwrap();
    let rows =
        |count| format!("{ENDLESS} INSERT INTO t SELECT randomblob(100000) FROM n LIMIT {count}");
    run(&connection, &rows(50)).await.unwrap();
    assert_eq!(run(&connection, &rows(50)).await, Err(Error::DatabaseFull));
}

#[tokio::test]
async fn the_log_does_not_grow_while_somebody_reads() {
    let component = Component::new();
    let (reader, writer) = (component.open(), component.open());
    run(&writer, "CREATE TABLE t (b BLOB)").await.unwrap();
    run(&writer, "INSERT INTO t VALUES (NULL)").await.unwrap();
    run(&reader, "BEGIN").await.unwrap();
    assert_eq!(value(&reader, "SELECT b FROM t").await, Value::Null);
    let update = "UPDATE t SET b = randomblob(2000000)";
    let mut times = 0;
    while run(&writer, update).await.is_ok() {
        times += 1;
        assert!(times < 200, "the log grows");
    }
    assert_eq!(run(&writer, update).await, Err(Error::DatabaseFull));
    assert_eq!(value(&reader, "SELECT b FROM t").await, Value::Null);
    drop(reader);
    while run(&writer, update).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let log = component.folder.path().join("sqlite/default.db-wal");
    assert!(log.metadata().unwrap().len() < 10 << 20, "it was emptied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_come_one_after_the_other() {
    let component = Component::new();
    run(&component.open(), "CREATE TABLE t (n INTEGER)").await.unwrap();
    run(&component.open(), "INSERT INTO t VALUES (0)").await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|task| {
            let connection = component.open();
            tokio::spawn(async move {
                if task % 4 == 0 {
                    run(&connection, "BEGIN IMMEDIATE").await.unwrap();
                    run(&connection, "UPDATE t SET n = n + 1").await.unwrap();
                    run(&connection, "COMMIT").await.unwrap();
                } else {
                    run(&connection, "UPDATE t SET n = n + 1").await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&component.open(), "SELECT n FROM t").await, Value::Integer(40));
}

#[tokio::test]
async fn who_waits_for_a_writer_in_vain_is_told_so() {
    let component = Component::new();
    let (one, two) = (component.open(), component.open());
    run(&one, "CREATE TABLE t (n INTEGER)").await.unwrap();
    run(&one, "BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    assert_eq!(words(&two, "INSERT INTO t VALUES (1)").await, "database is locked");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(value(&two, "SELECT count(*) FROM t").await, Value::Integer(0));
    run(&one, "COMMIT").await.unwrap();
    run(&two, "INSERT INTO t VALUES (1)").await.unwrap();
}

#[tokio::test]
async fn connections_are_bounded_in_number_and_in_time() {
    let component = Component::new();
    let mut held = Vec::new();
    for _ in 0..64 {
        let connection = component.open();
        run(&connection, "BEGIN").await.unwrap();
        held.push(connection);
    }
    let began = Instant::now();
    assert!(words(&component.open(), "SELECT 1").await.contains("as many connections"));
    assert!(began.elapsed() < Duration::from_secs(10));
    held.pop();
    run(&component.open(), "SELECT 1").await.unwrap();
}

#[tokio::test]
async fn who_only_reads_holds_no_connection() {
    let component = Component::new();
    let connections: Vec<_> = (0..200).map(|_| component.open()).collect();
    for connection in &connections {
        assert_eq!(value(connection, "SELECT 1").await, Value::Integer(1));
    }
}

#[test]
fn an_instance_has_so_many_connections() {
    let mut places = Places::default();
    let held: Vec<_> = (0..3).map_while(|_| places.place(2)).collect();
    assert_eq!(held.len(), 2);
    drop(held);
    assert!(places.place(2).is_some());
}

#[tokio::test]
async fn a_statement_ends_with_its_streams_reader() {
    let component = Component::new();
    for _ in 0..3 * turns::STREAMS {
        let connection = component.open();
        let sql = format!("{ENDLESS} SELECT i FROM n");
        let streamed = connection.stream(sql, Vec::new()).await.unwrap();
        assert_eq!(streamed.columns, ["i"]);
        drop(streamed.reader);
    }
    assert_eq!(value(&component.open(), "SELECT 1").await, Value::Integer(1));
}

#[tokio::test]
async fn statements_whose_readers_wait_keep_nobody_from_running() {
    let component = Component::new();
    let mut streamed = Vec::new();
    for _ in 0..turns::STREAMS {
        let sql = format!("{ENDLESS} SELECT randomblob(1000) FROM n");
        streamed.push(component.open().stream(sql, Vec::new()).await.unwrap());
    }
    let connection = component.open();
    let one = timeout(Duration::from_secs(5), run(&connection, "SELECT 1"));
    assert_eq!(one.await.unwrap().unwrap().rows.len(), 1);
    let another = connection.stream("SELECT 1".to_owned(), Vec::new());
    assert!(timeout(Duration::from_millis(200), another).await.is_err(), "one too many");
    streamed.pop();
    assert!(connection.stream("SELECT 1".to_owned(), Vec::new()).await.is_ok());
}

#[tokio::test]
async fn what_writes_is_done_whether_or_not_its_rows_are_read() {
    let component = Component::new();
    let connection = component.open();
    run(&connection, "CREATE TABLE t (n INTEGER)").await.unwrap();
    let sql = "INSERT INTO t VALUES (1), (2), (3) RETURNING n".to_owned();
    drop(connection.stream(sql, Vec::new()).await.unwrap());
    assert_eq!(value(&component.open(), "SELECT count(*) FROM t").await, Value::Integer(3));
    assert_eq!((connection.last_insert_rowid(), connection.changes()), (3, 3));
}

#[tokio::test]
async fn a_connection_whose_rows_are_being_read_runs_other_statements() {
    let component = Component::new();
    let connection = component.open();
    run(&connection, "CREATE TABLE t (n INTEGER)").await.unwrap();
    // More than the buffer holds.
    let sql = format!("{ENDLESS} SELECT randomblob(1000) FROM n LIMIT 5000");
    let streamed = connection.stream(sql, Vec::new()).await.unwrap();
    run(&connection, "INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(streamed.ended.await.unwrap(), Ok(()));
}
