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

    fn add_used(&self, all: &[(TenantId, Used)]) -> Result<(), StoreFailure> {
        let written = self.write(|db| {
            let mut add = db.prepare_cached(
                "INSERT INTO used (tenant, month, cpu_us, day, log_bytes)
                 SELECT id, ?2, ?3, ?4, ?5 FROM tenants WHERE name = ?1
                 ON CONFLICT (tenant) DO UPDATE SET
                   cpu_us = CASE WHEN excluded.month > month THEN excluded.cpu_us
                            ELSE cpu_us + excluded.cpu_us * (excluded.month = month) END,
                   month = max(month, excluded.month),
                   log_bytes = CASE WHEN excluded.day > day THEN excluded.log_bytes
                               ELSE log_bytes + excluded.log_bytes * (excluded.day = day) END,
                   day = max(day, excluded.day)",
            )?;
            for (tenant, Used { month, cpu_us, day, log_bytes }) in all {
                add.execute(params![tenant.as_str(), month, cpu_us, day, log_bytes])?;
            }
            Ok(())
        });
        Ok(written?)
    }
}
