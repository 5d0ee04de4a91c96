//! TLS: a certificate and its key from PEM files, reloaded when the files change, and a table of
//! certificates by host, which whoever has it replaces.

mod files;
mod reload;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ServerConfig as RustlsConfig;
use tokio_rustls::TlsAcceptor;

use super::config::ServerConfig;
pub(crate) use reload::Reload;
use table::Resolver;
pub use table::{Certificates, Certified, CertifiedError};

/// The certificate of hosts that no other one is for.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// A PEM file with the certificate, and after it the intermediate ones.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key (PKCS #8, PKCS #1 or SEC 1); may be the same.
    pub key: PathBuf,
    /// How often the files are looked at; a change takes effect on new connections.
    pub reload_interval: Duration,
}

impl TlsConfig {
    /// A certificate and its key, looked at every two seconds.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            reload_interval: Duration::from_secs(2),
        }
    }
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not PEM.
    #[error("`{path}` is not a valid PEM file")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("`{path}` holds no certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A PEM file holds no private key.
    #[error("`{path}` holds no private key")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the key in `{key}` does not belong to the certificate in `{certificate}`")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that cannot be served.
    #[error("the certificate in `{certificate}` with the key in `{key}` cannot be served")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// TLS is to be spoken, and there is no certificate.
    #[error("there is an address for TLS, and no certificate")]
    Missing,
    /// The library for TLS does not start.
    #[error("failed to set TLS up")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// What the user can do, where there is something.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCertificate { .. } => {
                Some("the file must have a block that begins with `-----BEGIN CERTIFICATE-----`")
            }
            Self::NoKey { .. } => Some(
                "the file must have a block that begins with `-----BEGIN PRIVATE KEY-----`; a key \
                 with a passphrase must be decrypted first",
            ),
            Self::Mismatch { .. } => {
                Some("the first certificate of the file must be the server's own")
            }
            Self::Missing => Some("name one by `--tls-cert` and `--tls-key`"),
            _ => None,
        }
    }
}

/// Loads the certificate, if there is one in files, and makes what accepts handshakes and what keeps it
/// fresh. Nothing, if the server speaks no TLS.
pub(crate) fn load(
    config: &ServerConfig,
) -> Result<Option<(TlsAcceptor, Option<Reload>)>, TlsError> {
    if config.tls.is_none() && config.certificates.is_none() {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let files = config.tls.clone();
    let reload = files.map(|files| Reload::new(files, provider.clone())).transpose()?;
    let current = reload.as_ref().map(Reload::current);
    let resolver = Resolver::new(current, config.certificates.clone());
    let mut rustls = RustlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    rustls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets that clients keep: resumption needs no table that all cores would share.
    rustls.ticketer = rustls::crypto::ring::Ticketer::new()?;
    rustls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Some((TlsAcceptor::from(Arc::new(rustls)), reload)))
}
