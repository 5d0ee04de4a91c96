//! Operations a second of capabilities, called by a guest in one request, beside the native library
//! or client that does the same in this process, alternating in one run.

mod native;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::peer::Peer;
use crate::stats::median;
use native::Native;

const ROUNDS: usize = 3;

/// How many requests a guest makes until its bound, which ends its count.
const REQUESTS: u32 = 20_000;

/// One operation, done many times by a guest and natively.
struct Operation {
    name: &'static str,
    /// The guest's path, which does it `TIMES` times; `KEY` is another one in each request, and
    /// `REDIS` and `HTTP` are servers' addresses.
    path: &'static str,
    /// What is sent there, with the same words and `POSTGRES`.
    body: &'static str,
    times: u32,
    /// How many requests do so at once.
    clients: u32,
    native_name: &'static str,
    /// Does it so many times.
    native: fn(&Native, u32) -> Result<()>,
}

const OPERATIONS: [Operation; 11] = [
    Operation {
        name: "key-value get, 100 bytes",
        path: "/kv/get-often?key=a&times=TIMES",
        body: TEXT,
        times: 50_000,
        clients: 1,
        native_name: "rusqlite",
        native: Native::key_value_get,
    },
    Operation {
        name: "key-value set, 100 bytes",
        path: "/kv/set-often?key=b-KEY&times=TIMES",
        body: TEXT,
        times: 2_000,
        clients: 1,
        native_name: "rusqlite",
        native: Native::key_value_set,
    },
    Operation {
        name: "key-value set, 16 requests at once",
        path: "/kv/set-often?key=c-KEY&times=TIMES",
        body: TEXT,
        times: 500,
        clients: 16,
        native_name: "rusqlite, one thread",
        native: Native::key_value_set,
    },
    Operation {
        name: "SQL insert, 100 bytes",
        path: "/sqlite/default?times=TIMES",
        body: "INSERT INTO t (text) VALUES (?)\tt TEXT",
        times: 5_000,
        clients: 1,
        native_name: "rusqlite",
        native: Native::sql_insert,
    },
    Operation {
        name: "SQL insert, 16 requests at once",
        path: "/sqlite/default?times=TIMES",
        body: "INSERT INTO t (text) VALUES (?)\tt TEXT",
        times: 500,
        clients: 16,
        native_name: "rusqlite, one thread",
        native: Native::sql_insert,
    },
    Operation {
        name: "SQL select of one row by its key",
        path: "/sqlite/default?times=TIMES",
        body: "SELECT id, text FROM t WHERE id = ?\ti 77",
        times: 20_000,
        clients: 1,
        native_name: "rusqlite",
        native: Native::sql_select,
    },
    Operation {
        name: "Redis get, 100 bytes",
        path: "/redis/get?address=REDIS&key=a&times=TIMES",
        body: "",
        times: 20_000,
        clients: 1,
        native_name: "redis",
        native: Native::redis_get,
    },
    Operation {
        name: "Redis set, 100 bytes, each on the disk",
        path: "/redis/set?address=REDIS&key=b&bytes=100&times=TIMES",
        body: "",
        times: 2_000,
        clients: 1,
        native_name: "redis",
        native: Native::redis_set,
    },
    Operation {
        name: "PostgreSQL insert, 100 bytes",
        path: "/db/postgres3",
        body: "open POSTGRES\nparam str TEXT\noften TIMES INSERT INTO t (text) VALUES ($1)",
        times: 2_000,
        clients: 1,
        native_name: "tokio-postgres, prepared",
        native: Native::postgres_insert,
    },
    Operation {
        name: "PostgreSQL select of one row by its key",
        path: "/db/postgres3",
        body: "open POSTGRES\nparam int32 7\noften TIMES SELECT id, text FROM t WHERE id = $1",
        times: 5_000,
        clients: 1,
        native_name: "tokio-postgres, prepared",
        native: Native::postgres_select,
    },
    Operation {
        name: "outbound HTTP request",
        path: "/times?url=HTTP",
        body: "",
        times: REQUESTS,
        clients: 1,
        native_name: "hyper, one connection",
        native: Native::http_get,
    },
];

/// 100 bytes.
const TEXT: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\
    vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

