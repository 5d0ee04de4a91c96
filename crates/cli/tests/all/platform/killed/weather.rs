//! What is wrong with the machine while processes die: nothing; its disk is full now and then; or its clock
//! jumps.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use dayfly_testing::Dayfly;
use tempfile::TempDir;

use crate::dayfly;
use crate::platform::clock::Clock;
use crate::platform::full::{Disk, fill};
use crate::platform::{Addresses, Platform};

/// How long it stays as it is, at most, in microseconds.
const SPELL_US: u64 = 350_000;

/// How the clock is set, beside the time that it is.
const OFFSETS: [&str; 6] = ["+400d", "-30d", "+90m", "-90m", "+20s", "-20s"];

pub(super) enum Weather {
    Fair(TempDir),
    /// A disk that only the platform's processes see, where all that they keep is.
    Disk(Disk),
    Clock(TempDir, Arc<Clock>),
}

/// Bad weather, until it ends.
pub(super) struct Spell {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Weather {
    pub(super) fn fair() -> Self {
        Self::Fair(tempfile::tempdir().unwrap())
    }

    /// One with room for what so many rounds keep.
    pub(super) fn filling_disk(rounds: u32) -> Self {
        Self::Disk(Disk::of_mib(128 + 2 * rounds))
    }

    pub(super) fn jumping_clock() -> Self {
        Self::Clock(tempfile::tempdir().unwrap(), Arc::new(Clock::new()))
    }

    pub(super) fn fills_the_disk(&self) -> bool {
        matches!(self, Self::Disk(_))
    }

    /// The platform, started, with its operator logged in.
    pub(super) async fn platform(&self, addresses: &Addresses) -> Platform {
        self.start(addresses).await.logged_in().await
    }

    /// The same, started once more: on a full disk, if any of it is kept for that.
    pub(super) async fn platform_again(&self, addresses: &Addresses) -> Platform {
        let Self::Disk(disk) = self else { return self.platform(addresses).await };
        let ballast = disk.seen("ballast");
        blow_up(&ballast, disk.seen("spare").exists());
        let platform = self.start(addresses).await;
        blow_up(&ballast, false);
        platform.logged_in().await
    }

    async fn start(&self, addresses: &Addresses) -> Platform {
        let platform = Platform::serve(addresses.of(self.dayfly())).await;
        Platform { state: self.state(), ..platform }
    }

    fn dayfly(&self) -> Dayfly {
        let in_folder = |state: &TempDir| dayfly().env("DAYFLY_STATE_DIR", state.path());
        let dayfly = match self {
            Self::Fair(state) => in_folder(state),
            Self::Disk(disk) => disk.dayfly(),
            Self::Clock(state, clock) => clock.of(in_folder(state)),
        };
        // What is compiled is kept in the folder as well, and made as on any platform: soonest first.
        dayfly.env_remove("DAYFLY_CACHE_DIR").env("DAYFLY_ENGINE", "auto")
    }

    /// The platform's folder, as this process sees it.
    fn state(&self) -> PathBuf {
        match self {
            Self::Fair(state) | Self::Clock(state, _) => state.path().to_owned(),
            Self::Disk(disk) => disk.seen(""),
        }
    }

    /// Checks that it was bad for the platform, too: rows were refused, or the log of changes tells of other
    /// days.
    pub(super) async fn was_felt(&self, platform: &Platform, refused: usize) {
        match self {
            Self::Fair(_) => assert_eq!(refused, 0),
            Self::Disk(_) => assert!(refused > 0, "the disk was never full"),
            Self::Clock(..) => {
                let words = ["audit", "--all", "--most", "1000"];
                let log = platform.json(&words).await;
                let dates = log.as_array().unwrap().iter().map(|it| it["at"].as_str().unwrap());
                let days: BTreeSet<&str> = dates.map(|at| &at[..10]).collect();
                assert!(days.len() > 1, "the clock never jumped: {days:?}");
            }
        }
    }

    /// From now on it is bad at random moments.
    pub(super) fn begins(&self) -> Spell {
        match self {
            Self::Fair(_) => Spell { is_over: Arc::default(), thread: None },
            Self::Disk(disk) => {
                let ballast = disk.seen("ballast");
                Spell::begin(move |is_bad| blow_up(&ballast, is_bad))
            }
            Self::Clock(_, clock) => {
                let clock = clock.clone();
                Spell::begin(move |is_bad| {
                    let offset = OFFSETS[random(OFFSETS.len() as u64) as usize];
                    clock.jump(if is_bad { offset } else { "+0" });
                })
            }
        }
    }
}

/// Fills the disk to the last byte, or frees it.
fn blow_up(ballast: &Path, is_full: bool) {
    if is_full {
        fill(ballast);
    } else {
        let _ = std::fs::remove_file(ballast);
    }
}

impl Spell {
    /// Makes it bad, and good again, by turns, each for a while.
    fn begin(turn: impl Fn(bool) + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let thread = std::thread::spawn(move || {
            let mut is_bad = random(2) == 0;
            while !ends.load(Relaxed) {
                turn(is_bad);
                is_bad = !is_bad;
                std::thread::sleep(Duration::from_micros(random(SPELL_US)));
            }
            turn(false);
        });
        Self { is_over, thread: Some(thread) }
    }

    /// It is over, and all is as it should be.
    pub(super) fn ends(self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread {
            thread.join().unwrap();
        }
    }
}

/// A number below another one.
pub(super) fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish() % below
}
