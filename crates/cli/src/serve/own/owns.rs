//! The tenants' processes as the node has them: which there are to be, which are there, and to which it leads
//! requests. What the supervisor says of them comes from a thread of its own; the reconciler acts on it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dayfly_host::{Away, Plane};
use dayfly_model::platform::{Generation, TenantId};
use dayfly_store::Store;

use super::answers::Answers;
use super::channel::{Channel, Message, Sending};
use super::{COMES, FREE, LEFT, READY, WANTED};
use crate::serve::ear::Ring;
use crate::serve::handing::Handed;
use crate::serve::usage::Counting;

/// All of them.
pub(crate) struct Owns {
    plane: Plane,
    store: Arc<Store>,
    counting: Arc<Counting>,
    /// How many there may be.
    pub(in crate::serve) most: usize,
    inner: Mutex<Inner>,
    ended: Ended,
    /// Has the reconciler look.
    ring: Ring,
}

/// Whether all processes have ended that this node answers. Clones are the same.
#[derive(Clone, Default)]
pub(in crate::serve) struct Ended(Arc<()>);

impl Ended {
    /// Waits until they have, but not for long.
    pub(in crate::serve) fn wait(self) {
        let began = Instant::now();
        // Each has a copy, and so has what knows of them.
        while Arc::strong_count(&self.0) > 2 && began.elapsed() < LAST {
            thread::sleep(LOOK);
        }
    }
}

/// How long is waited for processes to end, and how often is looked.
const LAST: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Inner {
    all: BTreeMap<u64, Own>,
    /// Those of whom something is new to the reconciler.
    moved: BTreeSet<u64>,
    /// The last that was said of them to the supervisor.
    wanted: BTreeMap<u64, TenantId>,
    seen: Generation,
}

/// One.
struct Own {
    away: Arc<Away>,
    /// The process that is being started, and the one that is ready.
    coming: Option<Arc<Channel>>,
    ready: Option<Arc<Channel>>,
    /// Whether the supervisor waits to hear that requests are led to it.
    is_awaited: bool,
}

impl Owns {
    pub(in crate::serve) fn new(
        plane: &Plane,
        store: &Arc<Store>,
        counting: &Arc<Counting>,
        (most, ring): (usize, Ring),
    ) -> Arc<Self> {
        Arc::new(Self {
            plane: plane.clone(),
            store: store.clone(),
            counting: counting.clone(),
            most,
            inner: Mutex::default(),
            ended: Ended::default(),
            ring,
        })
    }

    /// What tells when there are no more of them.
    pub(in crate::serve) fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Does what the supervisor says.
    pub(in crate::serve) fn obey(&self, (word, sockets): Handed) {
        let Some((word, number)) = word.split_once(' ') else { return };
        let Ok(number) = number.parse() else { return };
        match (word, sockets.into_iter().next()) {
            (COMES, Some(socket)) => self.come(number, socket),
            (READY, _) => self.ready(number),
            (FREE, _) => self.free(number),
            _ => {}
        }
    }

    /// A process is being started, and asks.
    fn come(&self, number: u64, socket: OwnedFd) {
        let channel = Arc::new(Channel::of(socket));
        let mut inner = self.inner();
        let _ = channel.send(&Message::Seen(inner.seen), None);
        inner.own(number, self).coming = Some(channel.clone());
        drop(inner);
        let (store, counting) = (self.store.clone(), self.counting.clone());
        let ended = self.ended.clone();
        let answer = move || {
            Answers { store: &store, counting: &counting, number }.run(&channel);
            drop(ended);
        };
        if let Err(error) = thread::Builder::new().name("answers".to_owned()).spawn(answer) {
            tracing::error!(%error, "a tenant's process cannot be answered");
        }
    }

    fn ready(&self, number: u64) {
        let mut inner = self.inner();
        let own = inner.own(number, self);
        let Some(channel) = own.coming.take() else { return };
        own.away.lead(Some(Box::new(Sending(channel.clone()))));
        (own.ready, own.is_awaited) = (Some(channel), true);
        inner.moved.insert(number);
        self.ring.ring();
    }

    fn free(&self, number: u64) {
        let mut inner = self.inner();
        if let Some(own) = inner.all.remove(&number) {
            own.away.lead(None);
        }
        inner.moved.insert(number);
        self.ring.ring();
    }

    /// Who answers for a tenant's apps, now or once it is there.
    pub(in crate::serve) fn away(&self, number: u64) -> Arc<Away> {
        self.inner().own(number, self).away.clone()
    }

    /// Whether its process was ready once.
    pub(in crate::serve) fn is_ready(&self, number: u64) -> bool {
        self.inner().all.get(&number).is_some_and(|own| own.ready.is_some())
    }

    /// Whether its process may take in events.
    pub(in crate::serve) fn is_there(&self, number: u64) -> bool {
        let is_there = |own: &Own| own.ready.is_some() || own.coming.is_some();
        self.inner().all.get(&number).is_some_and(is_there)
    }

    /// Those of whom something is new since this was asked last.
    pub(in crate::serve) fn moved(&self) -> BTreeSet<u64> {
        std::mem::take(&mut self.inner().moved)
    }

    /// Has these tenants have processes, and no others; `led` says of whom all requests are led there.
    pub(in crate::serve) fn want(
        &self,
        wanted: BTreeMap<u64, TenantId>,
        led: impl Fn(u64) -> bool,
    ) {
        let mut inner = self.inner();
        if wanted != inner.wanted {
            let words: Vec<_> =
                wanted.iter().map(|(number, name)| format!("{number}={name}")).collect();
            println!("{WANTED} {}", words.join(" "));
            inner.wanted = wanted;
        }
        for (number, own) in inner.all.iter_mut().filter(|(_, own)| own.is_awaited) {
            if led(*number) {
                own.is_awaited = false;
                println!("{LEFT} {number}");
            }
        }
    }

    /// The tenants whose processes serve, and the channels to these.
    pub(super) fn serving(&self) -> Vec<(TenantId, Arc<Channel>)> {
        let inner = self.inner();
        let serving = inner.all.iter().filter_map(|(number, own)| {
            Some((inner.wanted.get(number)?.clone(), own.ready.clone()?))
        });
        serving.collect()
    }

    /// Tells each of them how far requests are led there.
    pub(in crate::serve) fn seen(&self, generation: Generation) {
        let mut inner = self.inner();
        if inner.seen == generation {
            return;
        }
        inner.seen = generation;
        for channel in inner.all.values().flat_map(|own| own.coming.iter().chain(&own.ready)) {
            // One that does not listen hears of the next one.
            let _ = channel.send(&Message::Seen(generation), None);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn own(&mut self, number: u64, owns: &Owns) -> &mut Own {
        self.all.entry(number).or_insert_with(|| Own {
            away: owns.plane.away(owns.most),
            coming: None,
            ready: None,
            is_awaited: false,
        })
    }
}
