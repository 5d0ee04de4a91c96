//! The threads that events are handled on: one runtime a core, as the HTTP server has them, because
//! guests run in the task of what they handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Threads that run what is given to them.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    end: watch::Sender<bool>,
}

impl Workers {
    /// Starts so many threads.
    pub(super) fn start(count: usize) -> std::io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let (end, ended) = watch::channel(false);
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut ended = ended.clone();
            let thread = std::thread::Builder::new().name(format!("dayfly-events-{index}"));
            threads.push(thread.spawn(move || {
                runtime.block_on(async {
                    // Nobody can ask for anything any more if the sender is gone.
                    let _ = ended.wait_for(|ended| *ended).await;
                });
                runtime.shutdown_background();
            })?);
        }
        Ok((Arc::new(Self { handles, next: AtomicUsize::new(0), end }), threads))
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
