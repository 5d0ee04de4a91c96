//! Sessions with servers, kept for later requests of the same component. A session that is kept is
//! as good as new; one that was left in the middle of something is ended. How many there are is
//! bounded, and so is how long an unused one is kept.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

/// How many sessions of one component are in use at once; others wait for one.
const BUSY: usize = 32;

/// How many unused ones are kept.
const IDLE: usize = 32;

/// How long an unused one is kept.
const KEEP: Duration = Duration::from_secs(10);

/// How long a request waits for another to give its session back.
const WAIT: Duration = Duration::from_secs(10);

/// How long a session may take to become as good as new.
const RESET: Duration = Duration::from_secs(5);

/// What a session is with: the address with all that is secret in it, as a digest.
pub(crate) type Key = [u8; 32];

/// A session with a server.
pub(crate) trait Session: Send + Sync + Sized + 'static {
    /// Whether its connection is still there, as far as is known.
    fn is_alive(&self) -> bool;

    /// Forgets everything that was done in it; false if it could not.
    fn reset(&self) -> impl Future<Output = bool> + Send;

    /// Ends it in the middle of what it does.
    fn abort(self);
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Unavailable<E> {
    /// As many as may be are in use.
    Busy,
    /// None could be opened.
    Failed(E),
}

/// The sessions of one component.
pub(crate) struct Pool<S: Session>(Arc<Shared<S>>);

struct Shared<S: Session> {
    busy: Arc<Semaphore>,
    idle: Mutex<Idle<S>>,
}

struct Idle<S> {
    kept: VecDeque<Kept<S>>,
    /// Whether a task watches over how long they are kept.
    watched: bool,
}

struct Kept<S> {
    key: Key,
    session: S,
    until: Instant,
}

impl<S: Session> Default for Pool<S> {
    fn default() -> Self {
        let idle = Idle { kept: VecDeque::new(), watched: false };
        let busy = Arc::new(Semaphore::new(BUSY));
        Self(Arc::new(Shared { busy, idle: Mutex::new(idle) }))
    }
}

impl<S: Session> Pool<S> {
    /// A session that was kept, or one that `open` opens.
    pub(crate) async fn take<E>(
        &self,
        key: Key,
        open: impl Future<Output = Result<S, E>>,
    ) -> Result<Lent<S>, Unavailable<E>> {
        let turn = timeout(WAIT, self.0.busy.clone().acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(turn)) = turn else { return Err(Unavailable::Busy) };
        let session = match self.0.kept(&key) {
            Some(session) => session,
            None => open.await.map_err(Unavailable::Failed)?,
        };
        Ok(Lent {
            lent: Some((session, turn)),
            key,
            used: AtomicBool::new(false),
            unfinished: AtomicUsize::new(0),
            home: Arc::downgrade(&self.0),
        })
    }

    #[cfg(test)]
    fn idle(&self) -> usize {
        self.0.idle().kept.len()
    }
}

impl<S: Session> Shared<S> {
    fn idle(&self) -> MutexGuard<'_, Idle<S>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last, because its server's caches are warm.
    fn kept(&self, key: &Key) -> Option<S> {
        let mut idle = self.idle();
        loop {
            let found = idle.kept.iter().rposition(|kept| kept.key == *key)?;
            let kept = idle.kept.remove(found)?;
            if kept.session.is_alive() {
                return Some(kept.session);
            }
        }
    }

    fn keep(self: &Arc<Self>, key: Key, session: S) {
        let mut idle = self.idle();
        if idle.kept.len() == IDLE {
            idle.kept.pop_front();
        }
        let until = Instant::now() + KEEP;
        idle.kept.push_back(Kept { key, session, until });
        if !idle.watched {
            idle.watched = true;
            tokio::spawn(watch(Arc::downgrade(self), until));
        }
    }

    /// Ends what has been kept long enough, and says when the next will have been.
    fn expire(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        idle.kept.retain(|kept| kept.until > now && kept.session.is_alive());
        let next = idle.kept.front().map(|kept| kept.until);
        idle.watched = next.is_some();
        next
    }
}

/// Runs as long as sessions are kept.
async fn watch<S: Session>(pool: Weak<Shared<S>>, first: Instant) {
    let mut next = Some(first);
    while let Some(until) = next {
        sleep_until(until).await;
        next = pool.upgrade().and_then(|pool| pool.expire());
    }
}

/// A session in someone's use, which goes back where it came from.
pub(crate) struct Lent<S: Session> {
    /// There until it is dropped.
    lent: Option<(S, OwnedSemaphorePermit)>,
    key: Key,
    used: AtomicBool,
    unfinished: AtomicUsize,
    home: Weak<Shared<S>>,
}

