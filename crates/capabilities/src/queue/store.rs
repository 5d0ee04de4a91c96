//! The file of queues behind a thread of its own, begun with the first use. What waits at the same time
//! is committed together, so that many changes share one flush to the disk.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};

use super::bell::{Bell, Ear};
use super::table::Table;
use super::{Announced, Content, DeadLetter, Message, New, Outcome, QueueError, Sent, bell};
use crate::Account;

/// How much one commit takes at most.
const TOGETHER: usize = 256;

/// How long who looks whether somebody takes messages may keep others from it.
const LOOKED: Duration = Duration::from_millis(50);

/// How often is looked whether another process has given it up.
const LOOK: Duration = Duration::from_millis(20);

/// Work for the thread: done in a transaction if there is one, then told whether that was committed.
type Work = Box<dyn FnOnce(Result<&Table, QueueError>) -> Told + Send>;
type Told = Box<dyn FnOnce(Result<(), QueueError>) + Send>;

/// The queues of one app.
pub struct Store {
    path: PathBuf,
    thread: OnceLock<Mutex<Sender<Work>>>,
    /// Counts what was put, for those that wait for it.
    puts: Count,
    /// The same for what was sent to triggers.
    sends: Count,
    /// Whether this process has become the one who takes messages.
    is_ours: AtomicBool,
    account: OnceLock<Arc<Account>>,
}

/// A count that others wait for; made when it is needed first, which it is in few apps.
type Count = LazyLock<watch::Sender<u64>>;

/// Who alone takes messages of a store.
pub struct Owner {
    store: Arc<Store>,
    /// Nothing while another one has it.
    held: AsyncMutex<Option<Held>>,
}

/// What the one who takes messages has. The bell goes first: who has the lock next hangs up another.
struct Held {
    bell: Option<Bell>,
    /// Unlocked when this process ends, however it does.
    _lock: File,
}

impl Store {
    /// The queues of the app with this state folder; no file is opened yet.
    #[must_use]
    pub fn new(state: &std::path::Path) -> Self {
        let [puts, sends] = [(); 2].map(|()| Count::new(|| watch::Sender::new(0)));
        let (path, thread, account) = (state.join("queues.db"), OnceLock::new(), OnceLock::new());
        Self { path, thread, puts, sends, is_ours: AtomicBool::new(false), account }
    }

    /// Has messages count as what a tenant's apps keep.
    pub fn charge(&self, account: &Arc<Account>) {
        self.account.get_or_init(|| account.clone());
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Puts messages, all of them or none. They are on the disk when this returns.
    ///
    /// # Errors
    /// If one is too large, there is no quota for them, or the file fails.
    pub async fn put(&self, messages: Vec<New>) -> Result<(), QueueError> {
        if let Some(account) = self.account.get() {
            account.keep(messages.iter().map(New::bytes).sum()).map_err(QueueError::Quota)?;
        }
        let put = move |table: &Table| {
            messages.iter().try_for_each(|message| table.put(message).map(drop))
        };
        self.run(put).await?;
        self.tell(&self.puts);
        Ok(())
    }

    /// Puts a message in place of those that were taken, in one step: it is not there beside them, and not
    /// missing with them.
    ///
    /// # Errors
    /// If it is too large, or the file fails.
    pub async fn pass_on(&self, taken: Vec<i64>, message: New) -> Result<(), QueueError> {
        if let Some(account) = self.account.get() {
            // It was a message before.
            account.has_kept(message.bytes());
        }
        let pass_on = move |table: &Table| {
            table.put(&message)?;
            taken.iter().try_for_each(|id| table.done(*id))
        };
        self.run(pass_on).await?;
        self.tell(&self.puts);
        Ok(())
    }

    /// Tells those who wait for it, in whatever process they are.
    fn tell(&self, waited_for: &watch::Sender<u64>) {
        waited_for.send_modify(|count| *count += 1);
        if !self.is_ours.load(Relaxed) {
            bell::ring(&self.path);
        }
    }

    /// Keeps a dead letter. It is on the disk when this returns.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn bury(&self, letter: DeadLetter) -> Result<i64, QueueError> {
        self.run(move |table| table.bury(&letter)).await
    }

    /// Sends an event to a trigger of the process that takes messages; its number.
    ///
    /// # Errors
    /// If it is too large, or the file fails.
    pub async fn send(&self, trigger: String, content: Content) -> Result<i64, QueueError> {
        let id = self.run(move |table| table.send(&trigger, &content)).await?;
        self.tell(&self.sends);
        Ok(id)
    }

