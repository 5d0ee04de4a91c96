//! The log of changes: who did what, when, and from where. A line is part of the change's transaction.

use dayfly_model::platform::TenantId;
use rusqlite::{Row, params};

use crate::{Result, Store, Transaction, now_ms};

/// Who changes something.
#[derive(Debug, Clone, Default)]
pub struct Actor {
    /// The token's id; nothing for the platform itself.
    pub token: Option<String>,
    /// What the token is called.
    pub name: Option<String>,
    /// The address that it comes from.
    pub source: Option<String>,
}

/// A change.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub by: Actor,
    /// The tenant that it concerns.
    pub tenant: Option<String>,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// More of it.
    pub detail: Option<String>,
}

/// What is done: `verb` of something, perhaps of a tenant's, with more about it.
pub(crate) struct Change<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) action: &'static str,
    pub(crate) object: &'a str,
    pub(crate) detail: Option<String>,
}

impl Actor {
    /// Writes a line into the log.
    pub(crate) fn did(&self, db: &Transaction<'_>, change: Change<'_>) -> Result<()> {
        let Change { tenant, action, object, detail } = change;
        db.prepare_cached(
            "INSERT INTO audit (at_ms, token, token_name, source, tenant, action, object, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            now_ms(),
            self.token,
            self.name,
            self.source,
            tenant,
            action,
            object,
            detail
        ])?;
        Ok(())
    }
}

impl Store {
    /// Changes, the newest first: those before one, of a tenant's or of everybody's.
    ///
    /// # Errors
    /// If the store fails.
    pub fn audit(
        &self,
        tenant: Option<&TenantId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        self.read(|db| {
            let mut find = db.prepare_cached(
                "SELECT id, at_ms, token, token_name, source, tenant, action, object, detail
                 FROM audit WHERE id < ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY id DESC LIMIT ?3",
            )?;
            let before = before.unwrap_or(i64::MAX);
            let found = find.query_map(params![before, tenant.map(TenantId::as_str), limit], entry);
            Ok(found?.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        by: Actor { token: row.get(2)?, name: row.get(3)?, source: row.get(4)? },
        tenant: row.get(5)?,
        action: row.get(6)?,
        object: row.get(7)?,
        detail: row.get(8)?,
    })
}
