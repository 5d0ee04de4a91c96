//! PostgreSQL: `fermyon:spin/postgres`, unversioned and 2.0.0, and `spin:postgres` 3 and 4, with the
//! servers that `allowed_outbound_hosts` grants. Sessions are kept for later requests of the same
//! component and address.

mod address;
mod decode;
mod earlier;
mod encode;
#[allow(clippy::result_large_err, reason = "the interface's error, at most one a call")]
mod host;
mod secure;
#[allow(clippy::result_large_err, reason = "the interface's error, at most one a call")]
mod session;
mod value;
mod watched;

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use self::address::{Address, Target};
use self::secure::Secure;
use self::session::{ConnectError, SCHEME, Session};
use crate::dial::Dialer;
use crate::rdbms::bounds::Bounds;
use crate::rdbms::pool::{Key, Lent, Pool};
use crate::rdbms::refused::Refused;
use crate::rdbms::trust;
use crate::registry::Capability;
use crate::tls::Clients;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "postgres",
    interfaces: host::INTERFACES,
    granted_by: &[("allowed_outbound_hosts", host::INTERFACES)],
    link: host::link,
};

/// One component's share of PostgreSQL: what it reaches, and the sessions that it has there. A pool
/// that components shared would hand one of them a session that only another may have.
pub struct Grant {
    dialer: Dialer,
    bounds: Bounds,
    tls: Clients,
    pool: OnceLock<Pool<Session>>,
}

/// Where a guest wants to go.
struct Wanted {
    address: Address,
    /// The authorities that it brought.
    own: Vec<CertificateDer<'static>>,
    key: Key,
}

impl Grant {
    /// A share that reaches what `dialer` connects to, and trusts whom `tls` says.
    pub(crate) fn new(dialer: Dialer, bounds: Bounds, tls: Clients) -> Self {
        Self { dialer, bounds, tls, pool: OnceLock::new() }
    }

    /// A session with the server at an address.
    async fn open(
        &self,
        address: &str,
        own: &[CertificateDer<'static>],
    ) -> Result<Lent<Session>, Refused> {
        let wanted =
            Wanted::new(address, own).map_err(|error| Refused::Failed(error.to_string()))?;
        // All of them before any: else what a guest is told would depend on who answers.
        for Target { host, port, .. } in &wanted.address.targets {
            if self.dialer.hosts().check(SCHEME, host, *port).is_none() {
                return Err(Refused::Destination(host.clone(), *port));
            }
        }
        let pool = self.pool.get_or_init(Pool::default);
        Ok(pool.take(wanted.key, self.connect(&wanted)).await?)
    }

    async fn connect(&self, wanted: &Wanted) -> Result<Session, Refused> {
        let Wanted { address, own, .. } = wanted;
        let mut last = Refused::Failed("the address names no host".to_owned());
        for target in &address.targets {
            let usual = || self.tls.postgres_config(&target.name);
            let client = trust::client(address.security, usual, own).map_err(Refused::Failed)?;
            let secure = self.secure(address, target, client);
            let session = Session::begin(self.dialer.clone(), address, target, secure, self.bounds);
            match session.await {
                Ok(session) => return Ok(session),
                Err(ConnectError::Dial(error)) => last = error.into(),
                Err(error) => last = Refused::Failed(error.to_string()),
            }
        }
        Err(last)
    }

    fn secure(
        &self,
        address: &Address,
        target: &Target,
        client: Option<Arc<ClientConfig>>,
    ) -> Secure {
        Secure {
            security: address.security,
            direct: address.direct,
            name: target.name.clone(),
            client,
            most: self.bounds.bytes,
            meter: Arc::default(),
        }
    }
}

impl Wanted {
    fn new(address: &str, own: &[CertificateDer<'static>]) -> Result<Self, address::AddressError> {
        let mut key = blake3::Hasher::new();
        key.update(&(address.len() as u64).to_le_bytes()).update(address.as_bytes());
        for certificate in own {
            key.update(&(certificate.len() as u64).to_le_bytes()).update(certificate);
        }
        Ok(Self {
            address: Address::parse(address, !own.is_empty())?,
            own: own.to_vec(),
            key: key.finalize().into(),
        })
    }
}
