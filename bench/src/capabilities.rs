//! Operations a second of capabilities, called by a guest in one request, beside the native library
//! or client that does the same in this process, alternating in one run.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::peer::Peer;

const ROUNDS: usize = 3;

/// One operation, done many times by a guest and natively.
struct Operation {
    name: &'static str,
    /// The guest's path, which does it `times` times.
    path: &'static str,
    /// What is sent there.
    body: &'static [u8],
    times: u32,
    /// How many requests do so at once.
    clients: u32,
    native_name: &'static str,
    /// Does it so many times.
    native: fn(&Path, u32) -> Result<()>,
}

const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "key-value get, 100 bytes",
        path: "/kv/get-often?key=a",
        body: VALUE,
        times: 50_000,
        clients: 1,
        native_name: "rusqlite",
        native: key_value_get,
    },
    Operation {
        name: "key-value set, 100 bytes",
        path: "/kv/set-often?key=b",
        body: VALUE,
        times: 2_000,
        clients: 1,
        native_name: "rusqlite",
        native: key_value_set,
    },
    Operation {
        name: "key-value set, 16 requests at once",
        path: "/kv/set-often?key=c",
        body: VALUE,
        times: 500,
        clients: 16,
        native_name: "rusqlite, one thread",
        native: key_value_set,
    },
    Operation {
        name: "SQL insert, 100 bytes",
        path: "/sqlite/default?key=a",
        body: INSERT.as_bytes(),
        times: 5_000,
        clients: 1,
        native_name: "rusqlite",
        native: sql_insert,
    },
    Operation {
        name: "SQL insert, 16 requests at once",
        path: "/sqlite/default?key=b",
        body: INSERT.as_bytes(),
        times: 500,
        clients: 16,
        native_name: "rusqlite, one thread",
        native: sql_insert,
    },
    Operation {
        name: "SQL select of one row by its key",
        path: "/sqlite/default?key=c",
        body: SELECT.as_bytes(),
        times: 20_000,
        clients: 1,
        native_name: "rusqlite",
        native: sql_select,
    },
];

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)";
const INSERT: &str = "INSERT INTO t (text) VALUES (?)\tt vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\
    vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
const SELECT: &str = "SELECT id, text FROM t WHERE id = ?\ti 77";

const MANIFEST: &str = "dayfly = 1\n[application]\nname = \"capabilities\"\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
    [component.guest]\nsource = \"GUEST\"\nkey_value_stores = [\"default\"]\n\
    sqlite_databases = [\"default\"]\n\
    limits = { cpu = \"60s\", time = \"60s\" }\n";

/// Measures each operation and writes `capabilities.md`.
pub(crate) fn run(root: &Path, folder: &Path, _: u64) -> Result<()> {
    let place = root.join("target/bench/capabilities");
    // What an earlier run stored would be found again.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(place.join("native"))?;
    let guest = root.join("target/guests/rust-spin-3.wasm");
    let manifest = place.join("dayfly.toml");
    std::fs::write(&manifest, MANIFEST.replace("GUEST", &guest.display().to_string()))?;
    let peer = Peer::dayfly(root, "dayfly", &manifest.display().to_string(), " --engine aot")?;
    let server = peer.start()?;
    post(server.port, "/kv/set?key=a", VALUE)?;
    post(server.port, "/sqlite/default", TABLE.as_bytes())?;
    sql(&place.join("native"))?.execute_batch(TABLE)?;

    let mut text = format!(
        "# Capabilities\n\nOperations a second, called by a guest in one request, beside the native \
         library in the same run; the median of {ROUNDS} alternating rounds.\n\n\
         | operation | Dayfly | native | of native | |\n| --- | --- | --- | --- | --- |\n"
    );
    for operation in &OPERATIONS {
        let (mut own, mut native) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            own.push(operation.by_guest(server.port, round)?);
            let began = Instant::now();
            (operation.native)(&place.join("native"), operation.times)?;
            native.push(f64::from(operation.times) / began.elapsed().as_secs_f64());
        }
        let (own, native) = (median(&mut own), median(&mut native));
        let Operation { name, native_name, .. } = operation;
        writeln!(
            text,
            "| {name} | {own:.0} | {native:.0} | {:.2} | {native_name} |",
            own / native
        )?;
        eprintln!("{name}: {own:.0} beside {native:.0}");
    }
    server.stop()?;
    std::fs::write(folder.join("capabilities.md"), &text)?;
    print!("{text}");
    Ok(())
}

impl Operation {
    /// Operations a second.
    fn by_guest(&self, port: u16, round: usize) -> Result<f64> {
        let began = Instant::now();
        let clients = (0..self.clients).map(|client| {
            let path = format!("{}-{round}-{client}&times={}", self.path, self.times);
            // All read one value; each writes values of its own.
            let path = if self.path.contains("get") {
                format!("{}&times={}", self.path, self.times)
            } else {
                path
            };
            let body = self.body;
            thread::spawn(move || post(port, &path, body))
        });
        for client in clients.collect::<Vec<_>>() {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        let took: Duration = began.elapsed();
        Ok(f64::from(self.times * self.clients) / took.as_secs_f64())
    }
}

const VALUE: &[u8] = &[b'v'; 100];

/// The answer to a request, which must succeed.
fn post(port: u16, path: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(answer)
}

/// The store as Dayfly keeps it.
fn key_value(folder: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(folder.join("key-value.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS spin_key_value (\
             store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, \
             PRIMARY KEY (store, key))",
    )?;
    Ok(connection)
}

fn key_value_set(folder: &Path, times: u32) -> Result<()> {
    // Keys that are new in each round: SQLite writes nothing where a value is what it was.
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let round = ROUND.fetch_add(1, Relaxed);
    let connection = key_value(folder)?;
    let mut statement = connection.prepare(
        "INSERT INTO spin_key_value (store, key, value) VALUES ('default', ?1, ?2) \
         ON CONFLICT (store, key) DO UPDATE SET value = ?2",
    )?;
    for number in 0..times {
        statement.execute(rusqlite::params![format!("b-{round}-{number}"), VALUE])?;
    }
    Ok(())
}

fn key_value_get(folder: &Path, times: u32) -> Result<()> {
    let connection = key_value(folder)?;
    connection.execute(
        "INSERT OR REPLACE INTO spin_key_value (store, key, value) VALUES ('default', 'a', ?1)",
        [VALUE],
    )?;
    let mut statement = connection
        .prepare("SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1")?;
    for _ in 0..times {
        let value: Vec<u8> = statement.query_row(["a"], |row| row.get(0))?;
        ensure!(value == VALUE);
    }
    Ok(())
}

/// The database as Dayfly keeps it.
fn sql(folder: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(folder.join("sql.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    Ok(connection)
}

fn sql_insert(folder: &Path, times: u32) -> Result<()> {
    let connection = sql(folder)?;
    let mut statement = connection.prepare("INSERT INTO t (text) VALUES (?)")?;
    let text = "v".repeat(100);
    for _ in 0..times {
        statement.execute([&text])?;
    }
    Ok(())
}

fn sql_select(folder: &Path, times: u32) -> Result<()> {
    let connection = sql(folder)?;
    let mut statement = connection.prepare("SELECT id, text FROM t WHERE id = ?")?;
    for _ in 0..times {
        let (id, text): (i64, String) =
            statement.query_row([77], |row| Ok((row.get(0)?, row.get(1)?)))?;
        ensure!(id == 77 && text.len() == 100);
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
