//! A topic: the connections that joined it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, Link, Message};

/// Why the client of a connection is let go that takes too little.
const SLOW: (u16, &str) = (1013, "too slow");

/// The connections that joined a topic.
#[derive(Default)]
pub(super) struct Topic {
    members: Mutex<HashMap<u128, Arc<Link>>>,
}

impl Topic {
    pub(super) fn members(&self) -> MutexGuard<'_, HashMap<u128, Arc<Link>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to all of them, in one order for all that is published here; how many there are.
    pub(super) fn publish(&self, message: &Message) -> u32 {
        let members = self.members();
        let mut reached = 0;
        for link in members.values() {
            match link.send(message.clone()) {
                Ok(()) => reached += 1,
                // Nobody could say to whom it was not sent.
                Err(Error::Full) => link.give_up(SLOW.0, SLOW.1),
                Err(_) => {}
            }
        }
        reached
    }
}
