//! Releases: what was uploaded of an app, and never changes.

use std::collections::BTreeMap;

use dayfly_model::platform::{
    AppId, AppName, BlobDigest, Grants, ReleaseId, ReleaseManifest, TenantId, is_health_path,
};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::apps::{app, change};
use crate::audit::Actor;
use crate::previews::live;
use crate::tenants::{Tenant, json, parsed, tenant};
use crate::wanted::ask_for;
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// A release.
#[derive(Debug, Clone)]
pub struct Release {
    /// The digest of its manifest.
    pub id: ReleaseId,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// What the token was called by which it was made.
    pub created_by: String,
    /// What all its blobs come to.
    pub bytes: u64,
    /// The app's version, as its manifest states it.
    pub version: String,
    /// What it asks for.
    pub grants: Grants,
    /// What making it ready came to.
    pub prepared: Prepared,
    /// A path that has to answer well before the release has traffic.
    pub health_path: Option<String>,
    /// Its number, by which pages of releases follow one another.
    pub number: i64,
}

/// A release that is to be made.
#[derive(Debug)]
pub struct NewRelease<'a> {
    /// The digest of its manifest.
    pub id: &'a ReleaseId,
    /// Its manifest's text.
    pub text: &'a [u8],
    /// Its manifest.
    pub manifest: &'a ReleaseManifest,
    /// The app's version.
    pub version: &'a str,
    /// What it asks for.
    pub grants: &'a Grants,
    /// What making it ready came to.
    pub prepared: &'a Prepared,
}

/// A release that is to be served.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Which one.
    pub release: &'a ReleaseId,
    /// Whether it gets what it asks for beyond the active one.
    pub accept: bool,
    /// A path that has to answer well before the release has traffic, if that is stated anew.
    pub health_path: Option<&'a str>,
}

/// What a tenant may store, and what it stores beside a release.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    limit_bytes: u64,
    used_bytes: u64,
}

impl Room {
    /// What the release may take.
    #[must_use]
    pub fn left_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }

    /// Why a release is refused that takes more.
    #[must_use]
    pub fn refused(&self, bytes: u64) -> StoreError {
        let needed = self.used_bytes.saturating_add(bytes);
        StoreError::Quota { quota: "storage_bytes", limit: self.limit_bytes, needed }
    }
}

/// What making a release ready came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// How many components were compiled.
    pub components: u32,
    /// What they come to, in bytes, before they were compiled.
    pub component_bytes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether some of its code stood in for better code then.
    #[serde(default)]
    pub baseline: bool,
    /// How long making that took, once it is made, in milliseconds.
    #[serde(default)]
    pub optimised_ms: Option<u64>,
}

const COLUMNS: &str = "SELECT digest, created_ms, created_by, bytes, version, grants, prepared, id,
    health_path FROM releases";

impl Store {
    /// Which of these blobs a tenant has yet to send. Those that it has stay for a while, so that a
    /// release can name them.
    ///
    /// # Errors
    /// If there is no such tenant, or the store fails.
    pub fn missing(&self, owner: &TenantId, blobs: &[BlobDigest]) -> Result<Vec<BlobDigest>> {
        self.write(|db| {
            let owner = tenant(db, owner)?;
            missing(db, &owner, blobs)
        })
    }

    /// Checks what can be checked of a release before it is made ready: what it names was sent, and is
    /// not too much. Gives the room that there is for it.
    ///
    /// # Errors
    /// If it may not be made, or the store fails.
    pub fn check_release(
        &self,
        id: &AppId,
        digest: &ReleaseId,
        manifest: &ReleaseManifest,
    ) -> Result<Room> {
        self.write(|db| {
            live(db, id)?;
            let owner = tenant(db, &id.tenant)?;
            check(db, &owner, manifest)?;
            let find = "SELECT bytes FROM laid_out WHERE tenant = ?1 AND digest = ?2";
            let own = db.query_row(find, params![owner.id, digest.as_str()], |row| row.get(0));
            let own: u64 = own.optional()?.unwrap_or_default();
            Ok(Room {
                limit_bytes: owner.quotas.storage_bytes,
                used_bytes: owner.storage_bytes.saturating_sub(own),
            })
        })
    }

