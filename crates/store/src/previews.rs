//! Previews: a release of an app at a host of its own, beside what is live. In the store each is an app
//! that belongs to another one: it keeps what is its own, is told what that is told, and goes at its time.

use dayfly_model::platform::{AppId, AppName, Generation, PreviewName};
use rusqlite::{OptionalExtension as _, params};

use crate::activations::{Active, allowed, described, is_expected, next_generation, set, whole};
use crate::apps::{App, app, change, remove};
use crate::audit::Actor;
use crate::releases::{Offer, look_at, release};
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// A preview.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Its name.
    pub name: PreviewName,
    /// What it is as an app.
    pub app: AppId,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it goes.
    pub expires_ms: i64,
    /// What is active of it.
    pub active: Active,
}

/// What became of previews whose time was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// How many were removed.
    pub count: usize,
    /// When the next one goes, in milliseconds since 1970.
    pub next_ms: Option<i64>,
}

impl Store {
    /// Shows a release of an app by a preview, which is made or gets that release; until a time, in
    /// milliseconds since 1970, and if a generation is stated only where the preview is at that. What the app
    /// itself serves stays as it is.
    ///
    /// # Errors
    /// If the preview is at another generation, there is no such app or release, it asks for more than what is active and that is not accepted,
    /// its path is none, the tenant has too many apps, or the store fails; then nothing changes.
    pub fn preview(
        &self,
        by: &Actor,
        id: &AppId,
        name: &PreviewName,
        offer: &Offer<'_>,
        (expires_ms, expected): (i64, Option<Generation>),
    ) -> Result<Preview> {
        let own = preview_of(id, name)?;
        self.write(|db| {
            let parent = live(db, id)?;
            let source = release(db, parent.number, offer.release)?;
            allowed(db, &parent, &source, offer.accept)?;
            let number = match (find(db, &own, parent.number)?, expected) {
                (Some(number), _) => {
                    is_expected(&app(db, &own)?, expected)?;
                    number
                }
                (None, None) => make(db, &own, parent.number)?,
                // It is gone that was seen.
                (None, Some(_)) => return Err(none(name)),
            };
            copy(db, source.number, number)?;
            let own_release = release(db, number, offer.release)?;
            let looked_at = look_at(db, &own_release, offer.health_path)?;
            let update = "UPDATE apps SET expires_ms = ?2 WHERE number = ?1";
            db.execute(update, params![number, expires_ms])?;
            let child = app(db, &own)?;
            let shares = whole(offer.release);
            if child.active.shares != shares {
                set(db, &child, &shares)?;
            }
            // Those that it had before are the app's, or nobody's.
            db.execute(
                "DELETE FROM releases WHERE app = ?1
                   AND id NOT IN (SELECT release FROM shares WHERE app = ?1)",
                [number],
            )?;
            let detail = described(format!("{name} {}", offer.release), offer, looked_at);
            by.did(db, change(id, "preview.make", Some(detail)))?;
            of(db, id, &own)
        })
    }

    /// An app's previews by name, those behind one.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn previews(&self, id: &AppId, after: Option<&str>, limit: u32) -> Result<Vec<Preview>> {
        self.read(|db| {
            let parent = app(db, id)?;
            let after = after.map(|after| format!("{after}--{}", id.app)).unwrap_or_default();
            let mut all = db.prepare_cached(
                "SELECT name FROM apps WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
            )?;
            let names =
                all.query_map(params![parent.number, after, limit], |row| row.get::<_, String>(0))?;
            let names = names.collect::<rusqlite::Result<Vec<_>>>()?.into_iter();
            names
                .map(|name| of(db, id, &AppId { tenant: id.tenant.clone(), app: parsed(name)? }))
                .collect()
        })
    }

    /// A preview of an app.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn preview_named(&self, id: &AppId, name: &PreviewName) -> Result<Preview> {
        let own = preview_of(id, name)?;
        self.read(|db| {
            let parent = app(db, id)?.number;
            find(db, &own, parent)?.ok_or_else(|| none(name))?;
            of(db, id, &own)
        })
    }

    /// Removes a preview, and a little later what it keeps.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn remove_preview(&self, by: &Actor, id: &AppId, name: &PreviewName) -> Result<()> {
        let own = preview_of(id, name)?;
        self.write(|db| {
            let parent = app(db, id)?.number;
            let number = find(db, &own, parent)?.ok_or_else(|| none(name))?;
            remove(db, number)?;
            next_generation(db)?;
            by.did(db, change(id, "preview.remove", Some(name.to_string())))
        })
    }

    /// Removes the previews whose time is over.
    ///
    /// # Errors
    /// If the store fails.
    pub fn expire_previews(&self) -> Result<Expired> {
        let due = |db: &Transaction<'_>| -> Result<Vec<(i64, String, String)>> {
            let mut all = db.prepare_cached(
                "SELECT number, tenants.name, apps.name FROM apps
                 JOIN tenants ON tenants.id = tenant WHERE expires_ms <= ?1",
            )?;
            let rows =
                all.query_map([now_ms()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        let next = |db: &Transaction<'_>| -> Result<Option<i64>> {
            Ok(db.query_row("SELECT min(expires_ms) FROM apps", [], |row| row.get(0))?)
        };
        // Mostly there are none, and nothing is written.
        let next_ms = self.read(next)?;
        if next_ms.is_none_or(|next_ms| next_ms > now_ms()) {
            return Ok(Expired { count: 0, next_ms });
        }
        self.write(|db| {
            let due = due(db)?;
            let by = Actor { name: Some("dayfly serve".to_owned()), ..Actor::default() };
            for (number, owner, name) in &due {
                remove(db, *number)?;
                let id = AppId { tenant: parsed(owner.clone())?, app: parsed(name.clone())? };
                by.did(db, change(&id, "preview.expire", None))?;
            }
            next_generation(db)?;
            Ok(Expired { count: due.len(), next_ms: next(db)? })
        })
    }
}

