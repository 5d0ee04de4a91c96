//! Whom clients of databases trust.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::tls;

/// How many certificates a guest may bring.
const AUTHORITIES: usize = 64;

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Not at all.
    Plain,
    /// If the server can, whoever it is: who could pose as it could as well say that it cannot.
    IfOffered,
    /// By TLS with a server that is who it says.
    Verified,
}

/// How to speak TLS, if at all: as `usual` says, or with a trust in the authorities that a guest
/// brought beside the platform's.
///
/// # Errors
/// Says why it cannot be.
pub(crate) fn client(
    security: Security,
    usual: impl FnOnce() -> Arc<ClientConfig>,
    own: &[CertificateDer<'static>],
) -> Result<Option<Arc<ClientConfig>>, String> {
    Ok(match security {
        Security::Plain => None,
        Security::IfOffered => Some(tls::unverified()),
        Security::Verified if own.is_empty() => Some(usual()),
        Security::Verified => {
            Some(tls::trusting_also(own.to_vec()).map_err(|error| error.to_string())?)
        }
    })
}

/// The certificates in a text.
///
/// # Errors
/// Says what is wrong with it; that there is none, too.
pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| error.to_string())?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    match certificates.len() {
        0 => Err("there is no certificate in it".to_owned()),
        1..=AUTHORITIES => Ok(certificates),
        _ => Err(format!("there are more than {AUTHORITIES} certificates in it")),
    }
}
