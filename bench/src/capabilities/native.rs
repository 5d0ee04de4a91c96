//! The same operations by the native libraries and clients, in this process.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context as _, Result, ensure};
use dayfly_testing::{Postgres, Redis};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use super::{POSTGRES_TABLE, TABLE, TEXT};

/// What the operations need: a folder, and servers that Dayfly's guests ask as well.
pub(super) struct Native {
    folder: PathBuf,
    runtime: Runtime,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    /// The port of an HTTP server that does nothing but answer.
    pub(super) http: u16,
}

impl Native {
    pub(super) fn new(folder: &Path, http: u16) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (redis, postgres) =
            runtime.block_on(async { (Redis::start().await, Postgres::start().await) });
        let native = Self { folder: folder.to_owned(), runtime, redis, postgres, http };
        native.database()?.execute_batch(TABLE)?;
        native.by_postgres(async |client| Ok(client.batch_execute(POSTGRES_TABLE).await?))?;
        Ok(native)
    }

    /// The store as Dayfly keeps it.
    fn store(&self) -> Result<Connection> {
        let connection = Connection::open(self.folder.join("key-value.db"))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (\
                 store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, \
                 PRIMARY KEY (store, key))",
        )?;
        Ok(connection)
    }

    pub(super) fn key_value_set(&self, times: u32) -> Result<()> {
        // Keys that are new in each round: SQLite writes nothing where a value is what it was.
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let round = ROUND.fetch_add(1, Relaxed);
        let connection = self.store()?;
        let mut statement = connection.prepare(
            "INSERT INTO spin_key_value (store, key, value) VALUES ('default', ?1, ?2) \
             ON CONFLICT (store, key) DO UPDATE SET value = ?2",
        )?;
        for number in 0..times {
            statement.execute(rusqlite::params![format!("b-{round}-{number}"), TEXT.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn key_value_get(&self, times: u32) -> Result<()> {
        let connection = self.store()?;
        connection.execute(
            "INSERT OR REPLACE INTO spin_key_value (store, key, value) \
             VALUES ('default', 'a', ?1)",
            [TEXT.as_bytes()],
        )?;
        let mut statement = connection
            .prepare("SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1")?;
        for _ in 0..times {
            let value: Vec<u8> = statement.query_row(["a"], |row| row.get(0))?;
            ensure!(value == TEXT.as_bytes());
        }
        Ok(())
    }

    /// The database as Dayfly keeps it.
    fn database(&self) -> Result<Connection> {
        let connection = Connection::open(self.folder.join("sql.db"))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(connection)
    }

    pub(super) fn sql_insert(&self, times: u32) -> Result<()> {
        let connection = self.database()?;
        let mut statement = connection.prepare("INSERT INTO t (text) VALUES (?)")?;
        for _ in 0..times {
            statement.execute([TEXT])?;
        }
        Ok(())
    }

    pub(super) fn sql_select(&self, times: u32) -> Result<()> {
        let connection = self.database()?;
        let mut statement = connection.prepare("SELECT id, text FROM t WHERE id = ?")?;
        for _ in 0..times {
            let (id, text): (i64, String) =
                statement.query_row([77], |row| Ok((row.get(0)?, row.get(1)?)))?;
            ensure!(id == 77 && text == TEXT);
        }
        Ok(())
    }

    pub(super) fn redis_get(&self, times: u32) -> Result<()> {
        self.runtime.block_on(async {
            let client = redis::Client::open(self.redis.url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut set = redis::cmd("SET");
            set.arg("a").arg(TEXT).exec_async(&mut connection).await?;
            for _ in 0..times {
                let value: Vec<u8> =
                    redis::cmd("GET").arg("a").query_async(&mut connection).await?;
                ensure!(value == TEXT.as_bytes());
            }
            Ok(())
        })
    }

    pub(super) fn redis_set(&self, times: u32) -> Result<()> {
        self.runtime.block_on(async {
            let client = redis::Client::open(self.redis.url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            for _ in 0..times {
                let mut set = redis::cmd("SET");
                set.arg("b").arg(TEXT.as_bytes()).exec_async(&mut connection).await?;
            }
            Ok(())
        })
    }

    pub(super) fn postgres_insert(&self, times: u32) -> Result<()> {
        self.by_postgres(async |client| {
            let statement = client.prepare("INSERT INTO t (text) VALUES ($1)").await?;
            for _ in 0..times {
                client.execute(&statement, &[&TEXT]).await?;
            }
            Ok(())
        })
    }

    pub(super) fn postgres_select(&self, times: u32) -> Result<()> {
        self.by_postgres(async |client| {
            let statement = client.prepare("SELECT id, text FROM t WHERE id = $1").await?;
            for _ in 0..times {
                let row = client.query_one(&statement, &[&7_i32]).await?;
                ensure!(row.get::<_, i32>(0) == 7 && row.get::<_, &str>(1) == TEXT);
            }
            Ok(())
        })
    }

    fn by_postgres<F: Future<Output = Result<()>>>(
        &self,
        work: impl FnOnce(tokio_postgres::Client) -> F,
    ) -> Result<()> {
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.postgres.url(), NoTls).await?;
            let connection = tokio::spawn(connection);
            work(client).await?;
            // It ends because its client is gone.
            Ok(connection.await??)
        })
    }

    pub(super) fn http_get(&self, times: u32) -> Result<()> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", self.http)).await?;
            stream.set_nodelay(true)?;
            let io = TokioIo::new(stream);
            let (mut client, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection);
            for _ in 0..times {
                let request = Request::get("/").header("host", "localhost");
                let request = request.body(Empty::<Bytes>::new())?;
                let body = client.send_request(request).await?.into_body().collect().await?;
                ensure!(body.to_bytes() == "hello world");
            }
            drop(client);
            connection.await?.context("the connection failed")
        })
    }
}
