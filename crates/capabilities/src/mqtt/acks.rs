//! What is written to a broker that is listened to: acknowledgements for the most part. They wait until
//! whoever reads the connection writes them, so that those of the same moment go together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::broker::{BrokerError, Receipt};
use super::link::Error;
use super::outgoing::{LEAVE, received, taken};
use crate::stream::Stream;

/// Acknowledges messages of one connection.
#[derive(Clone)]
pub struct Acks(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    writer: AsyncMutex<WriteHalf<Stream>>,
    called: Notify,
}

/// What was not written yet.
#[derive(Default)]
struct Waiting {
    bytes: BytesMut,
    /// How much was written ever.
    written: u64,
    /// The numbers of the messages whose acknowledgements are not written, and how much is when they are.
    acks: VecDeque<(u64, u16)>,
}

impl Waiting {
    fn add_ack(&mut self, Receipt { number, is_exact }: Receipt) {
        self.bytes.extend(if is_exact { received(number) } else { taken(number) });
        self.acks.push_back((self.written + self.bytes.len() as u64, number));
    }

    fn wrote(&mut self, count: usize) {
        self.bytes.advance(count);
        self.written += count as u64;
        while self.acks.front().is_some_and(|(end, _)| *end <= self.written) {
            self.acks.pop_front();
        }
    }
}

impl Acks {
    pub(super) fn new(half: WriteHalf<Stream>) -> Self {
        let (waiting, writer) = (Mutex::default(), AsyncMutex::new(half));
        Self(Arc::new(Shared { waiting, writer, called: Notify::new() }))
    }

    /// Lets the broker know that a message was handled, as soon as the connection is read or flushed.
    pub fn acknowledge(&self, receipt: Receipt) {
        self.lock().add_ack(receipt);
        self.0.called.notify_one();
    }

    /// The numbers of the messages of whose acknowledgement the broker has nothing, or a part.
    #[must_use]
    pub fn unwritten(&self) -> Vec<u16> {
        self.lock().acks.iter().map(|(_, number)| *number).collect()
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn flush(&self) -> Result<(), BrokerError> {
        Ok(self.write().await?)
    }

    /// Takes leave of the broker.
    pub async fn leave(&self) {
        // It may be gone already.
        let _ = self.send(LEAVE).await;
    }

    /// Waits until something was acknowledged.
    pub(super) async fn called(&self) {
        self.0.called.notified().await;
    }

    pub(super) async fn send(&self, packet: &[u8]) -> Result<(), Error> {
        self.lock().bytes.extend_from_slice(packet);
        self.write().await
    }

    /// Nothing is lost or written twice if the future is dropped.
    async fn write(&self) -> Result<(), Error> {
        let mut writer = self.0.writer.lock().await;
        loop {
            let now = self.lock().bytes.clone();
            if now.is_empty() {
                return Ok(writer.flush().await?);
            }
            match writer.write(&now).await? {
                0 => return Err(Error::Closed),
                count => self.lock().wrote(count),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outgoing::PING;
    use super::*;

    #[test]
    fn what_is_half_written_is_not() {
        let mut waiting = Waiting::default();
        waiting.bytes.extend_from_slice(PING);
        for number in 1..4 {
            waiting.add_ack(Receipt { number, is_exact: number == 2 });
        }
        let unwritten =
            |waiting: &Waiting| waiting.acks.iter().map(|(_, number)| *number).collect::<Vec<_>>();
        // Two bytes of the first packet, and four of each acknowledgement.
        waiting.wrote(2 + 3);
        assert_eq!(unwritten(&waiting), [1, 2, 3]);
        waiting.wrote(1 + 4);
        assert_eq!(unwritten(&waiting), [3]);
        assert_eq!(waiting.bytes.len(), 4);
        waiting.add_ack(Receipt { number: 9, is_exact: false });
        waiting.wrote(4);
        assert_eq!(unwritten(&waiting), [9]);
    }
}
