//! What apps used: a time series in a database of its own (`usage.sqlite`), which the node alone writes
//! and others read. It is bounded by age (minutes are kept for a day, hours for ninety, days for two
//! years) and in the number of series that one minute, hour or day has; the rest of a tenant's is summed
//! up. What a removed app used stays until it is too old.

mod cover;
mod read;
mod row;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dayfly_model::platform::Usage;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::schema::{reserve, write_ahead};
use crate::{BUSY, Result, StoreError, narrow};

pub use read::{UsageBy, UsageGroup, UsageQuery, Used};

/// The database's name in the platform's folder.
pub const USAGE_DATABASE: &str = "usage.sqlite";

/// The version of its form.
const VERSION: u32 = 1;

const FORM: &str = include_str!("usage/form.sql");

/// How many series of one tenant a minute, an hour or a day has at most.
pub const SERIES_OF_TENANT: u64 = 512;

/// The same of all tenants together; beyond it each has one more, with all that is its own.
pub const SERIES: u64 = 5000;

/// What usage is added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageStep {
    /// By minutes.
    Minute,
    /// By hours.
    Hour,
    /// By days.
    Day,
}

/// Whose usage it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageKey {
    /// The tenant's number, which no other tenant ever has.
    pub tenant: u64,
    /// The app; empty for what is beyond the bound.
    pub app: String,
    /// The release, by its digest.
    pub release: String,
    /// The component; empty for requests that none got.
    pub component: String,
}

/// What is written. There is one in each folder at a time: the node's.
pub struct UsageBook {
    path: PathBuf,
    connection: Connection,
    /// How many rows the latest bucket of each step has.
    latest: BTreeMap<UsageStep, Latest>,
}

#[derive(Debug, Clone, Copy)]
struct Latest {
    at: i64,
    rows: u64,
}

impl UsageStep {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long a bucket is.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    /// How long a bucket is kept.
    #[must_use]
    pub const fn kept_seconds(self) -> i64 {
        match self {
            // A whole day is there by minutes at any time.
            Self::Minute => 26 * 3600,
            Self::Hour => 90 * 86_400,
            Self::Day => 731 * 86_400,
        }
    }

    /// When the bucket begins that a time is in.
    #[must_use]
    pub const fn floor(self, seconds: i64) -> i64 {
        seconds - seconds.rem_euclid(self.seconds())
    }

    /// When the first bucket begins that begins no earlier.
    #[must_use]
    pub const fn ceil(self, seconds: i64) -> i64 {
        self.floor(seconds.saturating_add(self.seconds() - 1))
    }
}

impl UsageBook {
    /// Opens the usage of the platform in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be opened, or is of a newer version.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(USAGE_DATABASE);
        for end in ["", "-wal", "-shm"] {
            narrow(&folder.join(format!("{USAGE_DATABASE}{end}")))?;
        }
        reserve(&path)?;
        let mut connection = Connection::open(&path)?;
        connection.busy_timeout(BUSY)?;
        write_ahead(&connection)?;
        // What is written survives the process; a power cut may take the last seconds.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        form(&mut connection, &path)?;
        Ok(Self { path, connection, latest: BTreeMap::new() })
    }

    /// The database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds what was used, all of it or nothing, at a time in seconds since 1970.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add(&mut self, used: &BTreeMap<UsageKey, Usage>, now: i64) -> Result<()> {
        let mut latest = self.latest.clone();
        let db = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in UsageStep::ALL {
            let at = step.floor(now);
            let known = latest.get(&step).filter(|known| known.at == at);
            let mut rows = match known {
                Some(known) => known.rows,
                None => rows_at(&db, step, at)?,
            };
            for (key, usage) in used {
                rows += u64::from(add(&db, (step, at), key, usage, rows)?);
            }
            latest.insert(step, Latest { at, rows });
        }
        db.commit()?;
        self.latest = latest;
        Ok(())
    }

    /// Removes what is older than it is kept.
    ///
    /// # Errors
    /// If the database fails.
    pub fn prune(&mut self, now: i64) -> Result<()> {
        let db = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for tenant in tenants(&db)? {
            for step in UsageStep::ALL {
                let oldest = now - step.kept_seconds();
                db.execute(
                    "DELETE FROM usage WHERE tenant = ?1 AND step = ?2 AND at < ?3",
                    params![tenant, step.seconds(), oldest],
                )?;
            }
        }
        let oldest = now - UsageStep::Day.kept_seconds();
        db.execute("DELETE FROM series WHERE seen < ?1", [oldest])?;
        Ok(db.commit()?)
    }
}

