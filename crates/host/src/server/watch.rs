//! What the thread does that started the server, while others serve: certificate files, and the
//! ends of the threads.

use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::shutdown::{Phase, Shutdown};
use super::tls::Reload;
use super::{Outcome, ServeError};

/// How long the threads get to drop what runs once they were told to; one that is still in a
/// system call then is left behind.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Watches over a server.
pub(super) struct Watchman {
    runtime: Runtime,
    reload: Option<Reload>,
    shutdown: Shutdown,
}

impl Watchman {
    pub(super) fn new(shutdown: &Shutdown, reload: Option<Reload>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, reload, shutdown: shutdown.clone() })
    }

    /// Watches until every thread has ended.
    pub(super) fn until_ended(
        self,
        workers: usize,
        ends: UnboundedReceiver<Ended>,
    ) -> Result<Outcome, ServeError> {
        let Self { runtime, reload, shutdown } = self;
        runtime.block_on(async {
            let mut ends = Ends { waiting: workers, unfinished: 0, failure: None, channel: ends };
            tokio::select! {
                () = ends.collect(&shutdown) => {}
                () = last_wait(&shutdown) => {}
                () = keep_fresh(reload) => {}
            }
            ends.outcome()
        })
    }
}

async fn last_wait(shutdown: &Shutdown) {
    shutdown.watch().reached(Phase::Ending).await;
    tokio::time::sleep(LAST_WAIT).await;
}

async fn keep_fresh(reload: Option<Reload>) {
    match reload {
        Some(mut reload) => reload.keep_fresh().await,
        None => std::future::pending().await,
    }
}

/// How a thread ended: with the requests it dropped, with an error, or with a panic.
pub(super) type Ended = Option<io::Result<usize>>;

/// What has been heard of the threads' ends.
struct Ends {
    waiting: usize,
    unfinished: usize,
    failure: Option<ServeError>,
    channel: UnboundedReceiver<Ended>,
}

impl Ends {
    async fn collect(&mut self, shutdown: &Shutdown) {
        while self.waiting > 0 {
            let failure = match self.channel.recv().await {
                Some(Some(Ok(unfinished))) => {
                    self.waiting -= 1;
                    self.unfinished += unfinished;
                    continue;
                }
                Some(Some(Err(error))) => ServeError::Start(error),
                Some(None) | None => ServeError::Thread,
            };
            self.waiting -= 1;
            self.failure.get_or_insert(failure);
            // Better to end, and be started again, than to serve on some of the cores only.
            shutdown.now();
        }
    }

    fn outcome(self) -> Result<Outcome, ServeError> {
        match self.failure {
            Some(failure) => Err(failure),
            // A thread that was left behind has at least one request.
            None => Ok(Outcome { unfinished: self.unfinished + self.waiting, status: 0 }),
        }
    }
}

/// Tells how a thread ended, even if it panicked.
pub(super) struct End {
    channel: UnboundedSender<Ended>,
    ended: Ended,
}

impl End {
    pub(super) const fn new(channel: UnboundedSender<Ended>) -> Self {
        Self { channel, ended: None }
    }

    pub(super) fn tell(mut self, ended: io::Result<usize>) {
        self.ended = Some(ended);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Nobody listens any more once the server has been left to its end.
        let _ = self.channel.send(self.ended.take());
    }
}
