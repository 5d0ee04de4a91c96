//! Connections to servers that events come from: made again for ever, each time later.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events::{Courier, jittered};

/// How long to wait before a connection is made again, at first and at most.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
pub(super) const AGAIN_MOST: Duration = Duration::from_secs(10);

/// A server that may be lost.
pub(super) struct Lost {
    /// What it is: `broker`, `Redis server`.
    pub(super) what: &'static str,
    /// Which one.
    pub(super) name: String,
}

impl Lost {
    /// Notes that it is there.
    pub(super) fn found(&self, courier: &Courier) {
        if courier.metrics().set_connected(true) {
            let (trigger, server) = (&**courier.trigger(), &*self.name);
            tracing::info!(trigger, server, "the {} is back", self.what);
        }
    }
}

/// Keeps a session with a server going, until the end is asked for. A session ends by failing, or
/// because the end came.
pub(super) async fn keep<E: Display, F>(
    courier: &Arc<Courier>,
    server: &Lost,
    session: impl Fn() -> F,
) where
    F: Future<Output = Result<(), E>>,
{
    let ending = courier.ending();
    let mut wait = AGAIN;
    loop {
        let began = Instant::now();
        let Err(error) = session().await else { return };
        if courier.metrics().set_connected(false) {
            let (trigger, name) = (&**courier.trigger(), &*server.name);
            let what = server.what;
            tracing::warn!(trigger, server = name, %error, "the {what} is lost: tried again for ever");
        }
        if began.elapsed() > AGAIN_MOST {
            wait = AGAIN;
        }
        if ending.within(jittered(wait)).await {
            return;
        }
        wait = (wait * 2).min(AGAIN_MOST);
    }
}