    /// What became of an event that was sent, once it is known.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn outcome(&self, id: i64) -> Result<Option<Outcome>, QueueError> {
        self.run(move |table| table.outcome(id)).await
    }

    /// Becomes the one who takes messages, and puts back what an earlier one has left; what was sent to
    /// that one is forgotten.
    ///
    /// # Errors
    /// If another process is that, or the file fails.
    pub async fn own(self: &Arc<Self>) -> Result<Owner, QueueError> {
        let held = self.lock().await?;
        Ok(Owner { store: self.clone(), held: AsyncMutex::new(Some(held)) })
    }

    /// The same where another process may take messages still: this one waits for it
    /// ([`Owner::had`]) before it takes any.
    #[must_use]
    pub fn own_later(self: &Arc<Self>) -> Owner {
        Owner { store: self.clone(), held: AsyncMutex::default() }
    }

    async fn lock(&self) -> Result<Held, QueueError> {
        let path = self.path.with_extension("lock");
        let failed = |error: std::io::Error| QueueError::Open {
            path: path.clone(),
            reason: error.to_string(),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let options = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = options.map_err(failed)?;
        if let Err(std::fs::TryLockError::WouldBlock) = lock.try_lock() {
            // Who only looks whether somebody has it is gone by then.
            std::thread::sleep(LOOKED);
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(QueueError::Owned),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        self.run(Table::recover).await?;
        self.is_ours.store(true, Relaxed);
        let bell = Bell::hang(&self.path).inspect_err(|error| {
            tracing::debug!(%error, "what other processes put is found by looking for it");
        });
        Ok(Held { bell: bell.ok(), _lock: lock })
    }

    /// Whether a process takes messages from it now.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        let lock = File::options().write(true).open(self.path.with_extension("lock"));
        lock.is_ok_and(|lock| lock.try_lock_shared().is_err())
    }

    /// Does work on the thread of the file.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Table) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (sender, outcome) = oneshot::channel();
        let work: Work = Box::new(move |table| {
            let done = table.and_then(|table| table.all_or_nothing(work));
            // Whoever waited may be gone.
            Box::new(move |committed| drop(sender.send(committed.and(done))))
        });
        self.sender()?.send(work).map_err(|_| QueueError::Closed)?;
        outcome.await.map_err(|_| QueueError::Closed)?
    }

    fn sender(&self) -> Result<Sender<Work>, QueueError> {
        let sender = self.thread.get_or_init(|| {
            let (sender, works) = channel();
            let path = self.path.clone();
            let thread = std::thread::Builder::new().name("dayfly-queues".to_owned());
            if let Err(error) = thread.spawn(move || serve(&path, &works)) {
                tracing::error!(%error, "failed to start the thread of the queues");
            }
            Mutex::new(sender)
        });
        Ok(sender.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Owner {
    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Waits until no other process takes messages.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn had(&self) -> Result<(), QueueError> {
        let mut own = self.held.lock().await;
        while own.is_none() {
            match self.store.lock().await {
                Ok(held) => *own = Some(held),
                Err(QueueError::Owned) => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the next messages of a queue, so many at most, and tells when the next that is delayed
    /// is due.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn take(
        &self,
        queue: String,
        most: u32,
    ) -> Result<(Vec<Message>, Option<SystemTime>), QueueError> {
        self.store.run(move |table| Ok((table.take(&queue, most)?, table.next_due()?))).await
    }

    /// Forgets a message that was handled.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn done(&self, id: i64) -> Result<(), QueueError> {
        self.store.run(move |table| table.done(id)).await
    }

    /// Puts a message back that was not handled.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn back(&self, id: i64) -> Result<(), QueueError> {
        self.store.run(move |table| table.back(id)).await
    }

    /// Takes dead letters of a trigger that are to be delivered again, so many at most.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn resurrect(
        &self,
        trigger: String,
        most: u32,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.store.run(move |table| table.resurrect(&trigger, most)).await
    }

    /// Forgets a dead letter that was handled.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn forget(&self, id: i64) -> Result<(), QueueError> {
        self.store.run(move |table| table.forget(&[id]).map(drop)).await
    }

    /// Lets a dead letter wait for its next delivery again.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn still_asked(&self, id: i64) -> Result<(), QueueError> {
        self.store.run(move |table| table.still_asked(id)).await
    }

    /// Says which triggers there are, for who sends events to them.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn announce(&self, triggers: Vec<Announced>) -> Result<(), QueueError> {
        self.store.run(move |table| table.announce(&triggers)).await
    }

    /// Takes events that were sent to triggers, so many at most.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn take_sent(&self, most: u32) -> Result<Vec<Sent>, QueueError> {
        self.store.run(move |table| table.take_sent(most)).await
    }

    /// Tells what became of an event that was sent.
    ///
    /// # Errors
    /// If the file fails.
    pub async fn tell(&self, id: i64, outcome: Outcome) -> Result<(), QueueError> {
        self.store.run(move |table| table.tell(id, &outcome)).await
    }

    /// By which is heard that another process has put or sent something.
    pub async fn ear(&self) -> Ear {
        let held = self.held.lock().await;
        let bell = held.as_ref().and_then(|held| held.bell.as_ref());
        bell.map(Bell::ear).unwrap_or_default()
    }

    /// Lets those look who wait for what is put.
    pub fn stir(&self) {
        self.store.puts.send_modify(|puts| *puts += 1);
    }

    /// Changes with each put of this process.
    #[must_use]
    pub fn puts(&self) -> watch::Receiver<u64> {
        self.store.puts.subscribe()
    }

    /// Changes with each event that this process sends to a trigger.
    #[must_use]
    pub fn sends(&self) -> watch::Receiver<u64> {
        self.store.sends.subscribe()
    }
}

