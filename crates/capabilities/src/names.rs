//! Name look-ups. The system's resolver blocks a thread for as long as it likes (seconds, where a
//! name server is silent), so look-ups are bounded, for each component and in all; and because a
//! look-up tells the name's servers something, only names that the component was granted are
//! looked up at all.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::outbound::{OutboundHosts, Protocol};
use dayfly_model::runtime_config::OutboundNetworking;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::rehearsal::Rehearsal;

/// How long a look-up may take, its wait for a turn included.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many look-ups of one component run at once; others wait.
const PER_COMPONENT: usize = 4;

/// How many look-ups run at once in all; a quarter of one worker's threads for what blocks.
static TURNS: Semaphore = Semaphore::const_new(32);

/// How many addresses are remembered with the name that led to them, and how long.
const REMEMBERED: usize = 256;
const REMEMBER: Duration = Duration::from_secs(600);

/// Why a name led to no address.
#[derive(Debug, Error)]
pub(crate) enum LookupError {
    #[error("the name is neither a host name nor an address")]
    Malformed,
    #[error("the name is not granted")]
    NotGranted,
    #[error("the name did not resolve in time")]
    Timeout,
    #[error("the name did not resolve")]
    Failed(#[source] std::io::Error),
}

/// The look-ups of one component, shared by its instances.
pub(crate) struct Names {
    hosts: Arc<OutboundHosts>,
    networking: OutboundNetworking,
    turns: Arc<Semaphore>,
    found: Mutex<VecDeque<Found>>,
    /// The test that is running, and the component's name in it.
    rehearsal: Option<(Arc<str>, Arc<dyn Rehearsal>)>,
}

/// An address that a granted name led to.
struct Found {
    address: IpAddr,
    name: String,
    until: Instant,
}

impl Names {
    pub(crate) fn new(hosts: Arc<OutboundHosts>) -> Self {
        let turns = Arc::new(Semaphore::new(PER_COMPONENT));
        let networking = OutboundNetworking::default();
        Self { hosts, networking, turns, found: Mutex::default(), rehearsal: None }
    }

    /// The same, but for the addresses that nobody reaches.
    pub(crate) fn within(self, networking: OutboundNetworking) -> Self {
        Self { networking, ..self }
    }

    /// The same for a component of an app that is tested.
    pub(crate) fn rehearsed(self, component: &Arc<str>, by: Option<Arc<dyn Rehearsal>>) -> Self {
        Self { rehearsal: by.map(|by| (component.clone(), by)), ..self }
    }

    /// The test that is running, if one is.
    pub(crate) fn rehearsal(&self) -> Option<&Arc<dyn Rehearsal>> {
        self.rehearsal.as_ref().map(|(_, rehearsal)| rehearsal)
    }

    /// Whether what was granted is really reached: only a test keeps it from that.
    fn is_real(
        &self,
        real: impl FnOnce(&OutboundHosts) -> bool,
        place: fmt::Arguments<'_>,
    ) -> bool {
        let Some((component, rehearsal)) = &self.rehearsal else { return true };
        let is_real = real(rehearsal.real());
        if !is_real {
            rehearsal.kept_in(component, &place.to_string());
        }
        is_real
    }

    /// Whether a server that was granted is really reached.
    pub(crate) fn reaches(&self, scheme: &str, host: &str, port: u16) -> bool {
        let real = |real: &OutboundHosts| real.check(scheme, host, port).is_some();
        self.is_real(real, format_args!("{scheme}://{host}:{port}"))
    }

    /// Whether nobody reaches an address, whatever was granted.
    pub(crate) fn blocks(&self, address: IpAddr) -> bool {
        self.networking.blocks(address)
    }

    /// What the component was granted.
    pub(crate) fn hosts(&self) -> &OutboundHosts {
        &self.hosts
    }

    /// The addresses of a name or an address, as far as any grant could permit them.
    pub(crate) async fn granted(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let name = match url::Host::parse(name) {
            Ok(url::Host::Domain(name)) => name,
            Ok(url::Host::Ipv4(address)) => return Ok(vec![address.into()]),
            Ok(url::Host::Ipv6(address)) => return Ok(vec![address.into()]),
            // The URL standard wants brackets around the colons.
            Err(_) => match name.parse() {
                Ok(address) => return Ok(vec![address]),
                Err(_) => return Err(LookupError::Malformed),
            },
        };
        if !self.hosts.may_resolve(&name) {
            return Err(LookupError::NotGranted);
        }
        if !self.is_real(|real| real.may_resolve(&name), format_args!("the name {name}")) {
            return Err(LookupError::NotGranted);
        }
        let mut addresses = self.resolve(&name).await?;
        addresses.retain(|address| self.hosts.may_reach(*address) && !self.blocks(*address));
        self.remember(&name, &addresses);
        Ok(addresses)
    }