/// An app that is no preview.
pub(crate) fn live(db: &Transaction<'_>, id: &AppId) -> Result<App> {
    let found = app(db, id)?;
    let parent: Option<i64> =
        db.query_row("SELECT parent FROM apps WHERE number = ?1", [found.number], |row| {
            row.get(0)
        })?;
    match parent {
        Some(_) => Err(StoreError::InUse(format!("`{}` is a preview of another app", id.app))),
        None => Ok(found),
    }
}

/// Whose settings an app is told: a preview what its app is.
pub(crate) fn teller(db: &Transaction<'_>, number: i64) -> Result<i64> {
    let find = "SELECT coalesce(parent, number) FROM apps WHERE number = ?1";
    Ok(db.query_row(find, [number], |row| row.get(0))?)
}

/// Removes the previews of an app.
pub(crate) fn remove_all(db: &Transaction<'_>, parent: i64) -> Result<()> {
    let mut all = db.prepare_cached("SELECT number FROM apps WHERE parent = ?1")?;
    let numbers = all.query_map([parent], |row| row.get::<_, i64>(0))?;
    for number in numbers.collect::<rusqlite::Result<Vec<_>>>()? {
        remove(db, number)?;
    }
    Ok(())
}

/// What a preview is as an app: its name is part of its address.
fn preview_of(id: &AppId, name: &PreviewName) -> Result<AppId> {
    let text = format!("{name}--{}", id.app);
    let long = |_| StoreError::Invalid(format!("`{text}` is too long to be a host's name"));
    Ok(AppId { tenant: id.tenant.clone(), app: text.parse::<AppName>().map_err(long)? })
}

fn find(db: &Transaction<'_>, own: &AppId, parent: i64) -> Result<Option<i64>> {
    let owner = tenant(db, &own.tenant)?;
    let found = db.query_row(
        "SELECT number, parent FROM apps WHERE tenant = ?1 AND name = ?2",
        params![owner.id, own.app.as_str()],
        |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)),
    );
    match found.optional()? {
        Some((number, of)) if of == Some(parent) => Ok(Some(number)),
        Some(_) => Err(StoreError::Taken(format!("the name `{}`", own.app))),
        None => Ok(None),
    }
}

/// Makes a preview, which is one of the tenant's apps.
fn make(db: &Transaction<'_>, own: &AppId, parent: i64) -> Result<i64> {
    let owner = tenant(db, &own.tenant)?;
    let limit = u64::from(owner.quotas.apps);
    if owner.apps >= limit {
        return Err(StoreError::Quota { quota: "apps", limit, needed: owner.apps + 1 });
    }
    db.execute(
        "INSERT INTO apps (tenant, name, created_ms, generation, parent) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![owner.id, own.app.as_str(), now_ms(), next_generation(db)?, parent],
    )?;
    Ok(db.last_insert_rowid())
}

/// Lets an app have a release of another one, unless it has it.
fn copy(db: &Transaction<'_>, source: i64, number: i64) -> Result<()> {
    let copied = db.execute(
        "INSERT OR IGNORE INTO releases (app, digest, created_ms, created_by, bytes, version, grants,
           prepared, manifest, health_path)
         SELECT ?2, digest, created_ms, created_by, bytes, version, grants, prepared, manifest,
           health_path FROM releases WHERE id = ?1",
        params![source, number],
    )?;
    if copied > 0 {
        db.execute(
            "INSERT INTO release_blobs SELECT ?2, digest FROM release_blobs WHERE release = ?1",
            params![source, db.last_insert_rowid()],
        )?;
    }
    Ok(())
}

fn of(db: &Transaction<'_>, id: &AppId, own: &AppId) -> Result<Preview> {
    let App { created_ms, active, number, .. } = app(db, own)?;
    let expires_ms = db.query_row(
        "SELECT coalesce(expires_ms, 0) FROM apps WHERE number = ?1",
        [number],
        |row| row.get(0),
    )?;
    let suffix = format!("--{}", id.app);
    let name = own.app.as_str().strip_suffix(&suffix).unwrap_or_default().to_owned();
    Ok(Preview { name: parsed(name)?, app: own.clone(), created_ms, expires_ms, active })
}

fn none(name: &PreviewName) -> StoreError {
    StoreError::NotFound(format!("preview `{name}`"))
}
