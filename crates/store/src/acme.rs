//! What is kept for ACME: accounts, orders, and what hosts are asked for meanwhile.

use dayfly_model::platform::{AppId, DomainName, TenantId};
use rusqlite::{OptionalExtension as _, Row, params};
use zeroize::Zeroizing;

use crate::activations::next_generation;
use crate::certificates::{self, CertificateView};
use crate::tenants::parsed;
use crate::{Result, Store, now_ms};

/// How long orders are kept, in milliseconds.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long a challenge is kept that nobody took away.
const CHALLENGE_MS: i64 = 10 * 60 * 1000;

/// A host that an app which is served answers on.
#[derive(Debug, Clone)]
pub struct ServedHost {
    /// The app.
    pub app: AppId,
    /// The domain; nothing for the app's own address, which whoever asks knows.
    pub domain: Option<DomainName>,
}

/// How it stands with a host's certificate.
#[derive(Debug, Clone, Default)]
pub struct HostState {
    /// What it has.
    pub certificate: Option<CertificateView>,
    /// How many orders failed since the last one that did not.
    pub failures: u32,
    /// When the next one may be, after those, in milliseconds since 1970.
    pub again_ms: Option<i64>,
}

/// What is asked of a host by HTTP while a certificate is ordered (RFC 8555, section 8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The host.
    pub host: String,
    /// The last part of the path.
    pub token: String,
    /// The answer.
    pub answer: String,
}

