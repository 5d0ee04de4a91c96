//! Which core serves a connection. The kernel deals connections by a hash, so that a few of them
//! easily meet on one core; whoever accepts one hands it to the core that has fewest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::connection::Peer;
use super::listen::Way;
use super::socket::Moving;

/// The cores, as those see them who have a connection to give. Touched when connections come and
/// go, never by a request.
pub(super) struct Balance {
    cores: Box<[Core]>,
}

/// One core; on cache lines of its own.
#[repr(align(128))]
struct Core {
    connections: AtomicUsize,
    inbox: UnboundedSender<Handover>,
}

/// A connection on its way to another core.
pub(super) struct Handover {
    pub(super) socket: Moving,
    pub(super) peer: Peer,
    pub(super) way: Way,
    pub(super) seat: Seat,
}

impl Balance {
    /// Cores without connections, and where each finds what it is given.
    pub(super) fn new(cores: usize) -> (Arc<Self>, Vec<UnboundedReceiver<Handover>>) {
        let (cores, inboxes): (Vec<_>, Vec<_>) = (0..cores)
            .map(|_| {
                let (inbox, receiver) = unbounded_channel();
                (Core { connections: AtomicUsize::new(0), inbox }, receiver)
            })
            .unzip();
        (Arc::new(Self { cores: cores.into() }), inboxes)
    }

    /// Finds a connection that `core` accepted its place: there, unless another has fewer.
    pub(super) fn seat(self: &Arc<Self>, core: usize) -> Seat {
        let load = |core: usize| self.cores[core].connections.load(Relaxed);
        let emptiest = (0..self.cores.len()).min_by_key(|other| load(*other)).unwrap_or(core);
        let core = if load(emptiest) < load(core) { emptiest } else { core };
        self.take(core)
    }

    fn take(self: &Arc<Self>, core: usize) -> Seat {
        self.cores[core].connections.fetch_add(1, Relaxed);
        Seat { balance: self.clone(), core }
    }

    /// Hands a connection to the core of its seat, or back if that core has ended.
    pub(super) fn hand_over(&self, handover: Handover) -> Result<(), Handover> {
        self.cores[handover.seat.core].inbox.send(handover).map_err(|refused| refused.0)
    }
}

/// A connection's place on a core.
pub(super) struct Seat {
    balance: Arc<Balance>,
    pub(super) core: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.balance.cores[self.core].connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_where_there_are_fewest() {
        let (balance, _inboxes) = Balance::new(3);
        let seats: Vec<_> = (0..9).map(|_| balance.seat(0)).collect();
        let on = |core| seats.iter().filter(|seat| seat.core == core).count();
        assert_eq!([on(0), on(1), on(2)], [3, 3, 3]);
        drop(seats);
        assert_eq!(balance.seat(2).core, 2, "nobody has fewer");
    }
}
