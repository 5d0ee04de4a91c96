//! How many connections of an app may be open, of each kind and in all, where its operator says so
//! in the runtime configuration. What bounds every component and the process is in
//! [`crate::dial`].

use std::sync::Arc;

use dayfly_model::RuntimeConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of one app; the default bounds nothing.
#[derive(Default)]
pub(crate) struct Connections {
    all: Bound,
    sockets: Bound,
    http: Bound,
    redis: Bound,
    mqtt: Bound,
    postgres: Bound,
    mysql: Bound,
}

/// At most so many at once, if anything was said.
#[derive(Default)]
struct Bound(Option<Arc<Semaphore>>);

/// Leave for one connection, given back when dropped.
#[derive(Default)]
pub(crate) struct Leave {
    _kind: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Connections {
    pub(crate) fn new(config: &RuntimeConfig) -> Self {
        let networking = &config.outbound_networking;
        let limits = &config.connection_limits;
        Self {
            all: Bound::new(networking.max_connections),
            sockets: Bound::new(networking.max_sockets),
            http: Bound::new(config.outbound_http.max_connections),
            redis: Bound::new(limits.redis),
            mqtt: Bound::new(limits.mqtt),
            postgres: Bound::new(limits.postgres),
            mysql: Bound::new(limits.mysql),
        }
    }

    fn of_scheme(&self, scheme: &str) -> Option<&Bound> {
        match scheme {
            "http" | "https" => Some(&self.http),
            "redis" | "rediss" => Some(&self.redis),
            "mqtt" | "mqtts" => Some(&self.mqtt),
            "postgres" | "postgresql" => Some(&self.postgres),
            "mysql" => Some(&self.mysql),
            _ => None,
        }
    }

    /// Waits for leave to connect for a scheme; `None` where there never is any.
    pub(crate) async fn wait(&self, scheme: &str) -> Option<Leave> {
        let kind = match self.of_scheme(scheme) {
            Some(bound) => bound.wait().await?,
            None => None,
        };
        Some(Leave { _kind: kind, _all: self.all.wait().await? })
    }

    /// Leave for a socket of a guest, if there is any now.
    pub(crate) fn socket(&self) -> Option<Leave> {
        Some(Leave { _kind: self.sockets.take()?, _all: self.all.take()? })
    }
}

impl Bound {
    fn new(limit: Option<usize>) -> Self {
        Self(limit.map(|limit| {
            let permits = Semaphore::new(limit.min(Semaphore::MAX_PERMITS));
            if limit == 0 {
                permits.close();
            }
            Arc::new(permits)
        }))
    }

    /// Waits for a turn. Semaphores are closed where no turn ever comes.
    async fn wait(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.0 {
            None => Some(None),
            Some(permits) => permits.clone().acquire_owned().await.ok().map(Some),
        }
    }

    fn take(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.0 {
            None => Some(None),
            Some(permits) => permits.clone().try_acquire_owned().ok().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn connections(text: &str) -> Connections {
        let config = RuntimeConfig::parse(text, "c.toml", Path::new(".")).unwrap();
        Connections::new(&config)
    }

    async fn takes(connections: &Connections, scheme: &str) -> Option<Leave> {
        let patience = std::time::Duration::from_millis(20);
        tokio::time::timeout(patience, connections.wait(scheme)).await.ok().flatten()
    }

    #[tokio::test]
    async fn nothing_is_bounded_by_default() {
        let connections = Connections::default();
        let held: Vec<_> = (0..1000).filter_map(|_| connections.socket()).collect();
        assert_eq!(held.len(), 1000);
        assert!(takes(&connections, "https").await.is_some());
    }

    #[tokio::test]
    async fn each_kind_has_its_bound_and_all_share_one() {
        let connections = connections(
            "[outbound_networking]\nmax_total_connections = 3\nmax_socket_connections = 2\n\
             [outbound_http]\nmax_connections = 1\n[outbound_redis]\nmax_connections = 0\n",
        );
        let http = takes(&connections, "http").await.expect("the first");
        assert!(takes(&connections, "https").await.is_none(), "one of HTTP");
        assert!(takes(&connections, "redis").await.is_none(), "none of Redis");
        let socket = connections.socket().expect("the second of all");
        let another = connections.socket().expect("the third");
        assert!(connections.socket().is_none(), "two sockets");
        drop(another);
        let postgres = takes(&connections, "postgres").await.expect("the third of all");
        assert!(takes(&connections, "mysql").await.is_none(), "three of all");
        assert!(connections.socket().is_none(), "three of all");
        drop((http, postgres));
        assert!(takes(&connections, "https").await.is_some());
        assert!(connections.socket().is_some());
        drop(socket);
    }
}
