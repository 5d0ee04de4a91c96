//! The threads that the events of all apps are taken in and handled on: one for sources, and for handlers
//! one runtime a core, as the HTTP server has them, because guests run in the task of what they handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Threads that run what is given to them.
pub(crate) struct Workers {
    sources: Handle,
    handles: Vec<Handle>,
    next: AtomicUsize,
    end: watch::Sender<bool>,
}

impl Workers {
    /// Starts the thread of sources, and so many for handlers; each of them has at most so many for what
    /// blocks.
    pub(super) fn start(
        count: usize,
        blocking_threads: usize,
    ) -> std::io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let (end, ended) = watch::channel(false);
        let mut threads = Vec::new();
        let mut start = |name: String| {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking_threads.max(1))
                .build()?;
            let handle = runtime.handle().clone();
            let mut ended = ended.clone();
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                runtime.block_on(async {
                    // Nobody can ask for anything any more if the sender is gone.
                    let _ = ended.wait_for(|ended| *ended).await;
                });
                // A look-up of a name may hang.
                runtime.shutdown_background();
            })?);
            std::io::Result::Ok(handle)
        };
        let sources = start("dayfly-sources".to_owned())?;
        let handles = (0..count.max(1)).map(|index| start(format!("dayfly-events-{index}")));
        let handles = handles.collect::<std::io::Result<_>>()?;
        Ok((Arc::new(Self { sources, handles, next: AtomicUsize::new(0), end }), threads))
    }

    /// Where sources run.
    pub(super) const fn sources(&self) -> &Handle {
        &self.sources
    }

    /// Runs a task on the next thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let index = self.next.fetch_add(1, Relaxed) % self.handles.len();
        self.handles[index].spawn(task);
    }

    /// Lets the threads end; what still runs is dropped.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }
}
