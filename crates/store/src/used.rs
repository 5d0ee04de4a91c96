//! What tenants have taken of their quotas, of those that are counted for months and days among them.

use dayfly_model::platform::{StoreFailure, TenantId, Used, UsedStore};
use rusqlite::{OptionalExtension as _, params};

use crate::{Result, Store, StoreError};

/// The largest sum that is kept: two of them are a number of SQLite's still.
const MOST: u64 = i64::MAX as u64 / 2;

/// What a tenant has taken, by the names of its quotas. Of what is bounded for each app, or for each release,
/// it is what the one has that has most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Apps.
    pub apps: u64,
    /// Releases of one app.
    pub releases: u64,
    /// Custom domains.
    pub domains: u64,
    /// Tokens.
    pub tokens: u64,
    /// Settings of one app.
    pub settings: u64,
    /// All blobs of one release, in bytes.
    pub package_bytes: u64,
    /// All blobs, and all releases as they are laid out, in bytes.
    pub storage_bytes: u64,
    /// CPU time in this month, in microseconds.
    pub cpu_us: u64,
    /// What was logged today, in bytes.
    pub log_bytes: u64,
    /// What its apps keep, in bytes, as it was measured last.
    pub state_bytes: u64,
}

/// Its columns. Months and days are counted as [`Used`] counts them.
const TAKEN: &str = "SELECT
    (SELECT count(*) FROM apps WHERE tenant = it.id),
    (SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM releases JOIN apps ON number = app
                                      WHERE tenant = it.id GROUP BY app)),
    (SELECT count(*) FROM domains JOIN apps ON number = app WHERE tenant = it.id),
    (SELECT count(*) FROM tokens WHERE tenant = it.id),
    (SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM settings JOIN apps ON number = app
                                      WHERE tenant = it.id GROUP BY app)),
    (SELECT coalesce(max(bytes), 0) FROM releases JOIN apps ON number = app WHERE tenant = it.id),
    (SELECT coalesce(sum(bytes), 0) FROM blobs WHERE tenant = it.id)
      + (SELECT coalesce(sum(bytes), 0) FROM laid_out WHERE tenant = it.id),
    CASE WHEN month = (strftime('%Y') - 1970) * 12 + strftime('%m') - 1 THEN cpu_us ELSE 0 END,
    CASE WHEN day = unixepoch() / 86400 THEN log_bytes ELSE 0 END,
    coalesce(state_bytes, 0)
    FROM tenants AS it LEFT JOIN used ON used.tenant = it.id WHERE it.name = ?1";

impl Store {
    /// What a tenant has taken of its quotas.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn taken(&self, tenant: &TenantId) -> Result<Taken> {
        self.read(|db| {
            let found = db.prepare_cached(TAKEN)?.query_row([tenant.as_str()], |row| {
                Ok(Taken {
                    apps: row.get(0)?,
                    releases: row.get(1)?,
                    domains: row.get(2)?,
                    tokens: row.get(3)?,
                    settings: row.get(4)?,
                    package_bytes: row.get(5)?,
                    storage_bytes: row.get(6)?,
                    cpu_us: row.get(7)?,
                    log_bytes: row.get(8)?,
                    state_bytes: row.get(9)?,
                })
            });
            found.optional()?.ok_or_else(|| StoreError::NotFound(format!("tenant `{tenant}`")))
        })
    }
}

impl UsedStore for Store {
    fn used(&self, tenant: &TenantId) -> std::result::Result<Used, StoreFailure> {
        let read = self.read(|db| {
            let mut find = db.prepare_cached(
                "SELECT month, cpu_us, day, log_bytes, state_bytes FROM used JOIN tenants ON tenants.id = tenant
                 WHERE name = ?1",
            )?;
            let found = find.query_row([tenant.as_str()], |row| {
                let (month, cpu_us) = (row.get(0)?, row.get(1)?);
                let (day, log_bytes) = (row.get(2)?, row.get(3)?);
                Ok(Used { month, cpu_us, day, log_bytes, state_bytes: row.get(4)? })
            });
            Ok(found.optional()?.unwrap_or_default())
        });
        Ok(read?)
    }

    fn add_used(&self, all: &[(TenantId, Used)]) -> std::result::Result<(), StoreFailure> {
        let written = self.write(|db| {
            let mut add = db.prepare_cached(
                "INSERT INTO used (tenant, month, cpu_us, day, log_bytes, state_bytes)
                 SELECT id, ?2, ?3, ?4, ?5, ?6 FROM tenants WHERE name = ?1
                 ON CONFLICT (tenant) DO UPDATE SET
                   cpu_us = CASE WHEN excluded.month > month THEN excluded.cpu_us
                            ELSE min(?7, cpu_us + excluded.cpu_us * (excluded.month = month)) END,
                   month = max(month, excluded.month),
                   log_bytes = CASE WHEN excluded.day > day THEN excluded.log_bytes
                               ELSE min(?7, log_bytes + excluded.log_bytes * (excluded.day = day)) END,
                   day = max(day, excluded.day),
                   state_bytes = excluded.state_bytes",
            )?;
            for (tenant, Used { month, cpu_us, day, log_bytes, state_bytes }) in all {
                // What one tenant is said to have taken keeps none of the others' from being written.
                let [cpu_us, log_bytes, state_bytes] =
                    [cpu_us, log_bytes, state_bytes].map(|number| MOST.min(*number));
                let tenant = tenant.as_str();
                add.execute(params![tenant, month, cpu_us, day, log_bytes, state_bytes, MOST])?;
            }
            Ok(())
        });
        Ok(written?)
    }
}
