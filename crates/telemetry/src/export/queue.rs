//! What waits to be sent: bounded in number and in bytes. Putting something in takes no lock and
//! wakes nobody until there is enough for a batch.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{Mutex, Notify, mpsc};

use super::group::Item;
use super::settings::Batching;
use crate::metrics::Counter;

/// What may wait of one kind, in bytes.
const BYTES: usize = 16 << 20;

/// Something that waits, and what it takes.
struct Waiting<T> {
    item: Item<T>,
    bytes: usize,
}

/// A queue of one kind.
pub(super) struct Queue<T> {
    sender: mpsc::Sender<Waiting<T>>,
    receiver: Mutex<mpsc::Receiver<Waiting<T>>>,
    /// What waits, and what of it is guests'.
    bytes: AtomicUsize,
    guests: AtomicUsize,
    enough: Notify,
    batching: Batching,
    pub(super) dropped: Counter,
}

impl<T: prost::Message> Queue<T> {
    pub(super) fn new(batching: Batching) -> Self {
        let (sender, receiver) = mpsc::channel(batching.queue);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            bytes: AtomicUsize::new(0),
            guests: AtomicUsize::new(0),
            enough: Notify::new(),
            batching,
            dropped: Counter::new(),
        }
    }

    pub(super) fn batching(&self) -> Batching {
        self.batching
    }

    /// Puts something in, if there is room; says whether there was. Guests leave the host half.
    pub(super) fn push(&self, item: Item<T>) -> bool {
        let is_guests = item.scope.is_guests();
        // What keeps it in memory, beside what it says.
        let bytes = item.data.encoded_len() + size_of::<Waiting<T>>();
        let has_room = self.bytes.fetch_add(bytes, Relaxed) + bytes <= BYTES;
        let is_share = !is_guests || {
            let guests = self.guests.fetch_add(1, Relaxed);
            guests < self.batching.queue.div_ceil(2)
        };
        if !has_room || !is_share || self.sender.try_send(Waiting { item, bytes }).is_err() {
            self.leave(bytes, is_guests);
            self.dropped.count();
            return false;
        }
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        if waiting >= self.batching.batch {
            self.enough.notify_one();
        }
        true
    }

    fn leave(&self, bytes: usize, is_guests: bool) {
        self.bytes.fetch_sub(bytes, Relaxed);
        if is_guests {
            self.guests.fetch_sub(1, Relaxed);
        }
    }

    /// Waits until there is enough for a batch.
    pub(super) async fn enough(&self) {
        self.enough.notified().await;
    }

    /// Takes a batch of what waits; empty if nothing does.
    pub(super) async fn take(&self) -> Vec<Item<T>> {
        let mut receiver = self.receiver.lock().await;
        let mut batch = Vec::new();
        while batch.len() < self.batching.batch
            && let Ok(Waiting { item, bytes }) = receiver.try_recv()
        {
            self.leave(bytes, item.scope.is_guests());
            batch.push(item);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::group::Scope;
    use super::*;
    use crate::proto::trace::v1::Span;

    fn queue(queue: usize, batch: usize) -> Queue<Span> {
        Queue::new(Batching { delay: Duration::ZERO, queue, batch, patience: Duration::ZERO })
    }

    fn span(scope: Scope, name: &str) -> Item<Span> {
        let data = Span { name: name.to_owned(), ..Span::default() };
        Item { resource: None, scope, data }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_counted() {
        let queue = queue(4, 3);
        for _ in 0..6 {
            queue.push(span(Scope::Host, "x"));
        }
        assert_eq!(queue.dropped.get(), 2);
        queue.enough().await;
        assert_eq!(queue.take().await.len(), 3);
        assert_eq!(queue.take().await.len(), 1);
        assert!(queue.take().await.is_empty());
        assert_eq!(queue.bytes.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn guests_leave_the_host_half_and_bytes_are_bounded() {
        let guest = || Scope::Guest(Arc::default());
        let queue = queue(10, 10);
        for _ in 0..7 {
            queue.push(span(guest(), "x"));
        }
        assert_eq!(queue.dropped.get(), 2);
        assert!(queue.push(span(Scope::Host, "x")));
        let large = "x".repeat(BYTES);
        assert!(!queue.push(span(Scope::Host, &large)));
        queue.take().await;
        assert_eq!((queue.bytes.load(Relaxed), queue.guests.load(Relaxed)), (0, 0));
        assert!(queue.push(span(guest(), "x")));
    }
}
