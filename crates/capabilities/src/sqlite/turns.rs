//! Leave to use a thread. Statements compute beside the guests, on threads of their own, so that
//! there are few of them: no component has more than the cores, and all together twice as many.
//! Nobody waits in one for a lock or a reader.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::value::Error;

/// How many statements of one component run at once.
pub(super) static RUNNING: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)));
static ALL_RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2 * *RUNNING));

/// How many of one component give their rows to a reader, and how many in all. Each has a thread
/// that waits while its reader does.
pub(super) const STREAMS: usize = 8;
static ALL_STREAMS: Semaphore = Semaphore::const_new(32);

/// How many connections one component has. Each takes some megabytes, and some of its guests may
/// wait for others.
const CONNECTIONS: usize = 64;

/// How long a guest waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// The turns of one component.
#[derive(Clone)]
pub(super) struct Turns {
    running: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// Leave for one statement.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _shared: SemaphorePermit<'static>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(*RUNNING)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

impl Turns {
    /// Waits for leave to run a statement.
    pub(super) async fn run(&self) -> Result<Turn, Error> {
        turn(&self.running, &ALL_RUNNING, "as many statements as may be are running").await
    }

    /// Waits for leave to stream rows.
    pub(super) async fn stream(&self) -> Result<Turn, Error> {
        turn(&self.streams, &ALL_STREAMS, "the rows of as many statements as may be are being read")
            .await
    }
}

/// Waits for leave to have a connection, of a component's own and of a database's.
pub(super) async fn connection(
    own: &Turns,
    database: &Arc<Semaphore>,
) -> Result<[OwnedSemaphorePermit; 2], Error> {
    let connection = async {
        let own = own.connections.clone().acquire_owned().await.ok()?;
        Some([own, database.clone().acquire_owned().await.ok()?])
    };
    let connection = timeout(WAIT / 2, connection).await.ok().flatten();
    connection.ok_or_else(|| Error::io("as many connections to the database as may be are in use"))
}

/// Waits for a component's own, and then for one of all, so that who has its share keeps no one else
/// from theirs. The semaphores are never closed.
async fn turn(own: &Arc<Semaphore>, all: &'static Semaphore, refusal: &str) -> Result<Turn, Error> {
    let turn = async {
        let own = own.clone().acquire_owned().await.ok()?;
        Some(Turn { _own: own, _shared: all.acquire().await.ok()? })
    };
    timeout(WAIT, turn).await.ok().flatten().ok_or_else(|| Error::io(refusal))
}
