//! Random bytes in pieces: wasmtime-wasi makes up to 64 MiB of them in one go, a good part of a
//! second in which no other guest of the core has a turn.

use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi::p2::bindings::random::insecure::Host as _;
use wasmtime_wasi::p2::bindings::random::random::Host as _;
use wasmtime_wasi::random::{WasiRandomCtx, WasiRandomView as _};

use crate::HostState;

/// What is made at once, in bytes. WASI 0.3 gives that much and lets the guest ask again.
pub(super) const PIECE_BYTES: u64 = 64 << 10;

/// What a guest of WASI 0.2, where there is no less than what was asked for, may ask for, in bytes.
const MOST_BYTES: u64 = 1 << 20;

type Piece = fn(&mut WasiRandomCtx, u64) -> wasmtime::Result<Vec<u8>>;

/// Defines the functions of WASI 0.2 again.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance("wasi:random/random@0.2.12")?.func_wrap_async(
        "get-random-bytes",
        |store, (len,): (u64,)| {
            let piece: Piece = |random, len| random.get_random_bytes(len);
            Box::new(in_pieces(store, len, piece))
        },
    )?;
    linker.instance("wasi:random/insecure@0.2.12")?.func_wrap_async(
        "get-insecure-random-bytes",
        |store, (len,): (u64,)| {
            let piece: Piece = |random, len| random.get_insecure_random_bytes(len);
            Box::new(in_pieces(store, len, piece))
        },
    )
}

async fn in_pieces(
    mut store: StoreContextMut<'_, HostState>,
    len: u64,
    piece: Piece,
) -> wasmtime::Result<(Vec<u8>,)> {
    if len > MOST_BYTES {
        bail!("{len} random bytes at once are more than {MOST_BYTES}");
    }
    let mut bytes = piece(store.data_mut().random(), len.min(PIECE_BYTES))?;
    while (bytes.len() as u64) < len {
        tokio::task::yield_now().await;
        let left = len - bytes.len() as u64;
        bytes.extend(piece(store.data_mut().random(), left.min(PIECE_BYTES))?);
    }
    Ok((bytes,))
}
