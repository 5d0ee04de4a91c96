//! How a process that writes into the store wakes another one that waits for that: by a socket in the folder,
//! at which a datagram says no more than that there is something new. What there is stands in the store, and
//! whoever begins to listen looks there first, so that a ring which nobody hears is not missed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::{Result, Store, StoreError};

/// The sockets' names in the folder: at the one is rung when code is wanted, at the other when what is to be
/// served has changed.
const WANTED: &str = "wanted.socket";
const CHANGED: &str = "changed.socket";

impl Store {
    /// Listens for code that is [wanted](Store::wanted) anew, instead of whoever listened before. What is
    /// returned does not wait where there is nothing to hear.
    ///
    /// # Errors
    /// If there can be no socket in the folder: its path may be too long for one.
    pub fn bell(&self) -> Result<UnixDatagram> {
        self.hang(WANTED)
    }

    /// The same for a new [generation](dayfly_model::platform::ReleaseStore::generation).
    ///
    /// # Errors
    /// As for [`Self::bell`].
    pub fn bell_of_changes(&self) -> Result<UnixDatagram> {
        self.hang(CHANGED)
    }

    fn hang(&self, name: &str) -> Result<UnixDatagram> {
        let socket = self.folder().join(name);
        // Its name until somebody listens.
        let new = socket.with_extension("socket.new");
        let _ = fs::remove_file(&new);
        let bell = UnixDatagram::bind(&new).map_err(StoreError::io(&new))?;
        bell.set_nonblocking(true).map_err(StoreError::io(&new))?;
        // Whoever rings finds the former one or this one.
        fs::rename(&new, &socket).map_err(StoreError::io(&socket))?;
        Ok(bell)
    }

    /// Wakes whoever listens for wanted code, if anybody does.
    pub(crate) fn ring(&self) {
        let _ = ring(&self.folder().join(WANTED));
    }

    /// Wakes whoever listens for changes, if anybody does.
    pub(crate) fn ring_of_changes(&self) {
        let _ = ring(&self.folder().join(CHANGED));
    }
}

fn ring(socket: &Path) -> std::io::Result<()> {
    let ringing = UnixDatagram::unbound()?;
    // Where there is no room for it, others have rung that were not heard yet.
    ringing.set_nonblocking(true)?;
    ringing.send_to(&[0], socket).map(drop)
}
