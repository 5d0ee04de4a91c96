//! Custom domains. One has one app, whosever that is, and a tenant has those that the operator gives it.

use dayfly_model::platform::{AppId, DomainName};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::activations::changed;
use crate::apps::{app, change};
use crate::audit::Actor;
use crate::certificates::{self, CertificateView};
use crate::previews::live;
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// A custom domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The host.
    pub name: DomainName,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// Its own certificate, if it has one.
    pub certificate: Option<CertificateView>,
    /// Why the last order of one failed, if it did.
    pub order_error: Option<String>,
}

/// A domain's columns, as [`of_row`] reads them. An order that is under way has not failed.
const COLUMNS: &str = "SELECT domains.name, domains.created_ms, certificates.source,
    certificates.begins_ms, certificates.expires_ms,
    (SELECT CASE WHEN error = 'it was not finished' AND at_ms > (unixepoch() - 300) * 1000
       THEN NULL ELSE error END FROM acme_orders WHERE acme_orders.host = domains.name
       AND acme_orders.tenant = (SELECT tenants.name FROM tenants JOIN apps ON tenant = tenants.id
                                 WHERE number = domains.app)
     ORDER BY id DESC LIMIT 1)
    FROM domains LEFT JOIN certificates ON certificates.host = domains.name";

impl Store {
    /// Has an app answer on a domain, which its tenant was given unless the operator says so.
    ///
    /// # Errors
    /// If the tenant was not given it, another app answers on it, the tenant has too many, there is no such
    /// app, or the store fails.
    pub fn add_domain(
        &self,
        by: &Actor,
        id: &AppId,
        name: &DomainName,
        is_operator: bool,
    ) -> Result<Domain> {
        self.write(|db| {
            let number = live(db, id)?.number;
            let found =
                db.query_row("SELECT app FROM domains WHERE name = ?1", [name.as_str()], |row| {
                    row.get::<_, i64>(0)
                });
            let (found, owner) = (found.optional()?, tenant(db, &id.tenant)?);
            if found == Some(number) {
                return domain(db, name);
            }
            // Before anybody learns whether it is there.
            if !is_operator && !owner.domains.iter().any(|given| given.covers(name)) {
                let (tenant, domain, given) = (id.tenant.clone(), name.clone(), owner.domains);
                return Err(StoreError::NotGiven { tenant, domain, given });
            }
            if found.is_some() {
                // Whose it is, is nobody's business.
                return Err(StoreError::Taken(format!("the domain `{name}`")));
            }
            let limit = u64::from(owner.quotas.domains);
            let count: u64 = db.query_row(
                "SELECT count(*) FROM domains JOIN apps ON number = app WHERE tenant = ?1",
                [owner.id],
                |row| row.get(0),
            )?;
            if count >= limit {
                return Err(StoreError::Quota { quota: "domains", limit, needed: count + 1 });
            }
            db.execute(
                "INSERT INTO domains VALUES (?1, ?2, ?3)",
                params![name.as_str(), number, now_ms()],
            )?;
            changed(db, number)?;
            by.did(db, change(id, "domain.add", Some(name.to_string())))?;
            domain(db, name)
        })
    }

    /// An app's domains by name, those behind one.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn domains(&self, id: &AppId, after: Option<&str>, limit: u32) -> Result<Vec<Domain>> {
        self.read(|db| {
            let mut all = db.prepare_cached(&format!(
                "{COLUMNS} WHERE domains.app = ?1 AND domains.name > ?2
                 ORDER BY domains.name LIMIT ?3"
            ))?;
            let number = app(db, id)?.number;
            let rows = all.query_and_then(params![number, after.unwrap_or(""), limit], of_row)?;
            rows.collect()
        })
    }

    /// A domain of an app's.
    ///
    /// # Errors
    /// If the app does not answer on it, there is no such app, or the store fails.
    pub fn domain(&self, id: &AppId, name: &DomainName) -> Result<Domain> {
        self.read(|db| {
            number_with(db, id, name)?;
            domain(db, name)
        })
    }

    /// Has an app answer on a domain no more.
    ///
    /// # Errors
    /// If it does not, there is no such app, or the store fails.
    pub fn remove_domain(&self, by: &Actor, id: &AppId, name: &DomainName) -> Result<()> {
        self.write(|db| {
            let number = app(db, id)?.number;
            let gone = db.execute(
                "DELETE FROM domains WHERE name = ?1 AND app = ?2",
                params![name.as_str(), number],
            )?;
            if gone == 0 {
                return Err(StoreError::NotFound(format!("domain `{name}`")));
            }
            // Whoever has the domain next has nothing of it.
            db.execute("DELETE FROM certificates WHERE host = ?1", [name.as_str()])?;
            changed(db, number)?;
            by.did(db, change(id, "domain.remove", Some(name.to_string())))
        })
    }
}

/// The number of an app that answers on a domain.
pub(crate) fn number_with(db: &Transaction<'_>, id: &AppId, domain: &DomainName) -> Result<i64> {
    let number = app(db, id)?.number;
    let found: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM domains WHERE name = ?1 AND app = ?2)",
        params![domain.as_str(), number],
        |row| row.get(0),
    )?;
    match found {
        true => Ok(number),
        false => Err(StoreError::NotFound(format!("domain `{domain}`"))),
    }
}

fn domain(db: &Transaction<'_>, name: &DomainName) -> Result<Domain> {
    let mut find = db.prepare_cached(&format!("{COLUMNS} WHERE domains.name = ?1"))?;
    find.query_row([name.as_str()], |row| Ok(of_row(row)))?
}

fn of_row(row: &Row<'_>) -> Result<Domain> {
    Ok(Domain {
        name: parsed(row.get(0)?)?,
        created_ms: row.get(1)?,
        certificate: certificates::view(row, 2)?,
        order_error: row.get(5)?,
    })
}
