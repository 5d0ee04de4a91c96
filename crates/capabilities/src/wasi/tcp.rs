//! TCP sockets of WASI 0.3, whose streams outlive them: a guest may drop a socket and go on with
//! what it sends and receives. Such a connection counts until both have ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use wasmtime::StoreContextMut;
use wasmtime::component::{Access, FutureReader, Linker, Resource, ResourceType, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::types::{ErrorCode, HostTcpSocketWithStore};
use wasmtime_wasi::sockets::{TcpSocket, WasiSockets, WasiSocketsView as _};

use super::bounded::held_sockets;
use super::ending::until;
use super::open::Open;
use crate::HostState;

/// The connections whose streams a guest has.
#[derive(Default)]
pub(crate) struct Streaming {
    /// Those of the sockets that it still has, by the socket's place in the table.
    held: BTreeMap<u32, Weak<()>>,
    /// The others.
    left: Open,
}

impl Streaming {
    /// How many connections there are that no socket stands for.
    pub(super) fn left(&mut self) -> usize {
        self.left.count()
    }

    fn begin(&mut self, socket: u32) -> Arc<()> {
        let held = self.held.get(&socket).and_then(Weak::upgrade).unwrap_or_default();
        self.held.insert(socket, Arc::downgrade(&held));
        held
    }

    fn leave(&mut self, socket: u32) {
        if let Some(stream) = self.held.remove(&socket).and_then(|held| held.upgrade()) {
            self.left.wait_for(stream);
        }
    }
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Socket = Resource<TcpSocket>;
type Ended = FutureReader<Result<(), ErrorCode>>;

/// Defines the functions that make streams, and the end of a socket, again.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
    types.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, rep| {
        drop_socket(store.data_mut(), rep)
    })?;
    types.func_wrap(
        "[method]tcp-socket.send",
        |store: Store, (socket, data): (Socket, StreamReader<u8>)| {
            Ok((send(store, socket, data)?,))
        },
    )?;
    types.func_wrap("[method]tcp-socket.receive", |store: Store, (socket,): (Socket,)| {
        Ok((receive(store, socket)?,))
    })
}

fn drop_socket(state: &mut HostState, rep: u32) -> wasmtime::Result<()> {
    state.table().delete(Socket::new_own(rep))?;
    state.streaming().leave(rep);
    let held = held_sockets(state);
    state.release_sockets(held);
    Ok(())
}

fn send(mut store: Store<'_>, socket: Socket, data: StreamReader<u8>) -> wasmtime::Result<Ended> {
    let place = store.data_mut().streaming().begin(socket.rep());
    let ended = WasiSockets::send(access(&mut store), socket, data)?;
    until(store, ended, place)
}

fn receive(mut store: Store<'_>, socket: Socket) -> wasmtime::Result<(StreamReader<u8>, Ended)> {
    let place = store.data_mut().streaming().begin(socket.rep());
    let (data, ended) = WasiSockets::receive(access(&mut store), socket)?;
    Ok((data, until(store, ended, place)?))
}

fn access<'a>(store: &'a mut Store<'_>) -> Access<'a, HostState, WasiSockets> {
    use wasmtime::AsContextMut as _;
    Access::new(store.as_context_mut(), |state| state.sockets())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dayfly_engine::{Engine, EngineConfig, Flavour};
    use dayfly_model::Limits;
    use dayfly_model::outbound::OutboundHosts;
    use tokio::net::TcpListener;
    use wasmtime_wasi::p3::bindings::sockets::types::{HostTcpSocket as _, IpAddressFamily};

    use super::*;
    use crate::Grants;
    use crate::wasi::lines::{LogSink, OutputKind};

    struct Nowhere;

    impl LogSink for Nowhere {
        fn line(&self, _: OutputKind, _: &str) {}
    }

    fn state(url: &str) -> HostState {
        let hosts = OutboundHosts::parse([url]).unwrap();
        let log = Arc::new(Nowhere);
        let grants =
            Grants::for_command("test", Limits::default(), Vec::new(), &[], hosts, log).unwrap();
        HostState::new(Arc::new(grants))
    }

    #[tokio::test]
    async fn a_connection_counts_until_its_streams_have_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let engine = Engine::new(EngineConfig::default()).unwrap();
        let flavour = *Flavour::ALL.iter().find(|flavour| flavour.is_concurrent()).unwrap();
        let state = state(&format!("tcp://{address}"));
        let mut store = engine.store(flavour, state).unwrap();
        let left = async |accessor: &wasmtime::component::Accessor<HostState>| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            accessor.with(|mut access| access.get().streaming().left())
        };
        let run = store.run_concurrent(async |accessor| {
            let socket = accessor
                .with(|mut access| access.get().sockets().create(IpAddressFamily::Ipv4))
                .unwrap();
            let rep = socket.rep();
            let sockets = accessor.with_getter::<WasiSockets>(HostState::sockets);
            let borrowed = Socket::new_borrow(rep);
            WasiSockets::connect(&sockets, borrowed, address.into()).await.unwrap();
            let (data, ended) = accessor.with(|mut access| {
                use wasmtime::AsContextMut as _;
                receive(access.as_context_mut(), Socket::new_borrow(rep)).unwrap()
            });
            assert_eq!(left(accessor).await, 0, "the socket stands for it");
            accessor.with(|mut access| drop_socket(access.get(), rep)).unwrap();
            assert_eq!(left(accessor).await, 1, "its stream is left");
            accessor.with(|mut access| {
                let mut data = data;
                data.close(&mut access).unwrap();
            });
            assert_eq!(left(accessor).await, 0, "nothing is left");
            accessor.with(|mut access| {
                let mut ended = ended;
                ended.close(&mut access).unwrap();
            });
        });
        tokio::time::timeout(Duration::from_secs(10), run).await.unwrap().unwrap();
    }
}
