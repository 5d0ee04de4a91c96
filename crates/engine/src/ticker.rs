//! The process's one epoch ticker: a thread that raises the epoch of all engines each [`TICK`]
//! while any guest runs, and sleeps while none does.
//!
//! Entering a guest writes to a word of the thread's own and reads one that hardly ever changes.

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How long a guest runs before it yields.
pub const TICK: Duration = Duration::from_millis(1);

/// Ticks without a guest after which the ticker sleeps: waking it costs a system call, which a
/// server under light load should not pay for each request.
const LINGER: u32 = 16;

/// What one thread that runs guests tells the ticker: odd while it is in a guest, and another
/// number at each stay. In a cache line of its own, because its thread writes it at each poll.
#[repr(align(128))]
struct Slot(AtomicU64);

struct Ticker {
    asleep: AtomicBool,
    ticks: AtomicU64,
    thread: OnceLock<Thread>,
    slots: Mutex<Vec<Weak<Slot>>>,
    engines: Mutex<Vec<EngineWeak>>,
}

static TICKER: Ticker = Ticker {
    asleep: AtomicBool::new(false),
    ticks: AtomicU64::new(0),
    thread: OnceLock::new(),
    slots: Mutex::new(Vec::new()),
    engines: Mutex::new(Vec::new()),
};

thread_local! {
    static SLOT: OnceCell<Arc<Slot>> = const { OnceCell::new() };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// How often the ticker has ticked since the process started. It stands still while no guest runs.
pub fn ticks() -> u64 {
    TICKER.ticks.load(Ordering::Relaxed)
}

/// Whether the ticker sleeps.
pub fn is_asleep() -> bool {
    TICKER.asleep.load(Ordering::SeqCst)
}

/// Lets the ticker raise this engine's epoch, until the engine is dropped.
pub(crate) fn register(engine: &wasmtime::Engine) {
    lock(&TICKER.engines).push(engine.weak());
}

/// While it lives, this thread is in a guest.
pub(crate) struct Ticking {
    // It belongs to the thread that made it.
    _not_send: PhantomData<*const ()>,
}

/// Tells the ticker that this thread is in a guest.
pub(crate) fn enter() -> Ticking {
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    if depth == 0 {
        SLOT.with(|slot| {
            let slot = slot.get_or_init(new_slot);
            // Sequentially consistent, like `asleep`: either the ticker sees this thread before it
            // sleeps, or this thread sees it asleep.
            slot.0.store(slot.0.load(Ordering::Relaxed) + 1, Ordering::SeqCst);
        });
        if TICKER.asleep.load(Ordering::SeqCst) {
            wake();
        }
    }
    Ticking { _not_send: PhantomData }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 {
            // A thread that is ending may have given its slot up already.
            let _ = SLOT.try_with(|slot| {
                if let Some(slot) = slot.get() {
                    slot.0.store(slot.0.load(Ordering::Relaxed) + 1, Ordering::Release);
                }
            });
        }
    }
}

#[cold]
fn new_slot() -> Arc<Slot> {
    let slot = Arc::new(Slot(AtomicU64::new(0)));
    lock(&TICKER.slots).push(Arc::downgrade(&slot));
    TICKER.thread.get_or_init(|| {
        thread::Builder::new()
            .name("dayfly-ticker".to_owned())
            .spawn(run)
            .expect("without a ticker guests could not be interrupted")
            .thread()
            .clone()
    });
    slot
}

#[cold]
fn wake() {
    if let Some(thread) = TICKER.thread.get() {
        thread.unpark();
    }
}

fn run() {
    let mut seen = Vec::new();
    let mut idle = 0;
    loop {
        thread::sleep(TICK);
        tick();
        idle = if look(&mut seen) { 0 } else { idle + 1 };
        if idle > LINGER {
            sleep(&mut seen);
            idle = 0;
        }
    }
}

fn tick() {
    TICKER.ticks.fetch_add(1, Ordering::Relaxed);
    lock(&TICKER.engines).retain(|engine| match engine.upgrade() {
        Some(engine) => {
            engine.increment_epoch();
            true
        }
        None => false,
    });
}

/// Whether any thread is in a guest, or was since the last look.
fn look(seen: &mut Vec<u64>) -> bool {
    let mut slots = lock(&TICKER.slots);
    slots.retain(|slot| slot.strong_count() > 0);
    let now = slots.iter().filter_map(Weak::upgrade).map(|slot| slot.0.load(Ordering::SeqCst));
    let now: Vec<u64> = now.collect();
    let active = now != *seen || now.iter().any(|state| state % 2 == 1);
    *seen = now;
    active
}

/// Sleeps until a thread enters a guest.
fn sleep(seen: &mut Vec<u64>) {
    TICKER.asleep.store(true, Ordering::SeqCst);
    while !look(seen) {
        thread::park();
    }
    TICKER.asleep.store(false, Ordering::SeqCst);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing under these locks leaves half-done work behind when it panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
