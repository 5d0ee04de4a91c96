//! Which certificate a client gets: of the host that it names. The table is replaced as a whole, and
//! connections that are there keep what they have.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::reload::Current;

/// Certificates by host, as a server has them now. Clones are the same.
#[derive(Clone, Default)]
pub struct Certificates(Arc<ArcSwap<HashMap<Box<str>, Certified>>>);

/// A certificate with its key, ready to be served.
#[derive(Clone)]
pub struct Certified(Arc<CertifiedKey>);

/// A certificate and a key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertifiedError {
    /// One of them is not PEM, or nothing of that kind.
    #[error("it is not valid PEM")]
    Pem(#[from] pem::Error),
    /// They do not belong together, or are of a kind that cannot be served.
    #[error("it cannot be served")]
    Unusable(#[from] rustls::Error),
}

impl Certified {
    /// A chain, the host's own certificate first, and its key (PKCS #8, PKCS #1 or SEC 1), both PEM.
    ///
    /// # Errors
    /// If they are not that, or do not belong together.
    pub fn of_pem(chain: &str, key: &str) -> Result<Self, CertifiedError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        let chain: Vec<_> = chain.collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(pem::Error::NoItemsFound.into());
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let provider = rustls::crypto::ring::default_provider();
        Ok(Self(Arc::new(CertifiedKey::from_der(chain, key, &provider)?)))
    }
}

impl Certificates {
    /// Serves these from now on, by hosts in lower case.
    pub fn set(&self, table: HashMap<Box<str>, Certified>) {
        self.0.store(Arc::new(table));
    }

    fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.0.load().get(host).map(|Certified(key)| key.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.load().keys()).finish()
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certified")
    }
}

/// Chooses by the host that a client names. Without a table everybody gets the certificate of the
/// files. With one, that is for those who name no host or one that it covers: who names another one is
/// sent away (the alert `access_denied`), instead of being shown what it could not accept.
#[derive(Debug)]
pub(super) struct Resolver {
    files: Option<Arc<Current>>,
    table: Option<Certificates>,
}

impl Resolver {
    pub(super) fn new(files: Option<Arc<Current>>, table: Option<Certificates>) -> Self {
        Self { files, table }
    }

    fn choose(&self, named: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let files = self.files.as_ref().map(|current| current.get());
        let (Some(table), Some(named)) = (&self.table, named) else { return files };
        let host = named.trim_end_matches('.').to_ascii_lowercase();
        table.find(&host).or_else(|| files.filter(|key| covers(key, &host)))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

/// Whether a certificate is for a host.
fn covers(key: &CertifiedKey, host: &str) -> bool {
    let (Some(own), Ok(host)) = (key.cert.first(), ServerName::try_from(host)) else {
        return false;
    };
    let parsed = ParsedCertificate::try_from(own);
    parsed.is_ok_and(|parsed| verify_server_name(&parsed, &host).is_ok())
}
