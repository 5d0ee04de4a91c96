//! Where a platform listens: at sockets that systemd gives it (`LISTEN_FDS`), and for what those are not
//! at the addresses of its flags. The supervisor keeps them open for as long as it runs.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, anyhow};
use dayfly_host::{Entrance, Listeners};
use listenfd::ListenFd;

use super::handing::{ADMIN, Handed, MOST};
use crate::clients::ClientArgs;
use crate::node::NodeArgs;
use crate::report;

/// The sockets of a platform.
pub(crate) struct Sockets {
    node: Listeners,
    admin: TcpListener,
}

impl Sockets {
    /// Takes systemd's sockets, and listens where there are none. To be called before any other thread is
    /// there, because the environment says which.
    ///
    /// # Errors
    /// If a socket is of no known name, or an address cannot be listened on.
    pub(crate) fn open(
        node: &NodeArgs,
        clients: &ClientArgs,
        admin_listen: SocketAddr,
    ) -> Result<Self> {
        let mut listeners = Listeners::none();
        let mut admin = None;
        for (name, socket) in inherited()? {
            let failed = || format!("socket `{name}` of `LISTEN_FDS` cannot be used");
            match Entrance::parse(&name) {
                Some(entrance) => {
                    listeners.add(entrance, vec![socket]).with_context(failed)?;
                }
                None if name == ADMIN => admin = Some(TcpListener::from(socket)),
                None => {
                    let error = anyhow!("socket `{name}` of `LISTEN_FDS` is for nothing");
                    let hint = "its `FileDescriptorName=` is http, https, metrics or admin";
                    return Err(report::hint(error, Some(hint)));
                }
            }
        }
        let is_metrics = |entrance| entrance == Entrance::Metrics;
        let has_requests = listeners.addresses().any(|(it, _)| !is_metrics(it));
        let has_metrics = listeners.addresses().any(|(it, _)| is_metrics(it));
        let more = node.listen(clients, MOST, !has_requests, !has_metrics);
        listeners.extend(more.map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?);
        let admin = match admin {
            Some(admin) => admin,
            None => TcpListener::bind(admin_listen)
                .with_context(|| format!("failed to listen on `{admin_listen}`"))?,
        };
        Ok(Self { node: listeners, admin })
    }

    /// Whether anybody is to speak TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.node.addresses().any(|(entrance, _)| entrance == Entrance::Tls)
    }

    /// The node's once more, to be given to it.
    pub(super) fn of_node(&self) -> std::io::Result<Vec<Handed>> {
        let all = self.node.duplicate()?.into_iter();
        Ok(all.map(|(entrance, sockets)| (entrance.as_str().to_owned(), sockets)).collect())
    }

    /// The control plane's once more.
    pub(super) fn of_control(&self) -> std::io::Result<Vec<Handed>> {
        Ok(vec![(ADMIN.to_owned(), vec![self.admin.try_clone()?.into()])])
    }
}

/// What systemd has opened, by the names that its units give.
fn inherited() -> Result<Vec<(String, OwnedFd)>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let tcp = given.take_tcp_listener(index).map(|it| it.map(OwnedFd::from));
        let socket = match tcp {
            Ok(socket) => socket,
            Err(_) => given.take_unix_listener(index)?.map(OwnedFd::from),
        };
        all.extend(socket.map(|socket| (name, socket)));
    }
    Ok(all)
}
