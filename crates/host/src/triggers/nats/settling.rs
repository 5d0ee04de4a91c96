//! What the server is told of a stream's messages, by whichever connection there is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_capabilities::nats::{Connection, ServerError, jetstream};

use super::super::reconnect::{AGAIN, AGAIN_MOST};
use super::known::{Key, Known};
use crate::events::{Settled, jittered};

/// What those share who settle messages.
#[derive(Default)]
pub(super) struct Settling {
    known: Mutex<Known>,
    connection: Mutex<Option<Connection>>,
}

impl Settling {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_connection(&self, connection: Option<Connection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// Tells the server of a message.
    pub(super) async fn tell(&self, reply: &str, word: &[u8]) -> Result<(), ServerError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match connection {
            Some(connection) => connection.tell(&[(reply, word)]).await,
            None => Err(ServerError::Lost("there is no connection".to_owned())),
        }
    }

    /// Tells the server what became of a message.
    pub(super) async fn settled(&self, key: Key, settled: Settled) {
        let Some(reply) = self.known().settled(key, settled.is_over()) else { return };
        let word = match settled {
            Settled::Done => jetstream::HANDLED.to_vec(),
            Settled::Dead => jetstream::GIVEN_UP.to_vec(),
            Settled::Back => jetstream::BACK.to_vec(),
            Settled::Later(delay) => jetstream::back_after(delay),
        };
        let mut wait = AGAIN;
        while let Err(error) = self.tell(&reply, &word).await {
            tracing::debug!(%error, "what became of a message is not told");
            if !settled.is_over() {
                // By the time it is told, another may have it; it comes again without a word.
                return;
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(AGAIN_MOST);
        }
    }
}
