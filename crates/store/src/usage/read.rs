//! What was used, for those who ask: of a tenant or an app, in groups, as sums or step by step.

use std::collections::BTreeMap;
use std::path::Path;

use dayfly_model::platform::{AppName, TenantId, Usage};
use rusqlite::{Connection, OpenFlags, params};

use super::cover::{Piece, cover, whole};
use super::{USAGE_DATABASE, UsageStep, row};
use crate::tenants::tenant;
use crate::{BUSY, Result, Store, StoreError};

/// How many points an answer has at most, all groups together.
pub const POINTS: usize = 20_000;

/// What makes a group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Nothing: all is one.
    Total,
    /// An app.
    App,
    /// A component of an app.
    Component,
    /// A release of an app.
    Release,
}

/// Which usage, and how it is grouped.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Of this app; of all, unless stated.
    pub app: Option<AppName>,
    /// How it is grouped.
    pub by: UsageBy,
    /// Step by step, or as sums alone.
    pub step: Option<UsageStep>,
    /// From when, in seconds since 1970.
    pub from: i64,
    /// Until when; what begins then is not in it.
    pub to: i64,
    /// The time now.
    pub now: i64,
}

/// The usage of one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageGroup {
    /// The app; empty for what is beyond the bound on series.
    pub app: Option<String>,
    /// The component; empty for requests that none got.
    pub component: Option<String>,
    /// The release.
    pub release: Option<String>,
    /// All of it.
    pub total: Usage,
    /// Step by step: when each began, and what was used then. Steps without any are left out.
    pub points: Vec<(i64, Usage)>,
}

/// What was used, from when and until when.
#[derive(Debug)]
pub struct Used {
    /// From when, in whole buckets.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// The groups, by name.
    pub groups: Vec<UsageGroup>,
}

type Name = (Option<String>, Option<String>, Option<String>);

impl Store {
    /// What a tenant, or an app of it, used.
    ///
    /// # Errors
    /// If there is no such tenant, the answer would be too long, or the store fails.
    pub fn usage(&self, owner: &TenantId, query: &UsageQuery) -> Result<Used> {
        let owner = self.read(|db| tenant(db, owner))?.id;
        let (from, to) = match query.step {
            Some(step) => (step.floor(query.from), step.ceil(query.to)),
            None => whole(query.from, query.to, query.now),
        };
        let pieces = match query.step {
            Some(step) => vec![(step, from, to)],
            None => cover(from, to),
        };
        let mut groups = BTreeMap::new();
        if let Some(db) = open(self.folder())? {
            // One state of the database, while the node writes.
            let db = db.unchecked_transaction()?;
            let mut points = 0;
            for piece in pieces {
                gather(&db, owner, query, piece, &mut groups, &mut points)?;
            }
        }
        Ok(Used { from, to, groups: groups.into_values().collect() })
    }

    /// Whether there is any usage of an app, be it there still or not.
    ///
    /// # Errors
    /// If there is no such tenant, or the store fails.
    pub fn has_usage(&self, owner: &TenantId, app: &AppName) -> Result<bool> {
        let owner = self.read(|db| tenant(db, owner))?.id;
        let Some(db) = open(self.folder())? else { return Ok(false) };
        let mut find =
            db.prepare("SELECT EXISTS (SELECT 1 FROM series WHERE tenant = ?1 AND app = ?2)")?;
        Ok(find.query_row(params![owner, app.as_str()], |row| row.get(0))?)
    }
}

/// The usage that a node has written, to be read; nothing if none has.
fn open(folder: &Path) -> Result<Option<Connection>> {
    let path = folder.join(USAGE_DATABASE);
    if !path.metadata().is_ok_and(|it| it.len() > 0) {
        return Ok(None);
    }
    // Its log is part of it, which only those read that may write.
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    // Whoever is hardened has no other folder for what large statements put aside.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // Its node may be about to give it its form.
    let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((version == super::VERSION).then_some(db))
}

/// Adds the rows of a piece to their groups.
fn gather(
    db: &Connection,
    owner: i64,
    query: &UsageQuery,
    (step, from, to): Piece,
    groups: &mut BTreeMap<Name, UsageGroup>,
    points: &mut usize,
) -> Result<()> {
    let mut all = db.prepare_cached(&format!(
        "SELECT at, app, release, component, {} FROM usage JOIN series ON series.id = series
         WHERE usage.tenant = ?1 AND step = ?2 AND at >= ?3 AND at < ?4
           AND (?5 IS NULL OR app = ?5)
         ORDER BY at",
        row::COLUMNS
    ))?;
    let app = query.app.as_ref().map(AppName::as_str);
    let mut rows = all.query(params![owner, step.seconds(), from, to, app])?;
    while let Some(found) = rows.next()? {
        let (at, usage) = (found.get(0)?, row::of(found, 4)?);
        let (app, release, component) = (found.get(1)?, found.get(2)?, found.get(3)?);
        let name = match query.by {
            UsageBy::Total => (None, None, None),
            UsageBy::App => (Some(app), None, None),
            UsageBy::Component => (Some(app), Some(component), None),
            UsageBy::Release => (Some(app), None, Some(release)),
        };
        let group = groups.entry(name.clone()).or_insert_with(|| {
            *points += 1;
            let (app, component, release) = name;
            UsageGroup { app, component, release, ..UsageGroup::default() }
        });
        group.total.add(&usage);
        if query.step.is_some() {
            match group.points.last_mut() {
                Some((last, sum)) if *last == at => sum.add(&usage),
                _ => {
                    *points += 1;
                    group.points.push((at, usage));
                }
            }
        }
        if *points > POINTS {
            let text = format!(
                "this would be more than {POINTS} points: ask for less time, a longer step or fewer groups"
            );
            return Err(StoreError::Invalid(text));
        }
    }
    Ok(())
}