    /// The addresses of a name, whatever they are.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let name = name.to_owned();
        let turns = self.turns.clone();
        let lookup = async move {
            // The semaphores are never closed. A look-up that is given up keeps its turns until
            // its thread is free again.
            let own = turns.acquire_owned().await;
            let shared = TURNS.acquire().await;
            let resolved = tokio::task::spawn_blocking(move || {
                let _turns = (own, shared);
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
            });
            resolved.await.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
        };
        match timeout(PATIENCE, lookup).await {
            Ok(Ok(addresses)) => {
                let mut found: Vec<IpAddr> = Vec::new();
                for address in addresses.iter().map(|address| address.ip().to_canonical()) {
                    if !found.contains(&address) {
                        found.push(address);
                    }
                }
                Ok(found)
            }
            Ok(Err(error)) => Err(LookupError::Failed(error)),
            Err(_) => Err(LookupError::Timeout),
        }
    }

    /// Whether a socket may send to an address: because the address is granted, or because a
    /// granted name led to it.
    pub(crate) fn permits(&self, protocol: Protocol, address: SocketAddr) -> bool {
        if self.blocks(address.ip()) {
            return false;
        }
        if self.hosts.check_socket(protocol, address) {
            let scheme = protocol.scheme();
            let real = |real: &OutboundHosts| real.check_socket(protocol, address);
            return self.is_real(real, format_args!("{scheme}://{address}"));
        }
        let ip = address.ip().to_canonical();
        let now = Instant::now();
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.iter().filter(|found| found.address == ip && found.until > now).any(|found| {
            let (scheme, port) = (protocol.scheme(), address.port());
            let scope = self.hosts.check(scheme, &found.name, port);
            scope.is_some_and(|scope| scope.permits(ip)) && self.reaches(scheme, &found.name, port)
        })
    }

    fn remember(&self, name: &str, addresses: &[IpAddr]) {
        let until = Instant::now() + REMEMBER;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for &address in addresses {
            found.retain(|old| old.address != address || old.name != name);
            if found.len() == REMEMBERED {
                found.pop_front();
            }
            found.push_back(Found { address, name: name.to_owned(), until });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(entries: &[&str]) -> Names {
        Names::new(Arc::new(OutboundHosts::parse(entries).unwrap()))
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_granted_name_opens_the_addresses_it_leads_to() {
        let names = names(&["tcp://localhost:7000"]);
        assert!(!names.permits(Protocol::Tcp, socket("127.0.0.1:7000")));
        let found = names.granted("localhost").await.unwrap();
        assert!(found.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(names.permits(Protocol::Tcp, socket("127.0.0.1:7000")));
        assert!(names.permits(Protocol::Tcp, socket("[::ffff:127.0.0.1]:7000")));
        assert!(!names.permits(Protocol::Tcp, socket("127.0.0.1:7001")));
        assert!(!names.permits(Protocol::Tcp, socket("127.0.0.2:7000")));
        assert!(!names.permits(Protocol::Udp, socket("127.0.0.1:7000")));
    }

    #[tokio::test]
    async fn blocked_networks_are_reached_by_no_grant() {
        let config = "[outbound_networking]\nblock_networks = [\"127.0.0.0/8\", \"::1\"]\n";
        let config = dayfly_model::RuntimeConfig::parse(config, "c", std::path::Path::new("."));
        let networking = config.unwrap().outbound_networking;
        let names = names(&["*://127.0.0.1:*", "*://localhost:*", "tcp://10.0.0.1:*"]);
        let names = names.within(networking);
        for address in ["127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[::1]:80"] {
            assert!(!names.permits(Protocol::Tcp, socket(address)), "{address}");
        }
        assert!(names.granted("localhost").await.unwrap().is_empty());
        assert!(!names.permits(Protocol::Udp, socket("127.0.0.1:80")));
        assert!(names.permits(Protocol::Tcp, socket("10.0.0.1:80")));
    }

    #[tokio::test]
    async fn other_names_are_not_looked_up() {
        for entries in [&["https://api.example.com"][..], &["https://*.example.com"], &[]] {
            let refused = names(entries).granted("secret.attacker.example").await;
            assert!(matches!(refused, Err(LookupError::NotGranted)), "{refused:?}");
        }
        assert!(names(&["*://*:*"]).granted("not a name").await.is_err());
    }

    #[tokio::test]
    async fn addresses_that_no_grant_permits_are_not_told() {
        // `*` means public addresses; this name leads to none.
        assert!(names(&["tcp://*:80"]).granted("localhost").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let names = names(&["tcp://*:80"]);
        for last in 0..=255 {
            names.remember("a.example", &[IpAddr::from([8, 8, 8, last])]);
            names.remember("a.example", &[IpAddr::from([8, 8, 8, last])]);
            names.remember("b.example", &[IpAddr::from([8, 8, 8, last])]);
        }
        assert_eq!(names.found.lock().unwrap().len(), REMEMBERED);
    }

    #[tokio::test]
    async fn look_ups_of_one_component_take_turns() {
        let names = names(&["tcp://localhost:80"]);
        let held = names.turns.clone().acquire_many_owned(PER_COMPONENT as u32).await.unwrap();
        tokio::time::pause();
        assert!(matches!(names.granted("localhost").await, Err(LookupError::Timeout)));
        drop(held);
        tokio::time::resume();
        assert!(names.granted("localhost").await.is_ok());
    }
}
