//! The model's ports: how a node reads what is active.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dayfly_model::platform::{
    Activation, AppId, ArtifactStore, BlobDigest, Generation, ReleaseId, ReleaseStore, Share,
    StoreFailure,
};
use rusqlite::params;

use crate::activations::{Serving, noted};
use crate::apps::app;
use crate::previews::teller;
use crate::releases::release;
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction};

impl ReleaseStore for Store {
    fn generation(&self) -> std::result::Result<Generation, StoreFailure> {
        let read = self.read(|db| {
            let mut find = db.prepare_cached("SELECT generation FROM clock")?;
            Ok(Generation(find.query_row([], |row| row.get(0))?))
        });
        Ok(read?)
    }

    fn stamps(&self) -> std::result::Result<BTreeMap<AppId, Generation>, StoreFailure> {
        Ok(self.read(stamps)?)
    }

    fn activation(&self, id: &AppId) -> std::result::Result<Option<Activation>, StoreFailure> {
        match self.read(|db| self.activation_of(db, id)) {
            Err(StoreError::NotFound(_)) => Ok(None),
            read => Ok(read?),
        }
    }

    fn note(
        &self,
        id: &AppId,
        generation: Generation,
        outcome: std::result::Result<(), &str>,
    ) -> std::result::Result<(), StoreFailure> {
        let written = self.write(|db| {
            let found = app(db, id)?;
            db.execute(
                "UPDATE apps SET noted_generation = ?2, noted_error = ?3
                 WHERE number = ?1 AND coalesce(noted_generation, 0) <= ?2",
                params![found.number, generation.0, outcome.err()],
            )?;
            if found.active.generation == generation {
                noted(db, found.number, outcome.is_ok())?;
            }
            Ok(())
        });
        match written {
            // It was removed meanwhile.
            Err(StoreError::NotFound(_)) => Ok(()),
            written => Ok(written?),
        }
    }
}

impl ArtifactStore for Store {
    fn blob(&self, digest: &BlobDigest) -> std::result::Result<Option<PathBuf>, StoreFailure> {
        Ok(Some(self.blob_path(digest)).filter(|path| path.is_file()))
    }

    fn release_folder(&self, release: &ReleaseId) -> PathBuf {
        self.folder().join("releases").join(release.digits())
    }

    fn state_folder(&self, tenant: u64, number: u64) -> PathBuf {
        let apps = self.folder().join("apps");
        // As an earlier version had it.
        let alone = apps.join(number.to_string());
        match alone.is_dir() {
            true => alone,
            false => apps.join(of_tenant(tenant)).join(number.to_string()),
        }
    }

    fn want(
        &self,
        app: &AppId,
        release: &ReleaseId,
    ) -> std::result::Result<Option<String>, StoreFailure> {
        Ok(self.want_release(app, release)?)
    }
}

impl Store {
    fn activation_of(&self, db: &Transaction<'_>, id: &AppId) -> Result<Option<Activation>> {
        let found = app(db, id)?;
        if found.active.shares.is_empty() {
            return Ok(None);
        }
        let shares = found.active.shares.iter().map(|share| {
            let release = release(db, found.number, &share.release)?;
            let is_served = found.active.serving == Serving::Yes;
            let health_path = release.health_path.filter(|_| !is_served);
            let percent = share.percent;
            Ok(Share { release: release.id, percent, health_path })
        });
        let shares = shares.collect::<Result<_>>()?;
        let mut all = db.prepare_cached("SELECT name FROM domains WHERE app = ?1")?;
        let domains = all.query_and_then([found.number], |row| parsed(row.get(0)?))?;
        let owner = tenant(db, &id.tenant)?;
        Ok(Some(Activation {
            app: id.clone(),
            number: u64::try_from(found.number).map_err(StoreError::record)?,
            tenant_number: u64::try_from(owner.id).map_err(StoreError::record)?,
            generation: found.active.generation,
            shares,
            domains: domains.collect::<Result<_>>()?,
            settings: self.told(db, teller(db, found.number)?)?,
            is_preview: teller(db, found.number)? != found.number,
            quotas: owner.quotas,
            isolation: owner.isolation,
        }))
    }
}

/// The folder of a tenant's apps among those of all.
pub(crate) fn of_tenant(tenant: u64) -> String {
    format!("t{tenant}")
}

fn stamps(db: &Transaction<'_>) -> Result<BTreeMap<AppId, Generation>> {
    let mut all = db.prepare_cached(
        "SELECT tenants.name, apps.name, generation FROM apps JOIN tenants ON tenants.id = tenant
         WHERE EXISTS (SELECT 1 FROM shares WHERE shares.app = number)",
    )?;
    let rows = all.query_and_then([], |row| {
        let id = AppId { tenant: parsed(row.get(0)?)?, app: parsed(row.get(1)?)? };
        Ok((id, Generation(row.get(2)?)))
    })?;
    rows.collect()
}
