//! MySQL and MariaDB: `fermyon:spin/mysql`, unversioned and 2.0.0, and `spin:mysql` 3, with the
//! servers that `allowed_outbound_hosts` grants. The protocol is spoken here: the libraries for it
//! open connections of their own, and trust the server with how much memory they take.

mod address;
mod handshake;
mod host;
mod result;
mod secret;
mod session;
mod wire;

use std::sync::{Arc, OnceLock};

use self::address::Address;
use self::session::{Place, SCHEME, Session};
use crate::dial::Dialer;
use crate::rdbms::bounds::Bounds;
use crate::rdbms::pool::{Lent, Pool};
use crate::rdbms::refused::Refused;
use crate::rdbms::trust;
use crate::registry::Capability;
use crate::tls::Clients;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "mysql",
    interfaces: host::INTERFACES,
    granted_by: &[("allowed_outbound_hosts", host::INTERFACES)],
    link: host::link,
};

/// One component's share of MySQL: what it reaches, and the sessions that it has there.
pub struct Grant {
    dialer: Dialer,
    bounds: Bounds,
    tls: Clients,
    pool: OnceLock<Pool<Session>>,
}

impl Grant {
    /// A share that reaches what `dialer` connects to, and trusts whom `tls` says.
    pub(crate) fn new(dialer: Dialer, bounds: Bounds, tls: Clients) -> Self {
        Self { dialer, bounds, tls, pool: OnceLock::new() }
    }

    /// A session with the server at an address.
    async fn open(&self, text: &str) -> Result<Lent<Session>, Refused> {
        let address = Address::parse(text).map_err(|error| Refused::Failed(error.to_string()))?;
        if self.dialer.hosts().check(SCHEME, &address.host, address.port).is_none() {
            return Err(Refused::Destination(address.host, address.port));
        }
        let key = blake3::hash(text.as_bytes()).into();
        let pool = self.pool.get_or_init(Pool::default);
        Ok(pool.take(key, self.connect(address)).await?)
    }

    async fn connect(&self, address: Address) -> Result<Session, Refused> {
        let usual = || self.tls.config(&address.host);
        let client = trust::client(address.security, usual, &[]).map_err(Refused::Failed)?;
        let address = Arc::new(address);
        Session::begin(Place { dialer: self.dialer.clone(), address, client }, self.bounds).await
    }
}

/// Reads what a server sends, packets with their length in two bytes before each: a greeting, then
/// a result.
#[cfg(fuzzing)]
pub fn fuzz(sent: &[u8]) {
    let mut rest = sent;
    let mut packets = std::iter::from_fn(|| {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (packet, after) = after.split_at(after.len().min(u16::from_le_bytes(*length).into()));
        rest = after;
        Some(packet)
    });
    let Some(greeting) = packets.next() else { return };
    handshake::fuzz(greeting);
    let mut columns = Vec::new();
    for packet in packets {
        let _ = (result::answer(packet), result::prepared(packet), result::columns(packet));
        let _ = result::row(packet, &columns);
        columns.extend(result::column(packet).ok().filter(|_| columns.len() < 64));
    }
}
