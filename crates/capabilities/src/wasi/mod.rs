//! WASI 0.2 and 0.3: environment, arguments, clocks, randomness, standard streams, files and
//! sockets. Every guest has the first four; files and sockets only as its manifest grants.

mod bounded;
pub(crate) mod bounded_files;
mod day;
mod ending;
mod files;
mod host;
pub(crate) mod limited;
mod lines;
mod listing;
mod lookup;
pub(crate) mod open;
mod pipe;
mod random;
pub(crate) mod rate;
mod sockets;
pub mod stdio;
pub(crate) mod tcp;

use std::path::Path;
use std::sync::Arc;

use dayfly_model::Component;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::sockets::WasiSocketsCtx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

pub use files::{FilesError, Folder, Folders, check as check_files};
pub(crate) use lines::LogBound;
pub use stdio::Stdio;

use crate::names::Names;
use crate::registry::Capability;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "wasi",
    interfaces: &[
        "wasi:cli/*@0.2",
        "wasi:clocks/*@0.2",
        "wasi:filesystem/*@0.2",
        "wasi:io/*@0.2",
        "wasi:random/*@0.2",
        "wasi:sockets/*@0.2",
        "wasi:cli/*@0.3",
        "wasi:clocks/*@0.3",
        "wasi:filesystem/*@0.3",
        "wasi:random/*@0.3",
        "wasi:sockets/*@0.3",
    ],
    granted_by: &[
        ("files", &["wasi:filesystem/*@0.2", "wasi:filesystem/*@0.3"]),
        ("allowed_outbound_hosts", &["wasi:sockets/*@0.2", "wasi:sockets/*@0.3"]),
    ],
    link: host::link,
};

/// One component's share of WASI, opened once and shared by all its instances.
pub struct Grant {
    environment: Vec<(String, String)>,
    files: WasiFilesystemCtx,
    /// Held for as long as the guest may read its copies of granted files.
    _copies: Option<std::fs::File>,
    sockets: WasiSocketsCtx,
}

impl Grant {
    /// Opens what the component was granted. `root` is the folder that its paths are relative to;
    /// copies of files granted by globs are kept in `state`.
    ///
    /// # Errors
    /// If a granted folder cannot be opened or a glob matches nothing that can be copied.
    pub(crate) fn prepare(
        component: &Component,
        names: Arc<Names>,
        root: &Path,
        state: &Path,
    ) -> Result<Self, FilesError> {
        let environment =
            component.environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let files::Opened { context, copies } = files::open(component, root, state)?;
        let sockets = sockets::policy(names);
        Ok(Self { environment, files: context, _copies: copies, sockets })
    }

    /// A share for a one-shot command: its own environment and folders, no sockets but to the hosts of `names`.
    ///
    /// # Errors
    /// If a folder cannot be opened.
    pub(crate) fn for_command(
        environment: Vec<(String, String)>,
        folders: &[files::Folder],
        names: Arc<Names>,
    ) -> Result<Self, FilesError> {
        let files = files::open_folders(folders)?;
        Ok(Self { environment, files, _copies: None, sockets: sockets::policy(names) })
    }

    /// A fresh context for one instance, each of whose log streams is bounded.
    pub(crate) fn context(&self, stdio: &Stdio, invocation: &Invocation, log: LogBound) -> WasiCtx {
        let mut builder = WasiCtxBuilder::new();
        builder.envs(&self.environment).envs(&invocation.environment).args(&invocation.arguments);
        builder.max_random_size(random::PIECE_BYTES);
        stdio.connect(&mut builder, &log);
        let mut context = builder.build();
        *context.filesystem() = self.files.clone();
        *context.sockets() = self.sockets.clone();
        context
    }
}

/// What one call of a command adds to its component's grant.
#[derive(Debug, Default, Clone)]
pub struct Invocation {
    /// The argument list, the program's name first.
    pub arguments: Vec<String>,
    /// Variables beyond the component's own; the last of a name wins.
    pub environment: Vec<(String, String)>,
}
