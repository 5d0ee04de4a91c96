//! Keeps the certificate fresh: looks at its files now and then, and takes them when they changed
//! and are whole. Files that are broken leave the certificate that is in use.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use super::files::{Stamp, certified_key};
use super::{TlsConfig, TlsError};

/// The certificate in use and what it takes to replace it.
pub(crate) struct Reload {
    config: TlsConfig,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    stamp: Stamp,
    /// How often in a row the files that `stamp` tells of could not be used.
    failures: u32,
}

impl Reload {
    pub(super) fn new(config: TlsConfig, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let stamp = Stamp::now(&config);
        let key = Arc::new(certified_key(&config, &provider)?);
        let current = Arc::new(Current(RwLock::new(key)));
        Ok(Self { config, provider, current, stamp, failures: 0 })
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.clone()
    }

    /// Looks at the files for as long as the server runs.
    pub(crate) async fn keep_fresh(&mut self) {
        loop {
            tokio::time::sleep(self.config.reload_interval).await;
            self.look();
        }
    }

    /// Takes the files if they changed. Certificate and key are two files, so they may be caught
    /// between the two writes: only what is still broken at the second look is an error.
    fn look(&mut self) {
        let stamp = Stamp::now(&self.config);
        if stamp == self.stamp && self.failures != 1 {
            return;
        }
        if stamp != self.stamp {
            self.failures = 0;
        }
        self.stamp = stamp;
        let certificate = self.config.certificate.display();
        match certified_key(&self.config, &self.provider) {
            Ok(key) => {
                self.failures = 0;
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!(%certificate, "reloaded the certificate");
            }
            Err(error) => {
                self.failures += 1;
                if self.failures > 1 {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%certificate, %error, cause, hint = error.hint(),
                        "failed to reload the certificate, the former one stays in use");
                }
            }
        }
    }
}

/// The certificate in use; read once a handshake.
#[derive(Debug)]
pub(super) struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    pub(super) fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
