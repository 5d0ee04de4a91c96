//! By which other processes let the one that takes messages know that they have put some: a socket beside
//! the file, whose datagrams carry nothing. It is a hint: what nobody rings for, because the socket is gone or
//! its path is too long for the system, is found when the file is looked into.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many are heard as one.
const TOGETHER: usize = 1024;

/// Where the socket is of this file of queues.
fn socket(file: &Path) -> PathBuf {
    file.with_extension("sock")
}

/// Lets the process that takes messages of this file know that there are some.
pub(super) fn ring(file: &Path) {
    let rung = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&[], self::socket(file))
    });
    if let Err(error) = rung {
        tracing::trace!(%error, "nobody hears that a message was put");
    }
}

/// What the process that takes messages hears others by.
pub(super) struct Bell {
    path: PathBuf,
    /// Until somebody waits for it.
    socket: Mutex<Option<UnixDatagram>>,
    ear: OnceLock<Ear>,
}

/// What one who waits for it has of it.
#[derive(Clone, Default)]
pub struct Ear(Option<Arc<tokio::net::UnixDatagram>>);

impl Bell {
    /// The one of a file, in the place of whatever a former process left.
    pub(super) fn hang(file: &Path) -> io::Result<Self> {
        let path = socket(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { path, socket: Mutex::new(Some(socket)), ear: OnceLock::new() })
    }

    /// What hears it, on the runtime that asks for it first.
    pub(super) fn ear(&self) -> Ear {
        let ear = self.ear.get_or_init(|| {
            let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
            let socket = socket.and_then(|it| tokio::net::UnixDatagram::from_std(it).ok());
            Ear(socket.map(Arc::new))
        });
        ear.clone()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // Whoever comes next does it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Ear {
    /// Waits until somebody rings; for ever if there is no bell.
    pub async fn rung(&self) {
        let heard = match &self.0 {
            Some(socket) => socket.recv(&mut []).await.map(|_| socket),
            None => std::future::pending().await,
        };
        match heard {
            Ok(socket) => {
                (0..TOGETHER).take_while(|_| socket.try_recv(&mut []).is_ok()).for_each(drop);
            }
            // A socket that fails would be heard for ever.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    const WHILE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn who_rings_is_heard_once_and_nobody_is_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.db");
        ring(&file);
        // What a killed process left.
        drop(UnixDatagram::bind(socket(&file)).unwrap());
        let bell = Bell::hang(&file).unwrap();
        let ear = bell.ear();
        (0..10).for_each(|_| ring(&file));
        timeout(SOON, ear.rung()).await.expect("it is heard");
        assert!(timeout(WHILE, ear.rung()).await.is_err(), "heard twice");
        // Nobody reads it: who rings does not wait.
        (0..5_000).for_each(|_| ring(&file));
        drop(bell);
        assert!(!socket(&file).exists());
        ring(&file);
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_no_bell() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x".repeat(120));
        assert!(Bell::hang(&file).is_err());
        ring(&file);
        assert!(timeout(WHILE, Ear::default().rung()).await.is_err());
    }
}
