//! The process of the control plane.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dayfly_control::{Control, ControlConfig};
use dayfly_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::READY;
use super::handing;
use super::worker::Workers;
use crate::app::folder_of;
use crate::harden::{Harden, Needs};

/// The file that the operator's first token is written to.
const TOKEN: &str = "operator-token";

/// How long requests may take that are being answered at the end, and how often is looked whether any are.
const LAST: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// What the process may do.
pub(crate) struct Rights {
    pub(crate) needs: Needs,
    pub(crate) harden: Harden,
}

/// Serves the admin API until the process is told to end.
pub(crate) fn run(
    store: Store,
    config: ControlConfig,
    workers: Workers,
    rights: Rights,
) -> Result<()> {
    let Rights { mut needs, harden } = rights;
    needs.write.push(store.folder().to_owned());
    needs.start.push(workers.program.clone());
    // Certificates are ordered from whoever the operator names, and read anew who has signed theirs.
    needs.outbound = config.acme.is_some();
    let roots = config.acme.as_ref().and_then(|acme| acme.roots.as_deref());
    needs.read.extend(roots.map(folder_of));
    harden.apply(&needs)?;
    let sockets = handing::take()?.into_iter().flat_map(|(_, sockets)| sockets).next();
    let listener = std::net::TcpListener::from(sockets.context("there is no socket to listen on")?);
    listener.set_nonblocking(true)?;
    let token = store.folder().join(TOKEN);
    if let Some(text) = Control::begin(&store, token.exists())? {
        write(&token, text.as_str())
            .with_context(|| format!("failed to write `{}`", token.display()))?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let mut terminate = signal(SignalKind::terminate())?;
        println!("http://{}", listener.local_addr()?);
        println!("{}", token.display());
        println!("{READY}");
        let control = Control::new(Arc::new(store), Arc::new(workers), config);
        let under_way = control.under_way();
        // What is answered goes on where no more is accepted.
        tokio::select! {
            served = control.serve(listener) => served?,
            _ = terminate.recv() => {}
        }
        let since = Instant::now();
        while under_way.count() > 0 && since.elapsed() < LAST {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    })?;
    // A release that is being made ready is made again by whoever asks again.
    runtime.shutdown_background();
    Ok(())
}

/// Writes a token where only this user reads it: it is there whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
