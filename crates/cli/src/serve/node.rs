//! The process of the node: it serves what is active, and gives up everything else.

use std::io::Write as _;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use dayfly_engine::Engine;
use dayfly_host::{Entrance, HostConfig, Listeners, Node, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_store::Store;

use super::READY;
use super::handing::{self, LEFT};
use super::reconciler::{Around, Reconciler};
use super::usage::{Counting, Recorder};
use crate::harden::{Harden, Needs};

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) config: HostConfig,
    /// What is opened while serving, beside the store.
    pub(crate) needs: Needs,
    pub(crate) harden: Harden,
    pub(crate) base_domain: String,
    /// What the operator says of every app's surroundings.
    pub(crate) surroundings: RuntimeConfig,
}

/// Serves until the process is told to end; how it ended.
pub(crate) fn run(parts: Parts) -> Result<u8> {
    let Parts { store, engine, config, mut needs, harden, base_domain, surroundings } = parts;
    let mut listeners = Listeners::none();
    for (name, sockets) in handing::take()? {
        let entrance = Entrance::parse(&name);
        let entrance = entrance.with_context(|| format!("socket `{name}` is for nothing"))?;
        listeners.add(entrance, sockets)?;
    }
    let node = Node::on(&engine, &config, listeners)?;
    needs.write.push(store.folder().to_owned());
    needs.write.extend(engine.config().cache_dir.clone());
    // Tenants' grants come and go.
    needs.outbound = true;
    harden.apply(&needs)?;
    let shutdown = Shutdown::on_signals()?;
    let gate = handing::obey(shutdown.clone())?;
    let plane = node.plane().clone();
    let counting = Arc::<Counting>::default();
    let mut recorder = Recorder::new(&counting, store.folder());
    let (store, certificates) = (Arc::new(store), config.http.certificates.clone());
    let around = Around { base_domain, surroundings, counting };
    let mut reconciler = Reconciler::new(store.clone(), plane, around, certificates);
    // Before anybody is served: whoever asks for an app that is active finds it.
    reconciler.look();
    for url in node.urls() {
        println!("{url}");
    }
    let _serving = store.serve()?;
    println!("{READY}");
    let accounts = reconciler.accounts().clone();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let _end = EndOf(&shutdown);
            node.run_behind(&|| gate.is_open(), &shutdown)
        });
        let recording = scope.spawn(|| {
            let _end = EndOf(&shutdown);
            recorder.follow(&shutdown);
            recorder
        });
        scope.spawn(|| {
            let _end = EndOf(&shutdown);
            accounts.measure(&shutdown);
        });
        {
            let _end = EndOf(&shutdown);
            reconciler.follow(&shutdown);
        }
        // Events were told to end as soon as the end began.
        let _ = writeln!(std::io::stdout(), "{LEFT}");
        let outcome = serving.join();
        // What ended within the grace is used, too.
        if let Ok(mut recorder) = recording.join() {
            recorder.write();
        }
        let outcome = outcome.map_err(|_| anyhow!("a thread of the node failed"))??;
        accounts.keep(&*store);
        if !outcome.is_clean() {
            tracing::warn!(unfinished = outcome.unfinished, "ended before every request was done");
        }
        Ok(outcome.status)
    })
}

/// Ends the node where a thread of it ends, by a panic too: the supervisor starts it again.
struct EndOf<'a>(&'a Shutdown);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.start();
    }
}
