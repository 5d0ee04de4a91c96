//! Bounds on what an instance opens: the functions of WASI that make files and sockets, each defined
//! again over wasmtime-wasi's with a look at the instance's limits first.

use dayfly_engine::Flavour;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2;
use wasmtime_wasi::p2::bindings::sockets as sockets2;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::p3::bindings::sockets::types as sockets3;
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket, WasiSocketsView as _};

use super::{bounded_files, lookup, random, tcp};
use crate::HostState;

/// Puts the bounds over what the linker has of WASI.
pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bounded_files::link(linker, flavour)?;
    sockets(linker)?;
    closing(linker, flavour)?;
    if flavour.is_concurrent() {
        concurrent_sockets(linker)?;
        tcp::link(linker)?;
    }
    lookup::link(linker, flavour)?;
    random::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn sockets(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use sockets2::network::Host as _;
    linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?.func_wrap(
        "create-tcp-socket",
        |mut store, (family,): (sockets2::network::IpAddressFamily,)| {
            if !may_open_socket(store.data_mut()) {
                return Ok((Err(ErrorCode::NewSocketLimit),));
            }
            let mut sockets = store.data_mut().sockets();
            match sockets.create_tcp_socket(family) {
                Ok(socket) => Ok((Ok(socket),)),
                Err(error) => Ok((Err(sockets.convert_error_code(error)?),)),
            }
        },
    )?;
    linker.instance("wasi:sockets/udp-create-socket@0.2.12")?.func_wrap_async(
        "create-udp-socket",
        |mut store, (family,): (sockets2::network::IpAddressFamily,)| {
            Box::new(async move {
                if !may_open_socket(store.data_mut()) {
                    return Ok((Err(ErrorCode::NewSocketLimit),));
                }
                let mut sockets = store.data_mut().sockets();
                match sockets.create_udp_socket(family).await {
                    Ok(socket) => Ok((Ok(socket),)),
                    Err(error) => Ok((Err(sockets.convert_error_code(error)?),)),
                }
            })
        },
    )
}

/// Defines the end of sockets again.
fn closing(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    let (tcp, udp) = (ResourceType::host::<p2::TcpSocket>(), ResourceType::host::<p2::UdpSocket>());
    let closed_tcp = closed::<p2::TcpSocket>;
    linker.instance("wasi:sockets/tcp@0.2.12")?.resource("tcp-socket", tcp, closed_tcp)?;
    let closed_udp = closed::<p2::UdpSocket>;
    linker.instance("wasi:sockets/udp@0.2.12")?.resource("udp-socket", udp, closed_udp)?;
    if flavour.is_concurrent() {
        let udp = ResourceType::host::<UdpSocket>();
        let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
        types.resource("udp-socket", udp, closed::<UdpSocket>)?;
    }
    Ok(())
}

fn concurrent_sockets(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use sockets3::{Host as _, HostTcpSocket, HostUdpSocket};
    let over = || sockets3::ErrorCode::Other(Some("as many sockets as may be are open".to_owned()));
    let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
    types.func_wrap(
        "[static]tcp-socket.create",
        move |mut store, (family,): (sockets3::IpAddressFamily,)| {
            if !may_open_socket(store.data_mut()) {
                return Ok((Err(over()),));
            }
            let mut sockets = store.data_mut().sockets();
            match HostTcpSocket::create(&mut sockets, family) {
                Ok(socket) => Ok((Ok(socket),)),
                Err(error) => Ok((Err(sockets.convert_error_code(error)?),)),
            }
        },
    )?;
    types.func_wrap_async(
        "[static]udp-socket.create",
        move |mut store, (family,): (sockets3::IpAddressFamily,)| {
            Box::new(async move {
                if !may_open_socket(store.data_mut()) {
                    return Ok((Err(over()),));
                }
                let mut sockets = store.data_mut().sockets();
                match HostUdpSocket::create(&mut sockets, family).await {
                    Ok(socket) => Ok((Ok(socket),)),
                    Err(error) => Ok((Err(sockets.convert_error_code(error)?),)),
                }
            })
        },
    )
}

/// Whether the instance may open one more socket, and all guests together; it counts as one outbound
/// connection.
fn may_open_socket(state: &mut HostState) -> bool {
    let (held, limit) = (held_sockets(state), state.grants().limits.sockets);
    held < limit as usize && state.hold_socket(held) && state.spend_outbound()
}

/// How many sockets the instance holds, and connections whose streams outlived theirs.
pub(super) fn held_sockets(state: &mut HostState) -> usize {
    held::<TcpSocket>(state)
        + held::<UdpSocket>(state)
        + held::<p2::TcpSocket>(state)
        + held::<p2::UdpSocket>(state)
        + state.streaming().left()
}

/// Closes a socket, and gives back its descriptor.
fn closed<S: 'static>(mut store: StoreContextMut<'_, HostState>, rep: u32) -> wasmtime::Result<()> {
    let state = store.data_mut();
    state.table().delete(Resource::<S>::new_own(rep))?;
    let held = held_sockets(state);
    state.release_sockets(held);
    Ok(())
}

/// How many resources of a kind the instance holds. It looks at all of them: opening is rare and
/// costs a system call at least, and there is no count that could go wrong.
fn held<T: 'static>(state: &mut HostState) -> usize {
    state.table().iter_mut().filter(|entry| entry.is::<T>()).count()
}