    /// Has a release that is laid out count towards what its tenant stores, until it is collected.
    ///
    /// # Errors
    /// If there is no such tenant, or the store fails.
    pub fn laid_out(&self, owner: &TenantId, digest: &ReleaseId, bytes: u64) -> Result<()> {
        self.write(|db| {
            let owner = tenant(db, owner)?;
            db.execute(
                "INSERT INTO laid_out VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET bytes = excluded.bytes, touched_ms = excluded.touched_ms",
                params![owner.id, digest.as_str(), bytes, now_ms()],
            )?;
            Ok(())
        })
    }

    /// Makes a release that is ready, unless it is there. The app's oldest ones leave where it has
    /// more than it may. Code that only stands in for better code has that asked for.
    ///
    /// # Errors
    /// If a blob is missing, or it is too large, or the store fails.
    pub fn make_release(&self, by: &Actor, id: &AppId, new: &NewRelease<'_>) -> Result<Release> {
        let made = self.write(|db| {
            let app = live(db, id)?;
            let owner = tenant(db, &id.tenant)?;
            if let Some(found) = find(db, app.number, new.id)? {
                return Ok(found);
            }
            let bytes = check(db, &owner, new.manifest)?;
            leave_room(db, app.number, owner.quotas.releases)?;
            let created_by = by.name.as_deref().unwrap_or_default();
            db.execute(
                "INSERT INTO releases (app, digest, created_ms, created_by, bytes, version, grants,
                   prepared, manifest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    app.number,
                    new.id.as_str(),
                    now_ms(),
                    created_by,
                    bytes,
                    new.version,
                    json(new.grants)?,
                    json(new.prepared)?,
                    new.text
                ],
            )?;
            let number = db.last_insert_rowid();
            let mut name = db.prepare_cached("INSERT INTO release_blobs VALUES (?1, ?2)")?;
            for digest in new.manifest.blobs().keys() {
                name.execute(params![number, digest.as_str()])?;
            }
            if new.prepared.baseline {
                ask_for(db, number)?;
            }
            by.did(db, change(id, "release.make", Some(new.id.to_string())))?;
            release(db, app.number, new.id)
        })?;
        if new.prepared.baseline {
            self.ring();
        }
        Ok(made)
    }

    /// A release of an app.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn release(&self, id: &AppId, digest: &ReleaseId) -> Result<Release> {
        self.read(|db| release(db, app(db, id)?.number, digest))
    }

    /// A release's manifest.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn manifest(&self, digest: &ReleaseId) -> Result<Vec<u8>> {
        self.read(|db| {
            let found = db.query_row(
                "SELECT manifest FROM releases WHERE digest = ?1 LIMIT 1",
                [digest.as_str()],
                |row| row.get(0),
            );
            found.optional()?.ok_or_else(|| none(digest))
        })
    }

    /// The releases that have traffic, of all apps, each with the name of the app that it was made
    /// ready for: of several that have it, the first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn active_releases(&self) -> Result<BTreeMap<ReleaseId, AppName>> {
        self.read(|db| {
            // Of rows in one group SQLite shows the one that has the least id.
            let mut all = db.prepare_cached(
                "SELECT releases.digest, apps.name, min(releases.id)
                 FROM releases JOIN apps ON apps.number = releases.app
                 WHERE releases.digest IN (
                   SELECT active.digest FROM shares
                   JOIN releases AS active ON active.id = shares.release)
                 GROUP BY releases.digest",
            )?;
            let rows = all.query_and_then([], |row| -> Result<(ReleaseId, AppName)> {
                Ok((parsed(row.get(0)?)?, parsed(row.get(1)?)?))
            })?;
            rows.collect()
        })
    }

    /// An app's releases, the latest first, those before one.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn releases(&self, id: &AppId, before: Option<i64>, limit: u32) -> Result<Vec<Release>> {
        self.read(|db| {
            let number = app(db, id)?.number;
            let text = format!("{COLUMNS} WHERE app = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
            let mut all = db.prepare_cached(&text)?;
            let before = before.unwrap_or(i64::MAX);
            let rows = all.query_and_then(params![number, before, limit], of_row)?;
            rows.collect()
        })
    }
}

