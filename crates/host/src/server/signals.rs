//! SIGTERM and SIGINT, as what they ask of a [`Shutdown`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::shutdown::Shutdown;

/// Obeys signals from now on, on a thread of its own, which lasts as long as the process.
pub(super) fn obey(shutdown: Shutdown) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _context = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
    };
    std::thread::Builder::new()
        .name("dayfly-signals".to_owned())
        .spawn(move || runtime.block_on(advance(signals, &shutdown)))
        .map(drop)
}

async fn advance([mut terminate, mut interrupt]: [Signal; 2], shutdown: &Shutdown) {
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if shutdown.is_started() {
            tracing::warn!(signal = name, "ending at once");
        } else {
            tracing::info!(signal = name, "finishing what runs; a second signal ends at once");
        }
        shutdown.advance();
    }
}
