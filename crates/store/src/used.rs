//! What tenants have taken of the quotas that are counted for months and days.

use dayfly_model::platform::{StoreFailure, TenantId, Used, UsedStore};
use rusqlite::{OptionalExtension as _, params};

use crate::Store;

impl UsedStore for Store {
    fn used(&self, tenant: &TenantId) -> Result<Used, StoreFailure> {
        let read = self.read(|db| {
            let mut find = db.prepare_cached(
                "SELECT month, cpu_us, day, log_bytes FROM used JOIN tenants ON tenants.id = tenant
                 WHERE name = ?1",
            )?;
            let found = find.query_row([tenant.as_str()], |row| {
                let (month, cpu_us) = (row.get(0)?, row.get(1)?);
                Ok(Used { month, cpu_us, day: row.get(2)?, log_bytes: row.get(3)? })
            });
            Ok(found.optional()?.unwrap_or_default())
        });
        Ok(read?)
    }

    fn keep_used(&self, all: &[(TenantId, Used)]) -> Result<(), StoreFailure> {
        let written = self.write(|db| {
            let mut keep = db.prepare_cached(
                "INSERT OR REPLACE INTO used (tenant, month, cpu_us, day, log_bytes)
                 SELECT id, ?2, ?3, ?4, ?5 FROM tenants WHERE name = ?1",
            )?;
            for (tenant, Used { month, cpu_us, day, log_bytes }) in all {
                keep.execute(params![tenant.as_str(), month, cpu_us, day, log_bytes])?;
            }
            Ok(())
        });
        Ok(written?)
    }
}
