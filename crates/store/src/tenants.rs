//! Tenants.

use dayfly_model::platform::{DomainPattern, Isolation, Quotas, TenantId};
use rusqlite::{OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use crate::activations::next_generation;
use crate::audit::{Actor, Change};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name.
    pub name: TenantId,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// What it may take.
    pub quotas: Quotas,
    /// Whether its releases get whatever they ask for.
    pub accepts_grants: bool,
    /// The domains that its apps may have; those that they have already stay.
    pub domains: Vec<DomainPattern>,
    /// Which process its guests run in.
    pub isolation: Isolation,
    /// How many apps it has.
    pub apps: u64,
    /// What all its blobs come to, and its releases as they are laid out.
    pub storage_bytes: u64,
    /// Which terms it has: other ones have another version.
    pub version: String,
    pub(crate) id: i64,
}

/// The terms of a tenant; where it is changed, those that change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// What it may take.
    pub quotas: Option<&'a Quotas>,
    /// Whether its releases get whatever they ask for.
    pub accepts_grants: Option<bool>,
    /// All the domains that its apps may have.
    pub domains: Option<&'a [DomainPattern]>,
    /// Which process its guests run in.
    pub isolation: Option<Isolation>,
    /// How many tenants may have a process of their own, where this one is to.
    pub own_processes: u32,
    /// The [version](Tenant::version) that is changed, where no other one is to be.
    pub expected: Option<&'a str>,
}

/// How many domains and patterns of domains one tenant is given.
const MAX_DOMAINS: usize = 200;

const COLUMNS: &str = "SELECT id, name, created_ms, quotas, accepts_grants, isolation,
    (SELECT count(*) FROM apps WHERE apps.tenant = tenants.id),
    (SELECT coalesce(sum(bytes), 0) FROM blobs WHERE blobs.tenant = tenants.id)
      + (SELECT coalesce(sum(bytes), 0) FROM laid_out WHERE laid_out.tenant = tenants.id), domains
    FROM tenants";

impl Store {
    /// Makes a tenant.
    ///
    /// # Errors
    /// If its name is taken, it is given too many domains, there is no process for it, or the store fails.
    pub fn make_tenant(&self, by: &Actor, name: &TenantId, terms: Terms<'_>) -> Result<Tenant> {
        self.write(|db| {
            if find(db, name)?.is_some() {
                return Err(StoreError::Taken(format!("the name `{name}`")));
            }
            let quotas = json(&terms.quotas.cloned().unwrap_or_default())?;
            db.execute(
                "INSERT INTO tenants (name, created_ms, quotas, accepts_grants)
                 VALUES (?1, ?2, ?3, FALSE)",
                params![name.as_str(), now_ms(), quotas],
            )?;
            let stated = terms.quotas.is_some().then_some(quotas);
            by.did(db, change(name, "tenant.make", stated))?;
            trust(db, by, name, &terms)?;
            give_domains(db, by, name, &terms)?;
            isolate(db, by, name, &terms)?;
            tenant(db, name)
        })
    }

    /// A tenant.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn tenant(&self, name: &TenantId) -> Result<Tenant> {
        self.read(|db| tenant(db, name))
    }

    /// Tenants by name, those behind one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tenants(&self, after: Option<&str>, limit: u32) -> Result<Vec<Tenant>> {
        self.read(|db| {
            let text = format!("{COLUMNS} WHERE name > ?1 ORDER BY name LIMIT ?2");
            let mut all = db.prepare_cached(&text)?;
            let rows = all.query_and_then(params![after.unwrap_or(""), limit], of_row)?;
            rows.collect()
        })
    }

    /// Changes a tenant's terms; what is not stated stays.
    ///
    /// # Errors
    /// If there is none, it has another version than is expected, it is given too many domains, there is no
    /// process for it, or the store fails.
    pub fn change_tenant(&self, by: &Actor, name: &TenantId, terms: Terms<'_>) -> Result<Tenant> {
        self.write(|db| {
            let before = tenant(db, name)?;
            if terms.expected.is_some_and(|expected| expected != before.version) {
                return Err(StoreError::Rewritten(format!("tenant `{name}`")));
            }
            let quotas = json(terms.quotas.unwrap_or(&before.quotas))?;
            db.execute("UPDATE tenants SET quotas = ?2 WHERE id = ?1", params![before.id, quotas])?;
            // The node has the quotas with each app.
            let generation = next_generation(db)?;
            db.execute(
                "UPDATE apps SET generation = ?2 WHERE tenant = ?1",
                params![before.id, generation],
            )?;
            by.did(db, change(name, "tenant.change", Some(quotas)))?;
            trust(db, by, name, &terms)?;
            give_domains(db, by, name, &terms)?;
            isolate(db, by, name, &terms)?;
            tenant(db, name)
        })
    }

    /// Removes a tenant, and its tokens.
    ///
    /// # Errors
    /// If it has apps, or there is none, or the store fails.
    pub fn remove_tenant(&self, by: &Actor, name: &TenantId) -> Result<()> {
        self.write(|db| {
            let found = tenant(db, name)?;
            if found.apps > 0 {
                let count = found.apps;
                return Err(StoreError::InUse(format!("tenant `{name}` has {count} apps still")));
            }
            db.execute("DELETE FROM tenants WHERE id = ?1", [found.id])?;
            by.did(db, change(name, "tenant.remove", None))
        })
    }
}