/// Does what is asked until nobody can ask any more.
fn serve(path: &std::path::Path, works: &Receiver<Work>) {
    let mut open = None;
    while let Ok(first) = works.recv() {
        let batch = std::iter::once(first).chain(works.try_iter().take(TOGETHER - 1));
        if open.is_none() {
            match Table::open(path) {
                Ok(table) => open = Some(table),
                Err(error) => {
                    batch.for_each(|work| work(Err(error.clone()))(Ok(())));
                    continue;
                }
            }
        }
        if let Some(table) = &open
            && together(table, batch).is_err()
        {
            open = None;
        }
    }
}

/// Does work in one transaction. An error if the connection is of no use any more.
fn together(table: &Table, batch: impl Iterator<Item = Work>) -> Result<(), QueueError> {
    let connection = table.connection();
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE").map_err(QueueError::from) {
        batch.for_each(|work| work(Err(error.clone()))(Ok(())));
        return Err(error);
    }
    // What makes SQLite give up the whole transaction, a full disk for one, fails the rest unbegun.
    let within = |work: Work| match connection.is_autocommit() {
        false => work(Ok(table)),
        true => work(Err(QueueError::Full)),
    };
    let told: Vec<Told> = batch.map(within).collect();
    let committed = connection.execute_batch("COMMIT").map_err(QueueError::from);
    if committed.is_err() {
        // There may be none to roll back.
        let _ = connection.execute_batch("ROLLBACK");
    }
    told.into_iter().for_each(|told| told(committed.clone()));
    committed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Content, MESSAGE_BYTES};
    use super::*;

    fn new(data: Vec<u8>) -> New {
        let content = Content { data: data.into(), ..Content::default() };
        New { queue: "a".to_owned(), delay: Duration::ZERO, priority: 0, content }
    }

    #[tokio::test]
    async fn several_messages_are_put_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()));
        let too_large = new(vec![0; MESSAGE_BYTES + 1]);
        let put = store.put(vec![new(vec![1]), too_large]).await;
        assert!(matches!(put, Err(QueueError::TooLarge)));
        store.put(vec![new(vec![2])]).await.unwrap();
        let owner = store.own().await.unwrap();
        let (taken, _) = owner.take("a".to_owned(), 9).await.unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].content.data, [2][..]);
    }

    #[tokio::test]
    async fn only_one_takes_messages() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Arc::new(Store::new(folder.path())).own().await.unwrap();
        let other = Arc::new(Store::new(folder.path()));
        assert!(matches!(other.own().await, Err(QueueError::Owned)));
        drop(owner);
        other.own().await.unwrap();
    }

    #[tokio::test]
    async fn whoever_may_wait_takes_messages_when_the_former_one_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let former = Arc::new(Store::new(folder.path())).own().await.unwrap();
        former.store().put(vec![new(vec![1])]).await.unwrap();
        assert_eq!(former.take("a".to_owned(), 9).await.unwrap().0.len(), 1);
        let owner = Arc::new(Store::new(folder.path())).own_later();
        let short = Duration::from_millis(200);
        assert!(tokio::time::timeout(short, owner.had()).await.is_err(), "both have it");
        drop(former);
        owner.had().await.unwrap();
        owner.had().await.unwrap();
        // What the former one left behind is there.
        assert_eq!(owner.take("a".to_owned(), 9).await.unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn what_another_process_puts_is_heard_of() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Arc::new(Store::new(folder.path())).own().await.unwrap();
        let ear = owner.ear().await;
        let soon = Duration::from_secs(10);
        Store::new(folder.path()).put(vec![new(vec![1])]).await.unwrap();
        tokio::time::timeout(soon, ear.rung()).await.expect("a put is heard");
        let content = new(vec![2]).content;
        Store::new(folder.path()).send("t".to_owned(), content).await.unwrap();
        tokio::time::timeout(soon, ear.rung()).await.expect("a send is heard");
        // Its own process knows without.
        owner.store().put(vec![new(vec![3])]).await.unwrap();
        let short = Duration::from_millis(100);
        assert!(tokio::time::timeout(short, ear.rung()).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_is_none_of_ours_is_an_error_each_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("queues.db"), "no database at all, and long enough")
            .unwrap();
        let store = Store::new(folder.path());
        for _ in 0..2 {
            let put = store.put(vec![new(vec![1])]).await;
            assert!(matches!(put, Err(QueueError::Open { .. })), "{put:?}");
        }
    }
}
