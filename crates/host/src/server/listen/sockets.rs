//! The listening sockets of a node, apart from the node: whoever holds them as well can give them to the
//! next one, and what comes meanwhile waits in the kernel instead of being refused.

use std::io;
use std::os::fd::OwnedFd;

use super::bind::{Bound, Listening, bind};
use super::{ListenAddr, ListenError, LocalAddr};
use crate::server::config::ServerConfig;

/// What comes in at a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// Requests in the clear.
    Clear,
    /// Requests by TLS.
    Tls,
    /// Those that ask for metrics.
    Metrics,
}

/// Listening sockets: the kernel accepts connections for them from when they are made.
pub struct Listeners(Vec<Bound>);

impl Listeners {
    /// Listens where a server is to, and for metrics; with a socket for each worker, but no more than
    /// `most` at one address.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn bind(
        config: &ServerConfig,
        metrics: &[ListenAddr],
        most: usize,
    ) -> Result<Self, ListenError> {
        let listen = if config.is_tls() { Entrance::Tls } else { Entrance::Clear };
        let (workers, backlog) = (config.workers().min(most), config.backlog);
        let mut bound = bind(&config.listen, listen, workers, backlog)?;
        bound.extend(bind(&config.tls_listen, Entrance::Tls, workers, backlog)?);
        bound.extend(bind(metrics, Entrance::Metrics, 1, backlog)?);
        Ok(Self(bound))
    }

    /// None, to which sockets are [added](Self::add).
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds an address that another process has listened on, by its sockets.
    ///
    /// # Errors
    /// If they are no listening sockets of TCP or of Unix.
    pub fn add(&mut self, entrance: Entrance, sockets: Vec<OwnedFd>) -> io::Result<()> {
        self.0.push(Bound::of_handed(entrance, sockets)?);
        Ok(())
    }

    /// Adds those of others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The sockets once more, one list an address, for another process.
    ///
    /// # Errors
    /// If the system denies descriptors.
    pub fn duplicate(&self) -> io::Result<Vec<(Entrance, Vec<OwnedFd>)>> {
        let each = self.0.iter().map(|bound| {
            let sockets = bound.sockets.iter().map(Listening::duplicate);
            Ok((bound.entrance, sockets.collect::<io::Result<_>>()?))
        });
        each.collect()
    }

    /// What is listened on, in the order it was given, and what for.
    pub fn addresses(&self) -> impl Iterator<Item = (Entrance, &LocalAddr)> {
        self.0.iter().map(|bound| (bound.entrance, &bound.local))
    }

    /// Those for requests, and those for metrics.
    pub(crate) fn split(self) -> (Vec<Bound>, Vec<Bound>) {
        self.0.into_iter().partition(|bound| bound.entrance != Entrance::Metrics)
    }
}

impl Entrance {
    const ALL: [Self; 3] = [Self::Clear, Self::Tls, Self::Metrics];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "http",
            Self::Tls => "https",
            Self::Metrics => "metrics",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}
