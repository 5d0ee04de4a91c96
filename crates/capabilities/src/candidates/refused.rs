//! What the release dropped and no guest is known to call: defined, so that a guest that merely
//! imports it starts, and answered with the interface's own error.

use dayfly_engine::Flavour;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::{MARK, release};
use crate::{HostState, refuse};

/// The functions, by interface.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "wasi:filesystem/types",
        &[
            "[method]descriptor.access-at",
            "[method]descriptor.change-file-permissions-at",
            "[method]descriptor.change-directory-permissions-at",
            "[method]descriptor.lock-shared",
            "[method]descriptor.lock-exclusive",
            "[method]descriptor.try-lock-shared",
            "[method]descriptor.try-lock-exclusive",
            "[method]descriptor.unlock",
        ],
    ),
    ("wasi:sockets/ip-name-lookup", &["resolve-addresses-rc1018"]),
    (
        "wasi:sockets/tcp",
        &[
            "[method]tcp-socket.no-delay",
            "[method]tcp-socket.set-no-delay",
            "[method]tcp-socket.ipv6-only",
            "[method]tcp-socket.set-ipv6-only",
        ],
    ),
    (
        "wasi:sockets/udp",
        &[
            "[method]udp-socket.start-connect",
            "[method]udp-socket.finish-connect",
            "[method]udp-socket.receive",
            "[method]udp-socket.send",
            "[method]udp-socket.ipv6-only",
            "[method]udp-socket.set-ipv6-only",
        ],
    ),
];

pub(super) fn define(
    linker: &mut Linker<HostState>,
    component: &Component,
    engine: &Engine,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let Some((interface, _)) = name.split_once(MARK) else { continue };
        let functions = REFUSED.iter().find(|(refused, _)| *refused == interface);
        let (Some((_, functions)), ComponentItem::ComponentInstance(instance)) =
            (functions, &import.ty)
        else {
            continue;
        };
        for (function, export) in instance.exports(engine) {
            if functions.contains(&function) {
                let full = format!("{name}#{function}");
                let mut interface = release(linker, interface)?;
                refuse::define_item(&mut interface, function, &full, &export.ty, engine, flavour)?;
            }
        }
    }
    Ok(())
}