/// In SQLite's words and in PostgreSQL's.
const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)";
const POSTGRES_TABLE: &str = "CREATE TABLE t (id SERIAL PRIMARY KEY, text TEXT)";

const MANIFEST: &str = r#"
dayfly = 1
[application]
name = "capabilities"
[[trigger.http]]
route = "/..."
component = "guest"
[[trigger.http]]
route = "/times"
component = "caller"
[component.guest]
source = "GUESTS/rust-spin-3.wasm"
key_value_stores = ["default"]
sqlite_databases = ["default"]
allowed_outbound_hosts = ["redis://127.0.0.1:*", "postgres://127.0.0.1:*"]
limits = { cpu = "60s", time = "60s" }
[component.caller]
source = "GUESTS/rust-spin-1.wasm"
allowed_outbound_hosts = ["http://127.0.0.1:*"]
limits = { cpu = "60s", time = "60s", outbound = REQUESTS }
"#;

/// Measures each operation and writes `capabilities.md`.
pub(crate) fn run(root: &Path, folder: &Path, _: u64) -> Result<()> {
    let place = root.join("target/bench/capabilities");
    // What an earlier run stored would be found again.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place)?;
    let manifest = place.join("dayfly.toml");
    let guests = root.join("target/guests").display().to_string();
    let text = MANIFEST.replace("GUESTS", &guests).replace("REQUESTS", &REQUESTS.to_string());
    std::fs::write(&manifest, text)?;
    let peer = Peer::dayfly(root, "dayfly", &manifest.display().to_string(), " --engine aot")?;
    let server = peer.start()?;
    let hello = Peer::native()?.start()?;
    let native = Native::new(&place.join("native"), hello.port)?;
    post(server.port, "/kv/set?key=a", TEXT)?;
    post(server.port, "/sqlite/default", TABLE)?;

    let mut text = format!(
        "# Capabilities\n\nOperations a second, called by a guest in one request, beside the native \
         library or client in the same run; the median of {ROUNDS} alternating rounds.\n\n\
         | operation | Dayfly | native | of native | |\n| --- | --- | --- | --- | --- |\n"
    );
    for operation in &OPERATIONS {
        let (mut own, mut natively) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Natively first: rows that are selected have to be there.
            let began = Instant::now();
            (operation.native)(&native, operation.times)?;
            natively.push(f64::from(operation.times) / began.elapsed().as_secs_f64());
            own.push(operation.by_guest(server.port, round, &native)?);
        }
        let (own, natively) = (median(own), median(natively));
        let Operation { name, native_name, .. } = operation;
        let part = own / natively;
        writeln!(text, "| {name} | {own:.0} | {natively:.0} | {part:.2} | {native_name} |")?;
        eprintln!("{name}: {own:.0} beside {natively:.0}");
    }
    server.stop()?;
    drop(hello);
    std::fs::write(folder.join("capabilities.md"), &text)?;
    print!("{text}");
    Ok(())
}

impl Operation {
    /// Operations a second.
    fn by_guest(&self, port: u16, round: usize, native: &Native) -> Result<f64> {
        let fill = |text: &str, client: u32| {
            text.replace("TIMES", &self.times.to_string())
                .replace("KEY", &format!("{round}-{client}"))
                .replace("REDIS", &native.redis.url())
                .replace("POSTGRES", &native.postgres.url())
                .replace("HTTP", &format!("http://127.0.0.1:{}/", native.http))
                .replace("TEXT", TEXT)
        };
        let began = Instant::now();
        let clients = (0..self.clients).map(|client| {
            let (path, body) = (fill(self.path, client), fill(self.body, client));
            thread::spawn(move || post(port, &path, &body))
        });
        for client in clients.collect::<Vec<_>>() {
            let answer = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            // The HTTP requests end with the one that is too many.
            let is_right = match self.path.contains("HTTP") {
                true => answer.contains(&format!("\n{REQUESTS} ")) && answer.contains("too-many"),
                false => !answer.contains("Error"),
            };
            ensure!(is_right, "{}: {answer}", self.name);
        }
        let took: Duration = began.elapsed();
        Ok(f64::from(self.times * self.clients) / took.as_secs_f64())
    }
}

/// The answer to a request, which must succeed.
fn post(port: u16, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(answer)
}
