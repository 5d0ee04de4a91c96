//! What a tenant's own process reads of releases: those that it serves, in a folder that has nothing of
//! other tenants'. It is the same files by other names.

use std::fs;
use std::path::PathBuf;

use dayfly_model::platform::{ArtifactStore as _, ReleaseId, TenantId};
use rusqlite::OptionalExtension as _;

use crate::backup::{Files, copy_folder};
use crate::blobs::entries;
use crate::ports::of_tenant;
use crate::tenants::parsed;
use crate::{Copied, Result, Store, StoreError, private};

/// Where those folders are.
const OWN: &str = "own";

impl Store {
    /// The folder of the releases that a tenant's own process reads; it is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn own_releases(&self, tenant: u64) -> Result<PathBuf> {
        let folder = self.folder().join(OWN).join(of_tenant(tenant));
        private(&folder)?;
        Ok(folder)
    }

    /// Has a release lie in that folder, if it is laid out at all.
    ///
    /// # Errors
    /// If it cannot.
    pub fn lend(&self, tenant: u64, release: &ReleaseId) -> Result<()> {
        let (from, folder) = (self.release_folder(release), self.own_releases(tenant)?);
        let place = folder.join(release.digits());
        if place.is_dir() || !from.is_dir() {
            return Ok(());
        }
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&folder);
        let new = new.map_err(StoreError::io(&folder))?;
        let whole = new.path().join("release");
        copy_folder(&from, &whole, Files::Unchanging, &mut Copied::default())?;
        match fs::rename(&whole, &place) {
            // Another process was faster.
            Err(_) if place.is_dir() => Ok(()),
            renamed => renamed.map_err(StoreError::io(&place)),
        }
    }

    /// The folder for what all apps of a tenant keep, and those that an earlier version gave some of
    /// them.
    ///
    /// # Errors
    /// If it cannot be made, or the store fails.
    pub fn state_folders(&self, tenant: u64) -> Result<Vec<PathBuf>> {
        let all = self.folder().join("apps");
        let own = all.join(of_tenant(tenant));
        private(&own)?;
        let numbers = self.read(|db| {
            let mut find = db.prepare("SELECT number FROM apps WHERE tenant = ?1")?;
            let rows = find.query_map([tenant], |row| row.get::<_, u64>(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })?;
        let alone = numbers.into_iter().map(|number| all.join(number.to_string()));
        Ok(std::iter::once(own).chain(alone.filter(|folder| folder.is_dir())).collect())
    }

    /// The tenants that are to have a process of their own, the oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn own_process_tenants(&self) -> Result<Vec<u64>> {
        self.read(|db| {
            let mut all = db.prepare_cached(
                "SELECT id FROM tenants WHERE isolation = 'own-process' ORDER BY id",
            )?;
            let rows = all.query_map([], |row| row.get::<_, u64>(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    /// The name of the tenant that has this number.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn tenant_of(&self, number: u64) -> Result<TenantId> {
        self.read(|db| {
            let mut find = db.prepare_cached("SELECT name FROM tenants WHERE id = ?1")?;
            let found = find.query_row([number], |row| row.get::<_, String>(0)).optional()?;
            let none = || StoreError::NotFound(format!("tenant {number}"));
            parsed(found.ok_or_else(none)?)
        })
    }

    /// The folders of all tenants that have releases so.
    pub(crate) fn own_folders(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder().join(OWN);
        match folder.is_dir() {
            true => Ok(entries(&folder)?.into_iter().map(|(_, path)| path).collect()),
            false => Ok(Vec::new()),
        }
    }
}
