//! Queues that Dayfly keeps: what sends, and the least that consumes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use dayfly_capabilities::queue::{Content, New, Store, Table};
use rusqlite::Connection;

/// A client of the queues of a state folder.
pub(super) struct Client {
    store: Store,
    file: PathBuf,
}

impl Client {
    pub(super) fn new(state: &Path) -> Self {
        Self { store: Store::new(state), file: state.join("queues.db") }
    }

    pub(super) async fn send(&self, to: &str, (text, count): (&str, u64)) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let now = left.min(1000);
            let content = Content { data: text.to_owned().into(), ..Content::default() };
            let queue = to.to_owned();
            let message = New { queue, delay: Duration::ZERO, priority: 0, content };
            self.store.put(vec![message; usize::try_from(now)?]).await?;
            left -= now;
        }
        Ok(())
    }

    /// Takes one message after the other, as a consumer without threads would.
    pub(super) async fn natively(&self, name: &str, events: u64) -> Result<()> {
        self.send(name, (super::TEXT, events)).await?;
        drop(Table::open(&self.file)?);
        let connection = Connection::open(&self.file)?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let mut take = connection.prepare(
            "SELECT id, data FROM messages WHERE queue = ?1 AND state = 1 ORDER BY priority DESC, id LIMIT 1",
        )?;
        let mut done = connection.prepare("DELETE FROM messages WHERE id = ?1")?;
        loop {
            let next = take.query_row([name], |row| row.get::<_, i64>(0));
            match next {
                Ok(id) => drop(done.execute([id])?),
                Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
