//! Apps.

use std::path::PathBuf;

use dayfly_model::platform::{AppId, AppName, ArtifactStore as _, TenantId};
use rusqlite::{OptionalExtension as _, params};

use crate::activations::{Active, active, next_generation};
use crate::audit::{Actor, Change};
use crate::previews::{self, live};
use crate::tenants::{Tenant, parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// An app.
#[derive(Debug, Clone)]
pub struct App {
    /// Whose it is, and its name.
    pub id: AppId,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// What is active of it.
    pub active: Active,
    pub(crate) number: i64,
}

impl Store {
    /// Makes an app, unless it is there.
    ///
    /// # Errors
    /// If there is no such tenant, or it has too many, or the store fails.
    pub fn make_app(&self, by: &Actor, id: &AppId) -> Result<App> {
        self.write(|db| {
            let owner = tenant(db, &id.tenant)?;
            if let Some(found) = find(db, &owner, &id.app)? {
                return Ok(found);
            }
            let limit = u64::from(owner.quotas.apps);
            if owner.apps >= limit {
                return Err(StoreError::Quota { quota: "apps", limit, needed: owner.apps + 1 });
            }
            let generation = next_generation(db)?;
            db.execute(
                "INSERT INTO apps (tenant, name, created_ms, generation) VALUES (?1, ?2, ?3, ?4)",
                params![owner.id, id.app.as_str(), now_ms(), generation],
            )?;
            by.did(db, change(id, "app.make", None))?;
            app(db, id)
        })
    }

    /// An app.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn app(&self, id: &AppId) -> Result<App> {
        self.read(|db| app(db, id))
    }

    /// The folder for what an app keeps; one of the same name that is made anew has another.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn app_folder(&self, id: &AppId) -> Result<PathBuf> {
        let (owner, number) =
            self.read(|db| Ok((tenant(db, &id.tenant)?.id, app(db, id)?.number)))?;
        let number_of = |it: i64| u64::try_from(it).map_err(StoreError::record);
        Ok(self.state_folder(number_of(owner)?, number_of(number)?))
    }

    /// A tenant's apps by name, those behind one.
    ///
    /// # Errors
    /// If there is no such tenant, or the store fails.
    pub fn apps(&self, owner: &TenantId, after: Option<&str>, limit: u32) -> Result<Vec<App>> {
        self.read(|db| {
            let found = tenant(db, owner)?;
            let mut all = db.prepare_cached(
                "SELECT name FROM apps WHERE tenant = ?1 AND name > ?2 AND parent IS NULL
                 ORDER BY name LIMIT ?3",
            )?;
            let names = all.query_map(params![found.id, after.unwrap_or(""), limit], |row| {
                row.get::<_, String>(0)
            })?;
            let names = names.collect::<rusqlite::Result<Vec<_>>>()?.into_iter();
            names
                .map(|name| app(db, &AppId { tenant: owner.clone(), app: parsed(name)? }))
                .collect()
        })
    }

    /// Removes an app with its releases, settings and domains. What it keeps goes a little later, when
    /// the node has let go of it.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn remove_app(&self, by: &Actor, id: &AppId) -> Result<()> {
        self.write(|db| {
            let number = live(db, id)?.number;
            previews::remove_all(db, number)?;
            remove(db, number)?;
            next_generation(db)?;
            by.did(db, change(id, "app.remove", None))
        })
    }
}

/// Removes an app, and notes that its folder has yet to go.
pub(crate) fn remove(db: &Transaction<'_>, number: i64) -> Result<()> {
    db.execute("DELETE FROM shares WHERE app = ?1", [number])?;
    db.execute("DELETE FROM apps WHERE number = ?1", [number])?;
    db.execute("INSERT INTO removed_apps VALUES (?1, ?2)", params![number, now_ms()])?;
    Ok(())
}

/// An app, or the error that there is none.
pub(crate) fn app(db: &Transaction<'_>, id: &AppId) -> Result<App> {
    let owner = tenant(db, &id.tenant).map_err(|error| match error {
        StoreError::NotFound(_) => none(id),
        other => other,
    })?;
    find(db, &owner, &id.app)?.ok_or_else(|| none(id))
}

fn find(db: &Transaction<'_>, owner: &Tenant, name: &AppName) -> Result<Option<App>> {
    let mut find =
        db.prepare_cached("SELECT number, created_ms FROM apps WHERE tenant = ?1 AND name = ?2")?;
    let found = find.query_row(params![owner.id, name.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?))
    });
    let Some((number, created_ms)) = found.optional()? else { return Ok(None) };
    let id = AppId { tenant: owner.name.clone(), app: name.clone() };
    Ok(Some(App { id, created_ms, active: active(db, number)?, number }))
}

fn none(id: &AppId) -> StoreError {
    StoreError::NotFound(format!("app `{}`", id.app))
}

/// A change of an app.
pub(crate) fn change<'a>(
    id: &'a AppId,
    action: &'static str,
    detail: Option<String>,
) -> Change<'a> {
    Change { tenant: Some(id.tenant.as_str()), action, object: id.app.as_str(), detail }
}
