//! Custom domains. One has one app, whosever that is.

use dayfly_model::platform::{AppId, DomainName};
use rusqlite::{OptionalExtension as _, params};

use crate::activations::changed;
use crate::apps::{app, change};
use crate::audit::Actor;
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, now_ms};

/// A custom domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The host.
    pub name: DomainName,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
}

impl Store {
    /// Has an app answer on a domain.
    ///
    /// # Errors
    /// If another app does, the tenant has too many, there is no such app, or the store fails.
    pub fn add_domain(&self, by: &Actor, id: &AppId, name: &DomainName) -> Result<Domain> {
        self.write(|db| {
            let number = app(db, id)?.number;
            let found = db.query_row(
                "SELECT app, created_ms FROM domains WHERE name = ?1",
                [name.as_str()],
                |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
            );
            match found.optional()? {
                Some((app, created_ms)) if app == number => {
                    return Ok(Domain { name: name.clone(), created_ms });
                }
                // Whose it is, is nobody's business.
                Some(_) => return Err(StoreError::Taken(format!("the domain `{name}`"))),
                None => {}
            }
            let owner = tenant(db, &id.tenant)?;
            let limit = u64::from(owner.quotas.domains);
            let count: u64 = db.query_row(
                "SELECT count(*) FROM domains JOIN apps ON number = app WHERE tenant = ?1",
                [owner.id],
                |row| row.get(0),
            )?;
            if count >= limit {
                return Err(StoreError::Quota { quota: "domains", limit, needed: count + 1 });
            }
            let created_ms = now_ms();
            db.execute(
                "INSERT INTO domains VALUES (?1, ?2, ?3)",
                params![name.as_str(), number, created_ms],
            )?;
            changed(db, number)?;
            by.did(db, change(id, "domain.add", Some(name.to_string())))?;
            Ok(Domain { name: name.clone(), created_ms })
        })
    }

    /// An app's domains by name, those behind one.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn domains(&self, id: &AppId, after: Option<&str>, limit: u32) -> Result<Vec<Domain>> {
        self.read(|db| {
            let mut all = db.prepare_cached(
                "SELECT name, created_ms FROM domains WHERE app = ?1 AND name > ?2
                 ORDER BY name LIMIT ?3",
            )?;
            let number = app(db, id)?.number;
            let rows = all.query_and_then(params![number, after.unwrap_or(""), limit], |row| {
                Ok(Domain { name: parsed(row.get(0)?)?, created_ms: row.get(1)? })
            })?;
            rows.collect()
        })
    }

    /// Has an app answer on a domain no more.
    ///
    /// # Errors
    /// If it does not, there is no such app, or the store fails.
    pub fn remove_domain(&self, by: &Actor, id: &AppId, name: &DomainName) -> Result<()> {
        self.write(|db| {
            let number = app(db, id)?.number;
            let gone = db.execute(
                "DELETE FROM domains WHERE name = ?1 AND app = ?2",
                params![name.as_str(), number],
            )?;
            if gone == 0 {
                return Err(StoreError::NotFound(format!("domain `{name}`")));
            }
            changed(db, number)?;
            by.did(db, change(id, "domain.remove", Some(name.to_string())))
        })
    }
}