/// Gives a new database its form.
fn form(connection: &mut Connection, path: &Path) -> Result<()> {
    let db = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => db.execute_batch(FORM)?,
        VERSION => return Ok(()),
        _ => return Err(StoreError::Newer { path: path.to_owned(), version, known: VERSION }),
    }
    db.pragma_update(None, "user_version", VERSION)?;
    Ok(db.commit()?)
}

/// The tenants of which there is usage.
fn tenants(db: &Connection) -> Result<Vec<i64>> {
    let mut all = db.prepare_cached("SELECT DISTINCT tenant FROM series")?;
    let rows = all.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many rows a bucket has.
fn rows_at(db: &Connection, step: UsageStep, at: i64) -> Result<u64> {
    tenants(db)?.into_iter().try_fold(0, |sum, tenant| Ok(sum + rows_of(db, tenant, step, at)?))
}

fn rows_of(db: &Connection, tenant: i64, step: UsageStep, at: i64) -> Result<u64> {
    let mut count = db
        .prepare_cached("SELECT count(*) FROM usage WHERE tenant = ?1 AND step = ?2 AND at = ?3")?;
    Ok(count.query_row(params![tenant, step.seconds(), at], |row| row.get(0))?)
}

/// Adds to a series' bucket, or to that of the tenant's others where there are too many; whether there
/// is a row more.
fn add(
    db: &Transaction<'_>,
    (step, at): (UsageStep, i64),
    key: &UsageKey,
    usage: &Usage,
    rows: u64,
) -> Result<bool> {
    let tenant = i64::try_from(key.tenant).map_err(StoreError::record)?;
    let own = find(db, tenant, key)?;
    let place = |series| (tenant, step.seconds(), at, series);
    let former = own.map(|own| row::get(db, place(own))).transpose()?.flatten();
    let (series, former) = match (own, former) {
        (Some(own), Some(former)) => (own, Some(former)),
        (own, _) if rows < SERIES && rows_of(db, tenant, step, at)? < SERIES_OF_TENANT => {
            (own.map_or_else(|| make(db, tenant, key), Ok)?, None)
        }
        _ => {
            let others = UsageKey {
                tenant: key.tenant,
                app: String::new(),
                release: String::new(),
                component: String::new(),
            };
            let series = find(db, tenant, &others)?;
            let series = series.map_or_else(|| make(db, tenant, &others), Ok)?;
            (series, row::get(db, place(series))?)
        }
    };
    let is_new = former.is_none();
    let mut sum = former.unwrap_or_default();
    sum.add(usage);
    row::put(db, place(series), &sum)?;
    if is_new {
        db.prepare_cached("UPDATE series SET seen = max(seen, ?2) WHERE id = ?1")?
            .execute(params![series, at])?;
    }
    Ok(is_new)
}

fn find(db: &Transaction<'_>, tenant: i64, key: &UsageKey) -> Result<Option<i64>> {
    let mut find = db.prepare_cached(
        "SELECT id FROM series WHERE tenant = ?1 AND app = ?2 AND release = ?3 AND component = ?4",
    )?;
    let found =
        find.query_row(params![tenant, key.app, key.release, key.component], |row| row.get(0));
    Ok(found.optional()?)
}

fn make(db: &Transaction<'_>, tenant: i64, key: &UsageKey) -> Result<i64> {
    let mut make = db.prepare_cached(
        "INSERT INTO series (tenant, app, release, component, seen) VALUES (?1, ?2, ?3, ?4, 0)",
    )?;
    Ok(make.insert(params![tenant, key.app, key.release, key.component])?)
}