impl<S: Session> Lent<S> {
    /// To be said before something is begun that must not be left in the middle.
    pub(crate) fn begin(&self) {
        self.used.store(true, SeqCst);
        self.unfinished.fetch_add(1, SeqCst);
    }

    /// To be said when it is through. Who drops it before leaves a session that is not kept.
    pub(crate) fn finish(&self) {
        self.unfinished.fetch_sub(1, SeqCst);
    }
}

impl<S: Session> Deref for Lent<S> {
    type Target = S;

    fn deref(&self) -> &S {
        let Some((session, _)) = &self.lent else {
            unreachable!("it is there until it is dropped")
        };
        session
    }
}

impl<S: Session> Drop for Lent<S> {
    fn drop(&mut self) {
        let Some((session, turn)) = self.lent.take() else { return };
        if self.unfinished.load(SeqCst) > 0 || !session.is_alive() {
            return session.abort();
        }
        let (Some(home), Ok(runtime)) = (self.home.upgrade(), Handle::try_current()) else {
            return session.abort();
        };
        if !self.used.load(SeqCst) {
            return home.keep(self.key, session);
        }
        let key = self.key;
        runtime.spawn(async move {
            // Someone else may have the turn only when the session can be had, too.
            let _turn = turn;
            match timeout(RESET, session.reset()).await {
                Ok(true) => home.keep(key, session),
                _ => session.abort(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Events {
        opened: AtomicU32,
        reset: AtomicU32,
        aborted: AtomicU32,
    }

    struct Fake(Arc<Events>);

    impl Session for Fake {
        fn is_alive(&self) -> bool {
            true
        }

        async fn reset(&self) -> bool {
            self.0.reset.fetch_add(1, SeqCst);
            true
        }

        fn abort(self) {
            self.0.aborted.fetch_add(1, SeqCst);
        }
    }

    async fn take(pool: &Pool<Fake>, key: u8, events: &Arc<Events>) -> Lent<Fake> {
        let open = async {
            events.opened.fetch_add(1, SeqCst);
            Ok::<_, Infallible>(Fake(events.clone()))
        };
        pool.take([key; 32], open).await.unwrap_or_else(|_| panic!("a session"))
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    fn counts(events: &Events) -> [u32; 3] {
        [&events.opened, &events.reset, &events.aborted].map(|count| count.load(SeqCst))
    }

    #[tokio::test]
    async fn a_session_is_reset_and_used_again_for_the_same_address_only() {
        let (pool, events) = (Pool::default(), Arc::default());
        let lent = take(&pool, 1, &events).await;
        lent.begin();
        lent.finish();
        drop(lent);
        settle().await;
        assert_eq!(counts(&events), [1, 1, 0]);
        let other = take(&pool, 2, &events).await;
        assert_eq!(counts(&events), [2, 1, 0]);
        let same = take(&pool, 1, &events).await;
        assert_eq!(counts(&events), [2, 1, 0]);
        drop((other, same));
        settle().await;
        assert_eq!(counts(&events), [2, 1, 0], "what was not used needs no reset");
    }

    #[tokio::test]
    async fn a_session_left_in_the_middle_is_ended() {
        let (pool, events) = (Pool::default(), Arc::default());
        let lent = take(&pool, 1, &events).await;
        lent.begin();
        drop(lent);
        settle().await;
        assert_eq!((counts(&events), pool.idle()), ([1, 0, 1], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn unused_sessions_are_ended_after_a_while() {
        let (pool, events) = (Pool::default(), Arc::default());
        drop(take(&pool, 1, &events).await);
        tokio::time::sleep(KEEP / 2).await;
        drop(take(&pool, 2, &events).await);
        assert_eq!(pool.idle(), 2);
        tokio::time::sleep(KEEP * 3 / 4).await;
        assert_eq!(pool.idle(), 1);
        tokio::time::sleep(KEEP).await;
        assert_eq!(pool.idle(), 0);
        drop(take(&pool, 3, &events).await);
        tokio::time::sleep(KEEP * 2).await;
        assert_eq!(pool.idle(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_in_use_are_bounded_and_one_that_comes_back_is_given_on() {
        let (pool, events) = (Pool::default(), Arc::default());
        let mut lent = Vec::new();
        for _ in 0..BUSY {
            lent.push(take(&pool, 1, &events).await);
        }
        let none = pool.take([1; 32], async { Ok::<_, Infallible>(Fake(Arc::default())) }).await;
        assert!(matches!(none, Err(Unavailable::Busy)));
        lent.pop();
        lent.push(take(&pool, 1, &events).await);
        assert_eq!(counts(&events)[0], BUSY as u32);
    }
}
