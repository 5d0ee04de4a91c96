//! Certificates of hosts. A chain is public; its key is encrypted, and only the node is told it.

use std::collections::BTreeMap;

use dayfly_model::platform::{AppId, DomainName, Generation};
use dayfly_model::runtime_config::Secret;
use rusqlite::{OptionalExtension as _, Row, params};

use crate::activations::next_generation;
use crate::apps::{app, change};
use crate::audit::Actor;
use crate::domains::number_with;
use crate::{Result, Store, StoreError, Transaction};

/// Where a certificate is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateSource {
    /// Its tenant has uploaded it, and sees to the next one.
    Upload,
    /// The platform had it from an ACME server, and renews it.
    Acme,
}

/// A certificate as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateView {
    /// Where it is from.
    pub source: CertificateSource,
    /// When it begins to be valid, in milliseconds since 1970.
    pub begins_ms: i64,
    /// When it expires.
    pub expires_ms: i64,
}

/// A certificate that is to be kept, checked by whoever keeps it.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// The chain, PEM, the host's own certificate first.
    pub chain: String,
    /// Its key, PEM.
    pub key: Secret,
    /// How it is shown.
    pub view: CertificateView,
}

impl Store {
    /// Keeps the certificate that a tenant has uploaded for one of its domains, instead of the former
    /// one.
    ///
    /// # Errors
    /// If the app does not answer on the domain, or the store fails.
    pub fn upload_certificate(
        &self,
        by: &Actor,
        id: &AppId,
        domain: &DomainName,
        certificate: &NewCertificate,
    ) -> Result<()> {
        self.write(|db| {
            let number = number_with(db, id, domain)?;
            self.put_certificate(db, number, domain, certificate)?;
            by.did(db, change(id, "certificate.upload", Some(domain.to_string())))
        })
    }

    /// Keeps a certificate that was had from an ACME server. Whether it was: it is not where the app
    /// does not answer on the host any more, or the tenant has uploaded another one meanwhile. `own` is
    /// whether the host is the app's own address, which is no domain of it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn keep_ordered(
        &self,
        id: &AppId,
        host: &DomainName,
        own: bool,
        certificate: &NewCertificate,
    ) -> Result<bool> {
        self.write(|db| {
            let found = match own {
                true => app(db, id).map(|app| app.number),
                false => number_with(db, id, host),
            };
            let number = match found {
                Err(StoreError::NotFound(_)) => return Ok(false),
                found => found?,
            };
            let uploaded: bool = db.query_row(
                "SELECT EXISTS (SELECT 1 FROM certificates WHERE host = ?1 AND source = 'upload')",
                [host.as_str()],
                |row| row.get(0),
            )?;
            if uploaded {
                return Ok(false);
            }
            self.put_certificate(db, number, host, certificate)?;
            let by = Actor { name: Some("dayfly serve".to_owned()), ..Actor::default() };
            by.did(db, change(id, "certificate.order", Some(host.to_string())))?;
            Ok(true)
        })
    }

    /// Takes the certificate away that a tenant has uploaded for one of its domains.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn remove_certificate(&self, by: &Actor, id: &AppId, domain: &DomainName) -> Result<()> {
        self.write(|db| {
            number_with(db, id, domain)?;
            let gone = db.execute(
                "DELETE FROM certificates WHERE host = ?1 AND source = 'upload'",
                [domain.as_str()],
            )?;
            if gone == 0 {
                return Err(StoreError::NotFound(format!("uploaded certificate of `{domain}`")));
            }
            next_generation(db)?;
            by.did(db, change(id, "certificate.remove", Some(domain.to_string())))
        })
    }

    /// Which hosts have certificates, and since which generation each.
    ///
    /// # Errors
    /// If the store fails.
    pub fn certificate_stamps(&self) -> Result<BTreeMap<String, Generation>> {
        self.read(|db| {
            let mut all = db.prepare_cached("SELECT host, generation FROM certificates")?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, Generation(row.get(1)?))))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The chain and the key of a host, as the node needs them; nothing if it has none.
    ///
    /// # Errors
    /// If the store fails, or the key cannot be decrypted.
    pub fn certificate_of(&self, host: &str) -> Result<Option<(String, Secret)>> {
        let found = self.read(|db| {
            let found = db.query_row(
                "SELECT chain, key FROM certificates WHERE host = ?1",
                [host],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)),
            );
            Ok(found.optional()?)
        })?;
        let Some((chain, sealed)) = found else { return Ok(None) };
        let key = self.key.open(&place(host), &sealed)?.to_vec();
        // The key itself is in no error.
        let odd = |_| StoreError::record(format!("the key of `{host}` is no text"));
        Ok(Some((chain, Secret(String::from_utf8(key).map_err(odd)?))))
    }

    fn put_certificate(
        &self,
        db: &Transaction<'_>,
        number: i64,
        host: &DomainName,
        certificate: &NewCertificate,
    ) -> Result<()> {
        let NewCertificate { chain, key, view } = certificate;
        let sealed = self.key.seal(&place(host.as_str()), key.0.as_bytes())?;
        let generation = next_generation(db)?;
        db.execute(
            "INSERT OR REPLACE INTO certificates VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                host.as_str(),
                number,
                chain,
                sealed,
                view.source.as_str(),
                view.begins_ms,
                view.expires_ms,
                generation
            ],
        )?;
        Ok(())
    }
}

/// The columns that [`view`] reads.
pub(crate) const VIEW: &str =
    "certificates.source, certificates.begins_ms, certificates.expires_ms";

/// A certificate as it is shown, if there is one; its columns begin at an index.
pub(crate) fn view(row: &Row<'_>, at: usize) -> Result<Option<CertificateView>> {
    let Some(source) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    let source = CertificateSource::parse(&source).ok_or_else(|| StoreError::record(source))?;
    let (begins_ms, expires_ms) = (row.get(at + 1)?, row.get(at + 2)?);
    Ok(Some(CertificateView { source, begins_ms, expires_ms }))
}

impl CertificateSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Acme => "acme",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Upload, Self::Acme].into_iter().find(|source| source.as_str() == text)
    }
}

/// What a key is bound to, so that no other record can take its place.
fn place(host: &str) -> String {
    format!("certificate {host}")
}
