//! TLS towards a collector: the platform's roots, or those of a file, and a certificate of one's own.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is not there, or not in PEM.
    #[error("failed to read it as PEM")]
    Pem(#[from] PemError),
    /// What is in it cannot be used.
    #[error("failed to use what is in it")]
    Rustls(#[from] rustls::Error),
    /// There is nothing in it.
    #[error("there is no certificate in it")]
    Empty,
}

pub(super) type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(TlsError::Empty) } else { Ok(certificates) }
}

/// The roots in a file.
pub(super) fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// A certificate chain of one's own, and its key.
pub(super) fn own(chain: &Path, key: &Path) -> Result<Own, TlsError> {
    Ok((certificates(chain)?, PrivateKeyDer::from_pem_file(key)?))
}

/// The settings of a client; gRPC speaks nothing but HTTP/2.
pub(super) fn config(
    roots: Option<RootCertStore>,
    own: Option<Own>,
    _grpc: bool,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.try_with_platform_verifier()?,
    };
    Ok(match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    })
}