/// Has the node look at the path that is stated, if one is, before a release has traffic; whether that
/// is new.
pub(crate) fn look_at(db: &Transaction<'_>, release: &Release, path: Option<&str>) -> Result<bool> {
    let Some(path) = path.filter(|path| release.health_path.as_deref() != Some(*path)) else {
        return Ok(false);
    };
    if !is_health_path(path) {
        let text = "a path begins with `/`, and has up to 1024 letters, digits and signs";
        return Err(StoreError::Invalid(text.to_owned()));
    }
    db.execute(
        "UPDATE releases SET health_path = ?2 WHERE id = ?1",
        params![release.number, path],
    )?;
    Ok(true)
}

/// A release of an app, or the error that there is none.
pub(crate) fn release(db: &Transaction<'_>, app: i64, digest: &ReleaseId) -> Result<Release> {
    find(db, app, digest)?.ok_or_else(|| none(digest))
}

fn find(db: &Transaction<'_>, app: i64, digest: &ReleaseId) -> Result<Option<Release>> {
    let mut find = db.prepare_cached(&format!("{COLUMNS} WHERE app = ?1 AND digest = ?2"))?;
    let found = find.query_row(params![app, digest.as_str()], |row| Ok(of_row(row)));
    found.optional()?.transpose()
}

fn none(digest: &ReleaseId) -> StoreError {
    StoreError::NotFound(format!("release `{digest}`"))
}

fn of_row(row: &Row<'_>) -> Result<Release> {
    let (grants, prepared): (String, String) = (row.get(5)?, row.get(6)?);
    Ok(Release {
        id: parsed(row.get(0)?)?,
        created_ms: row.get(1)?,
        created_by: row.get(2)?,
        bytes: row.get(3)?,
        version: row.get(4)?,
        grants: serde_json::from_str(&grants).map_err(StoreError::record)?,
        prepared: serde_json::from_str(&prepared).map_err(StoreError::record)?,
        number: row.get(7)?,
        health_path: row.get(8)?,
    })
}

/// What the blobs of a manifest come to, if the tenant has sent them all, with the sizes that it
/// states, and they are not too much.
fn check(db: &Transaction<'_>, owner: &Tenant, manifest: &ReleaseManifest) -> Result<u64> {
    let blobs = manifest.blobs();
    let needed = blobs.values().fold(0_u64, |all, size| all.saturating_add(*size));
    let limit = owner.quotas.package_bytes;
    if needed > limit {
        return Err(StoreError::Quota { quota: "package_bytes", limit, needed });
    }
    let digests: Vec<_> = blobs.keys().map(|&digest| digest.clone()).collect();
    let missing = missing(db, owner, &digests)?;
    if !missing.is_empty() {
        return Err(StoreError::Missing(missing));
    }
    let mut size =
        db.prepare_cached("SELECT bytes FROM blobs WHERE tenant = ?1 AND digest = ?2")?;
    for (digest, stated) in blobs {
        let actual: u64 = size.query_row(params![owner.id, digest.as_str()], |row| row.get(0))?;
        if actual != stated {
            let text =
                format!("blob `{digest}` has {actual} bytes, and the manifest says {stated}");
            return Err(StoreError::Invalid(text));
        }
    }
    Ok(needed)
}

fn missing(db: &Transaction<'_>, owner: &Tenant, blobs: &[BlobDigest]) -> Result<Vec<BlobDigest>> {
    let mut touch =
        db.prepare_cached("UPDATE blobs SET touched_ms = ?3 WHERE tenant = ?1 AND digest = ?2")?;
    let (mut missing, now) = (Vec::new(), now_ms());
    for digest in blobs {
        if touch.execute(params![owner.id, digest.as_str(), now])? == 0 {
            missing.push(digest.clone());
        }
    }
    Ok(missing)
}

/// Has the oldest releases without traffic leave, so that there is room for one more.
fn leave_room(db: &Transaction<'_>, app: i64, most: u32) -> Result<()> {
    let count: u32 =
        db.query_row("SELECT count(*) FROM releases WHERE app = ?1", [app], |row| row.get(0))?;
    // The one that had the traffic before is what a rollback goes to.
    db.execute(
        "DELETE FROM releases WHERE id IN (
           SELECT id FROM releases WHERE app = ?1
             AND id NOT IN (SELECT release FROM shares WHERE app = ?1)
             AND id NOT IN (SELECT release FROM history WHERE app = ?1 AND outcome < 2
                            ORDER BY id DESC LIMIT 2)
           ORDER BY id LIMIT ?2)",
        params![app, (count + 1).saturating_sub(most.max(1))],
    )?;
    Ok(())
}
