//! The ticker sleeps while no guest runs.

use std::time::{Duration, Instant};

use dayfly_engine::ticker::{self, TICK};
use dayfly_engine::{Mode, metered_blocking};

use crate::support::{call, child, child_argument, endless, engine};

fn wait_until_asleep() {
    let start = Instant::now();
    while !ticker::is_asleep() {
        assert!(start.elapsed() < Duration::from_secs(20), "the ticker does not sleep");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn spin_for(limit: Duration) {
    let code = engine(Mode::Jit, None).load(&endless()).unwrap();
    let (result, _) = metered_blocking(limit, || call::<(), ()>(&code, 0, "spin", ()));
    assert!(result.is_err());
}

/// Needs a process without other guests.
#[test]
fn sleeps_while_idle_and_wakes_for_each_guest() {
    if child_argument().is_none() {
        let test = "ticker::sleeps_while_idle_and_wakes_for_each_guest";
        assert!(child(test, "run").status().unwrap().success());
        return;
    }
    assert_eq!(ticker::ticks(), 0, "no guest has run yet");
    for _ in 0..5 {
        let before = ticker::ticks();
        spin_for(TICK * 50);
        assert!(ticker::ticks() > before, "it did not tick");
        wait_until_asleep();
        let asleep = ticker::ticks();
        std::thread::sleep(TICK * 100);
        assert_eq!(ticker::ticks(), asleep, "it ticked while nothing ran");
    }
    // From other threads, that end, too.
    for _ in 0..5 {
        std::thread::spawn(|| spin_for(TICK * 5)).join().unwrap();
        wait_until_asleep();
    }
}

/// Many threads that enter just as the ticker goes to sleep: a lost wake-up would hang.
#[test]
fn no_wake_up_is_lost() {
    let code = engine(Mode::Jit, None).load(&endless()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let code = &code;
            scope.spawn(move || {
                for i in 0..40 {
                    let limit = TICK * 2;
                    let (result, _) =
                        metered_blocking(limit, || call::<(), ()>(code, 0, "spin", ()));
                    assert!(result.is_err());
                    std::thread::sleep(TICK * (10 + (i * 7 + thread * 3) % 20));
                }
            });
        }
    });
}
