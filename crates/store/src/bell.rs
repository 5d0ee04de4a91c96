//! How a process that writes into the store wakes another one that waits for that: by a socket in the folder,
//! at which a datagram says no more than that there is something new. What there is stands in the store, and
//! whoever begins to listen looks there first, so that a ring which nobody hears is not missed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::{Result, Store, StoreError};

/// The socket's name in the folder, and the one it has until somebody listens.
const SOCKET: &str = "wanted.socket";
const NEW: &str = "wanted.socket.new";

impl Store {
    /// Listens for code that is [wanted](Store::wanted) anew, instead of whoever listened before. What is
    /// returned does not wait where there is nothing to hear.
    ///
    /// # Errors
    /// If there can be no socket in the folder: its path may be too long for one.
    pub fn bell(&self) -> Result<UnixDatagram> {
        let (new, socket) = (self.folder().join(NEW), self.folder().join(SOCKET));
        let _ = fs::remove_file(&new);
        let bell = UnixDatagram::bind(&new).map_err(StoreError::io(&new))?;
        bell.set_nonblocking(true).map_err(StoreError::io(&new))?;
        // Whoever rings finds the former one or this one.
        fs::rename(&new, &socket).map_err(StoreError::io(&socket))?;
        Ok(bell)
    }

    /// Wakes whoever listens, if anybody does.
    pub(crate) fn ring(&self) {
        let _ = ring(&self.folder().join(SOCKET));
    }
}

fn ring(socket: &Path) -> std::io::Result<()> {
    let ringing = UnixDatagram::unbound()?;
    // Where there is no room for it, others have rung that were not heard yet.
    ringing.set_nonblocking(true)?;
    ringing.send_to(&[0], socket).map(drop)
}