/// Has a tenant's releases get what they ask for, or have that accepted first, if its terms say it anew.
fn trust(db: &Transaction<'_>, by: &Actor, name: &TenantId, terms: &Terms<'_>) -> Result<()> {
    let before = tenant(db, name)?;
    let Some(accepts) = terms.accepts_grants.filter(|it| *it != before.accepts_grants) else {
        return Ok(());
    };
    db.execute(
        "UPDATE tenants SET accepts_grants = ?2 WHERE id = ?1",
        params![before.id, accepts],
    )?;
    let policy = if accepts { "accept" } else { "ask" };
    by.did(db, change(name, "tenant.grants", Some(policy.to_owned())))
}

/// Gives a tenant the domains that its terms name, if they name any anew.
fn give_domains(
    db: &Transaction<'_>,
    by: &Actor,
    name: &TenantId,
    terms: &Terms<'_>,
) -> Result<()> {
    let Some(domains) = terms.domains else { return Ok(()) };
    if domains.len() > MAX_DOMAINS {
        return Err(StoreError::Invalid(format!(
            "a tenant is given {MAX_DOMAINS} domains at most"
        )));
    }
    db.execute(
        "UPDATE tenants SET domains = ?2 WHERE name = ?1",
        params![name.as_str(), json(&domains)?],
    )?;
    let listed: Vec<_> = domains.iter().map(DomainPattern::as_str).collect();
    by.did(db, change(name, "tenant.domains", Some(listed.join(" "))))
}

/// Has a tenant's guests run where its terms say, if they say it anew.
fn isolate(db: &Transaction<'_>, by: &Actor, name: &TenantId, terms: &Terms<'_>) -> Result<()> {
    let before = tenant(db, name)?;
    let Some(isolation) = terms.isolation.filter(|it| *it != before.isolation) else {
        return Ok(());
    };
    if isolation == Isolation::OwnProcess {
        let count = "SELECT count(*) FROM tenants WHERE isolation = 'own-process'";
        let there: u32 = db.query_row(count, [], |row| row.get(0))?;
        let most = terms.own_processes;
        if there >= most {
            return Err(StoreError::InUse(format!(
                "{there} tenants have processes of their own, of {most} that this platform has \
                 room for (`dayfly serve --own-processes`)"
            )));
        }
    }
    db.execute(
        "UPDATE tenants SET isolation = ?2 WHERE id = ?1",
        params![before.id, isolation.as_str()],
    )?;
    by.did(db, change(name, "tenant.isolate", Some(isolation.to_string())))
}

/// A tenant, or the error that there is none.
pub(crate) fn tenant(db: &Transaction<'_>, name: &TenantId) -> Result<Tenant> {
    find(db, name)?.ok_or_else(|| StoreError::NotFound(format!("tenant `{name}`")))
}

fn find(db: &Transaction<'_>, name: &TenantId) -> Result<Option<Tenant>> {
    let mut find = db.prepare_cached(&format!("{COLUMNS} WHERE name = ?1"))?;
    let found = find.query_row([name.as_str()], |row| Ok(of_row(row)));
    found.optional()?.transpose()
}

fn of_row(row: &Row<'_>) -> Result<Tenant> {
    let (id, accepts_grants): (i64, bool) = (row.get(0)?, row.get(4)?);
    let (quotas, domains): (String, String) = (row.get(3)?, row.get(8)?);
    let isolation: String = row.get(5)?;
    let terms = json(&(id, accepts_grants, &quotas, &domains, &isolation))?;
    Ok(Tenant {
        id,
        name: parsed(row.get(1)?)?,
        created_ms: row.get(2)?,
        quotas: serde_json::from_str(&quotas).map_err(StoreError::record)?,
        accepts_grants,
        domains: serde_json::from_str(&domains).map_err(StoreError::record)?,
        isolation: parsed(isolation)?,
        apps: row.get(6)?,
        storage_bytes: row.get(7)?,
        version: version(&terms),
    })
}

/// What terms are told from others by.
fn version(terms: &str) -> String {
    let digest = Sha256::digest(terms.as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn change<'a>(name: &'a TenantId, action: &'static str, detail: Option<String>) -> Change<'a> {
    Change { tenant: Some(name.as_str()), action, object: name.as_str(), detail }
}

/// A record as JSON.
pub(crate) fn json(record: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(record).map_err(StoreError::record)
}

/// A name that was legal when it was written.
pub(crate) fn parsed<T>(text: String) -> Result<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    T::try_from(text).map_err(StoreError::record)
}
