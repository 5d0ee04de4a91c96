//! A tenant's own process: a node of its apps alone. Clients' connections come by the channel, and so do the
//! answers to what it asks of the store.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dayfly_host::{Connector, HostConfig, Listeners, Node, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_telemetry::Source;

use super::asking::Asking;
use super::channel::{Channel, Message};
use super::measures;
use crate::harden::{Harden, Needs};
use crate::serve::READY;
use crate::serve::ear::{Ear, Ring};
use crate::serve::handing::Gate;
use crate::serve::node::serve;
use crate::serve::reconciler::{Around, Reconciler};
use crate::serve::usage::{Counting, Recorder};

/// How long after what is active could not be read it is read again, and for how long: what can be read then
/// is served.
const PAUSE: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_secs(20);

/// What it is made of.
pub(crate) struct Parts {
    /// The tenant's number.
    pub(crate) number: u64,
    pub(crate) engine: dayfly_engine::Engine,
    pub(crate) config: HostConfig,
    /// What is opened while serving, beside what is the tenant's.
    pub(crate) needs: Needs,
    pub(crate) harden: Harden,
    pub(crate) base_domain: String,
    pub(crate) surroundings: RuntimeConfig,
}

/// Serves until the process is told to end; how it ended.
pub(crate) fn run(parts: Parts) -> Result<u8> {
    let Parts { number, engine, config, mut needs, harden, base_domain, surroundings } = parts;
    let channel = Arc::new(Channel::of_input()?);
    let asking = Asking::begin(channel.clone(), number);
    let asking = Arc::new(asking.context("the node does not answer a tenant's process")?);
    let node = Node::on(&engine, &config, Listeners::none())?;
    needs.read.push(asking.own.releases.clone());
    // Compiled code has names that nobody guesses. What is not there is made in memory.
    needs.files.extend(engine.config().cache_dir.clone());
    needs.write.extend(asking.own.states.iter().cloned());
    // As in the node: the tenant's grants come and go.
    needs.outbound = true;
    needs.is_tenants = true;
    harden.apply(&needs)?;
    let shutdown = Shutdown::on_signals()?;
    let gate = Gate::default();
    let connector = node.connector().context("a node takes requests")?;
    let ring = Ring::default();
    let hearing = Hearing {
        channel,
        connector,
        counted: Arc::new(node.plane().clone()),
        asking: asking.clone(),
        gate: gate.clone(),
        shutdown: shutdown.clone(),
        ring: ring.clone(),
    };
    thread::Builder::new().name("channel".to_owned()).spawn(move || hearing.hear())?;
    let counting = Arc::<Counting>::default();
    let recorder = Recorder::new(&counting, Box::new(asking.clone()));
    let platform = asking.own.platform.clone();
    let around = Around { base_domain, surroundings, counting, platform };
    let mut reconciler = Reconciler::new(asking, node.plane().clone(), around, None);
    // Whoever is led here finds what is active, or would be told that there is no such app.
    let began = Instant::now();
    while !reconciler.look() && !shutdown.is_started() && began.elapsed() < FIRST {
        thread::sleep(PAUSE);
    }
    println!("{READY}");
    serve(node, (reconciler, Ear::within(ring)?, recorder), &gate, &shutdown)
}

/// Does what is said by the channel.
struct Hearing {
    channel: Arc<Channel>,
    connector: Connector,
    counted: Arc<dyn Source>,
    asking: Arc<Asking>,
    gate: Gate,
    shutdown: Shutdown,
    /// Has the reconciler look.
    ring: Ring,
}

impl Hearing {
    fn hear(self) {
        loop {
            match self.channel.receive() {
                Ok(Some((Message::Client(caller), Some(stream)))) => {
                    // Where it cannot be served any more, the node sees it closed.
                    let _ = self.connector.take(stream, caller.into());
                }
                Ok(Some((Message::Measure, Some(stream)))) => measures::tell(&self.counted, stream),
                Ok(Some((Message::Seen(generation), _))) => {
                    self.asking.seen(generation);
                    self.ring.ring();
                }
                Ok(Some((Message::Begin, _))) => self.gate.open(),
                Ok(Some((Message::Leave, _))) => self.shutdown.leave(),
                Ok(Some(_)) => {}
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
                Ok(None) | Err(_) => return self.shutdown.start(),
            }
        }
    }
}
