//! Which sockets a guest may use: outgoing TCP and UDP to what `allowed_outbound_hosts` grants.
//! Listening is never granted: events come in through triggers.

use std::sync::Arc;

use dayfly_model::outbound::Protocol;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtx};

use crate::names::Names;

/// The policy as WASI checks it: once per address, after names have been resolved.
pub(super) fn policy(names: Arc<Names>) -> WasiSocketsCtx {
    let any = !names.hosts().is_empty();
    let mut builder = WasiCtxBuilder::new();
    builder.allow_tcp(any).allow_udp(any).socket_addr_check(move |address, reason| {
        let allowed = match reason {
            SocketAddrUse::TcpConnect => names.permits(Protocol::Tcp, address),
            SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                names.permits(Protocol::Udp, address)
            }
            // A socket needs a local address before it can send or connect; any port will do.
            SocketAddrUse::UdpBind | SocketAddrUse::TcpBind => {
                address.ip().is_unspecified() && address.port() == 0
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        };
        Box::pin(std::future::ready(allowed))
    });
    builder.build().sockets().clone()
}
