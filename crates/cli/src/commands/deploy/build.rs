//! The first step: an app's build commands. Whoever interrupts it ends what they started, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use dayfly_model::App;
use tokio::signal::unix::{SignalKind, signal};

use crate::building::{self, Built};
use crate::report::{self, Several};

/// How a process ends that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

/// Runs the build commands of an app, if it has any.
///
/// # Errors
/// What failed, with what it said.
pub(super) fn build(app: &App, notes: bool) -> Result<()> {
    let all = app.components.keys().cloned().collect();
    let builds = building::builds(app, &all);
    if builds.is_empty() {
        return Ok(());
    }
    let interrupts = Interrupts::take()?;
    if notes {
        builds.iter().for_each(|build| report::note("Building", build.names()));
    }
    let built = |built: Built| {
        if notes {
            report::note("Built", format_args!("{} in {:.1?}", built.components, built.took));
        }
    };
    let done = building::run(&builds, || interrupts.asked.load(SeqCst), built);
    interrupts.over.store(true, SeqCst);
    if interrupts.asked.load(SeqCst) {
        bail!("the build was interrupted");
    }
    done.map_err(|failed| {
        let text = building::text(&failed);
        let error = anyhow!(Several(format!("a build failed: {}", text.trim_end())));
        report::hint(error, Some("`--no-build` takes what is there"))
    })
}

/// Signals that would end this process and leave behind what it has started.
struct Interrupts {
    asked: Arc<AtomicBool>,
    /// Whether builds are over, so that signals end this process again.
    over: Arc<AtomicBool>,
}

impl Interrupts {
    fn take() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _within = runtime.enter();
            let take = |kind| signal(kind).context("failed to listen to signals");
            (take(SignalKind::interrupt())?, take(SignalKind::terminate())?)
        };
        let this = Self { asked: Arc::default(), over: Arc::default() };
        let (asked, over) = (this.asked.clone(), this.over.clone());
        thread::spawn(move || {
            loop {
                runtime.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                });
                asked.store(true, SeqCst);
                if over.load(SeqCst) {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        Ok(this)
    }
}