impl Store {
    /// The hosts of all apps that have something active.
    ///
    /// # Errors
    /// If the store fails.
    pub fn served_hosts(&self) -> Result<Vec<ServedHost>> {
        self.read(|db| {
            let mut all = db.prepare_cached(
                "SELECT tenants.name, apps.name, NULL FROM apps
                   JOIN tenants ON tenants.id = tenant
                   WHERE EXISTS (SELECT 1 FROM shares WHERE shares.app = number)
                 UNION ALL
                 SELECT tenants.name, apps.name, domains.name FROM domains
                   JOIN apps ON number = domains.app JOIN tenants ON tenants.id = tenant
                   WHERE EXISTS (SELECT 1 FROM shares WHERE shares.app = number)",
            )?;
            let rows = all.query_and_then([], |row: &Row<'_>| -> Result<ServedHost> {
                let app = AppId { tenant: parsed(row.get(0)?)?, app: parsed(row.get(1)?)? };
                let domain = row.get::<_, Option<String>>(2)?.map(parsed).transpose()?;
                Ok(ServedHost { app, domain })
            })?;
            rows.collect()
        })
    }

    /// How it stands with a host's certificate.
    ///
    /// # Errors
    /// If the store fails.
    pub fn host_state(&self, host: &DomainName) -> Result<HostState> {
        self.read(|db| {
            let text = format!("SELECT {} FROM certificates WHERE host = ?1", certificates::VIEW);
            let mut find = db.prepare_cached(&text)?;
            let found = find.query_row([host.as_str()], |row| Ok(certificates::view(row, 0)));
            let certificate = found.optional()?.transpose()?.flatten();
            let mut count = db.prepare_cached(
                "SELECT count(*), max(again_ms) FROM acme_orders WHERE host = ?1 AND id > (
                   SELECT coalesce(max(id), 0) FROM acme_orders
                   WHERE host = ?1 AND error IS NULL)",
            )?;
            let (failures, again_ms) =
                count.query_row([host.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(HostState { certificate, failures, again_ms })
        })
    }

    /// How many orders there were since a time, of a tenant or of all.
    ///
    /// # Errors
    /// If the store fails.
    pub fn orders_since(&self, tenant: Option<&TenantId>, since_ms: i64) -> Result<u64> {
        self.read(|db| {
            let mut count = db.prepare_cached(
                "SELECT count(*) FROM acme_orders
                 WHERE at_ms > ?1 AND (?2 IS NULL OR tenant = ?2)",
            )?;
            Ok(count
                .query_row(params![since_ms, tenant.map(TenantId::as_str)], |row| row.get(0))?)
        })
    }

    /// Notes an order, before it is made: as one that failed, to be tried again at a time, so that one
    /// that ends with the process counts as well. Its number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn begin_order(&self, tenant: &TenantId, host: &DomainName, again_ms: i64) -> Result<i64> {
        self.write(|db| {
            db.execute("DELETE FROM acme_orders WHERE at_ms < ?1", [now_ms() - KEPT_MS])?;
            db.execute(
                "INSERT INTO acme_orders (tenant, host, at_ms, error, again_ms)
                 VALUES (?1, ?2, ?3, 'it was not finished', ?4)",
                params![tenant.as_str(), host.as_str(), now_ms(), again_ms],
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Notes how an order ended.
    ///
    /// # Errors
    /// If the store fails.
    pub fn end_order(&self, order: i64, error: Option<&str>) -> Result<()> {
        self.write(|db| {
            db.execute(
                "UPDATE acme_orders SET error = ?2,
                   again_ms = CASE WHEN ?2 IS NULL THEN NULL ELSE again_ms END WHERE id = ?1",
                params![order, error],
            )?;
            Ok(())
        })
    }

    /// Has the node answer a challenge.
    ///
    /// # Errors
    /// If the store fails.
    pub fn add_challenge(&self, challenge: &Challenge) -> Result<()> {
        self.write(|db| {
            let now = now_ms();
            db.execute("DELETE FROM acme_challenges WHERE made_ms < ?1", [now - CHALLENGE_MS])?;
            db.execute(
                "INSERT OR REPLACE INTO acme_challenges VALUES (?1, ?2, ?3, ?4, 0)",
                params![challenge.token, challenge.host, challenge.answer, now],
            )?;
            next_generation(db)?;
            Ok(())
        })
    }

    /// Has the node answer a challenge no more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove_challenge(&self, token: &str) -> Result<()> {
        self.write(|db| {
            db.execute("DELETE FROM acme_challenges WHERE token = ?1", [token])?;
            next_generation(db)?;
            Ok(())
        })
    }

    /// The challenges that the node is to answer.
    ///
    /// # Errors
    /// If the store fails.
    pub fn challenges(&self) -> Result<Vec<Challenge>> {
        self.read(|db| {
            let mut all = db.prepare_cached("SELECT host, token, answer FROM acme_challenges")?;
            let rows = all.query_map([], |row| {
                Ok(Challenge { host: row.get(0)?, token: row.get(1)?, answer: row.get(2)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Notes that the node answers these.
    ///
    /// # Errors
    /// If the store fails.
    pub fn note_challenges(&self, challenges: &[Challenge]) -> Result<()> {
        self.write(|db| {
            let mut note = db.prepare_cached(
                "UPDATE acme_challenges SET is_served = 1 WHERE token = ?1 AND is_served = 0",
            )?;
            for challenge in challenges {
                note.execute([&challenge.token])?;
            }
            Ok(())
        })
    }

    /// Whether the node answers a challenge.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_answered(&self, token: &str) -> Result<bool> {
        self.read(|db| {
            Ok(db.query_row(
                "SELECT EXISTS (
                   SELECT 1 FROM acme_challenges WHERE token = ?1 AND is_served = 1)",
                [token],
                |row| row.get(0),
            )?)
        })
    }

    /// The account at an ACME server, as it was kept.
    ///
    /// # Errors
    /// If the store fails.
    pub fn acme_account(&self, directory: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let sealed = self.read(|db| {
            let found = db.query_row(
                "SELECT account FROM acme_accounts WHERE directory = ?1",
                [directory],
                |row| row.get::<_, Vec<u8>>(0),
            );
            Ok(found.optional()?)
        })?;
        sealed.map(|sealed| self.key.open(&account(directory), &sealed)).transpose()
    }

    /// Keeps the account at an ACME server; it has a key, and is encrypted.
    ///
    /// # Errors
    /// If the store fails.
    pub fn keep_acme_account(&self, directory: &str, text: &[u8]) -> Result<()> {
        let sealed = self.key.seal(&account(directory), text)?;
        self.write(|db| {
            let put = "INSERT OR REPLACE INTO acme_accounts VALUES (?1, ?2)";
            db.execute(put, params![directory, sealed])?;
            Ok(())
        })
    }
}

fn account(directory: &str) -> String {
    format!("acme account {directory}")
}
