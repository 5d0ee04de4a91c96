//! The process of the node: it serves what is active, and gives up everything else.

use std::io::Write as _;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};
use dayfly_engine::Engine;
use dayfly_host::{Entrance, HostConfig, Listeners, Node, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_store::Store;

use super::READY;
use super::certificates::Certifying;
use super::ear::{Ear, Ring};
use super::handing::{self, DRAINED, Gate, LEFT};
use super::own::Owns;
use super::reconciler::{Around, Reconciler, Whole};
use super::usage::{Book, Counting, Recorder};
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
    /// How many tenants may have a process of their own.
    pub(crate) own_processes: u32,
}

/// Serves until the process is told to end; how it ended.
pub(crate) fn run(parts: Parts) -> Result<u8> {
    let Parts { store, engine, config, mut needs, harden, base_domain, .. } = parts;
    let (surroundings, own_processes) = (parts.surroundings, parts.own_processes);
    let (mut listeners, mut said) = (Listeners::none(), Vec::new());
    for (name, sockets) in handing::take()? {
        match Entrance::parse(&name) {
            Some(entrance) => listeners.add(entrance, sockets)?,
            None => said.push((name, sockets)),
        }
    }
    let mut node = Node::on(&engine, &config, listeners)?;
    // What changes from here on rings, and what did before is found.
    let bell = store.bell_of_changes().inspect_err(|error| {
        tracing::warn!(%error, "it is looked all the time what is active, for nobody can ring");
    });
    let bell = bell.ok();
    needs.write.push(store.folder().to_owned());
    needs.write.extend(engine.config().cache_dir.clone());
    // Tenants' grants come and go.
    needs.outbound = true;
    harden.apply(&needs)?;
    let shutdown = Shutdown::on_signals()?;
    let plane = node.plane().clone();
    let counting = Arc::<Counting>::default();
    let recorder = Recorder::new(&counting, Box::new(Book::new(store.folder())));
    let (store, certificates) = (Arc::new(store), config.http.certificates.clone());
    let most = usize::try_from(own_processes).unwrap_or(usize::MAX);
    let ring = Ring::default();
    let owns = Owns::new(&plane, &store, &counting, (most, ring.clone()));
    node.tell_of(owns.clone());
    // Those that serve while this node follows another one.
    said.into_iter().for_each(|said| owns.obey(said));
    let (heard, ended) = (owns.clone(), owns.ended());
    let gate = handing::obey(shutdown.clone(), move |said| heard.obey(said))?;
    let challenges = plane.challenges().clone();
    let certifying = Certifying::new(store.clone(), certificates, challenges);
    let platform = store.folder().to_owned();
    let around = Around { base_domain, surroundings, counting: counting.clone(), platform };
    let whole = Whole { store: store.clone(), certifying, owns };
    let ear = Ear::at(bell, ring)?;
    let mut reconciler = Reconciler::new(store.clone(), plane, around, Some(whole));
    // Before anybody is served: whoever asks for an app that is active finds it.
    reconciler.look();
    for url in node.urls() {
        println!("{url}");
    }
    let _serving = store.serve()?;
    println!("{READY}");
    let status = serve(node, (reconciler, ear, recorder), &gate, &shutdown)?;
    println!("{DRAINED}");
    if !shutdown.hands_over() {
        ended.wait();
    }
    // What they used last.
    let mut recorder = Recorder::new(&counting, Box::new(Book::new(store.folder())));
    recorder.write();
    Ok(status)
}

/// Serves what a reconciler brings to a node until that is told to end; how it ended.
pub(super) fn serve(
    node: Node,
    (mut reconciler, ear, mut recorder): (Reconciler, Ear, Recorder),
    gate: &Gate,
    shutdown: &Shutdown,
) -> Result<u8> {
    let accounts = reconciler.accounts().clone();
    let store = reconciler.store().clone();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let _end = EndOf(shutdown);
            node.run_behind(&|| gate.is_open(), shutdown)
        });
        let recording = scope.spawn(|| {
            let _end = EndOf(shutdown);
            recorder.follow(shutdown);
            recorder
        });
        scope.spawn(|| {
            let _end = EndOf(shutdown);
            accounts.measure(shutdown);
        });
        {
            let _end = EndOf(shutdown);
            reconciler.follow(&ear, shutdown);
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
