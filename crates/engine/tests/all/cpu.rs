//! CPU budgets: an endless loop ends, and its neighbours do not wait for it.

use std::cell::Cell;
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dayfly_engine::{CpuBudget, CpuLimitExceeded, MemoryLimiter, Metered, Mode, metered_blocking};
use wasmtime::component::Linker;

use crate::support::{MODES, answer, ask, call, endless, engine, spin};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build().unwrap()
}

#[test]
fn an_endless_loop_ends_at_its_budget() {
    let limit = Duration::from_millis(50);
    for mode in MODES {
        let engine = engine(mode, None);
        let code = engine.load(&endless()).unwrap();
        let mut guest = std::pin::pin!(Metered::new(limit, spin(&code)));
        let start = Instant::now();
        let error = runtime().block_on(guest.as_mut()).unwrap_err();
        assert!(error.is::<CpuLimitExceeded>(), "{mode}: {error:?}");
        assert!(guest.spent() >= limit, "{mode}: {:?}", guest.spent());
        assert!(start.elapsed() < Duration::from_secs(5), "{mode}");
    }
}

/// In turns rather than in time, because tests share the machine.
#[test]
fn neighbours_go_on_beside_an_endless_loop() {
    for mode in MODES {
        let engine = engine(mode, None);
        let code = engine.load(&endless()).unwrap();
        let (turns, guest_turns) = (Cell::new(0), Cell::new(0));
        let neighbour = async {
            loop {
                tokio::time::sleep(Duration::from_micros(100)).await;
                turns.set(turns.get() + 1);
            }
        };
        let mut guest = std::pin::pin!(Metered::new(Duration::from_millis(200), spin(&code)));
        let guest = std::future::poll_fn(|cx| {
            guest_turns.set(guest_turns.get() + 1);
            guest.as_mut().poll(cx)
        });
        runtime().block_on(async {
            tokio::select! {
                () = neighbour => unreachable!(),
                result = guest => {
                    assert!(result.unwrap_err().is::<CpuLimitExceeded>(), "{mode}");
                }
            }
        });
        let (turns, guest_turns) = (turns.get(), guest_turns.get());
        assert!(guest_turns >= 3, "{mode}: the guest yielded {guest_turns} times");
        // Timers of tokio are late by up to two milliseconds, which is two turns of the guest.
        assert!(turns * 4 + 4 >= guest_turns, "{mode}: {turns} turns beside {guest_turns}");
    }
}

#[test]
fn waiting_costs_nothing() {
    let mut future = std::pin::pin!(Metered::new(Duration::from_millis(1), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }));
    runtime().block_on(future.as_mut());
    assert!(future.spent() < Duration::from_millis(50), "{:?}", future.spent());
}

#[test]
fn a_guest_pays_for_itself_only() {
    let engine = engine(Mode::Jit, None);
    let code = engine.load(&endless()).unwrap();
    let inner_limit = Duration::from_millis(100);
    let mut outer = std::pin::pin!(Metered::new(Duration::from_millis(20), async {
        let mut inner = std::pin::pin!(Metered::new(inner_limit, spin(&code)));
        let error = inner.as_mut().await.unwrap_err();
        assert!(error.is::<CpuLimitExceeded>());
        assert!(inner.spent() >= inner_limit);
        // Back in the outer guest, which has its own budget left.
        let answering = engine.load(&answer(7)).unwrap();
        ask(&answering)
    }));
    assert_eq!(runtime().block_on(outer.as_mut()), 7);
    assert!(outer.spent() < inner_limit, "{:?}", outer.spent());
}

#[test]
fn who_is_called_spends_its_callers_budget() {
    let engine = engine(Mode::Jit, None);
    let code = engine.load(&endless()).unwrap();
    let caller = CpuBudget::new(Duration::from_millis(60), None);
    for (limit, leaves) in [(40, 20), (500, 0)] {
        let callee = CpuBudget::new(Duration::from_millis(limit), Some(caller.clone()));
        let ended = runtime().block_on(Metered::within(callee, spin(&code)));
        assert!(ended.unwrap_err().is::<CpuLimitExceeded>());
        let left = caller.limit().saturating_sub(caller.spent());
        assert!(left <= Duration::from_millis(leaves), "{left:?}");
    }
    assert!(caller.used_up().is_some() && caller.spent() < Duration::from_millis(300));
}

#[test]
fn a_budget_holds_over_many_polls() {
    let engine = engine(Mode::Jit, None);
    let code = engine.load(&endless()).unwrap();
    let (a, b) = (Duration::from_millis(30), Duration::from_millis(60));
    let start = Instant::now();
    let (first, second) = runtime().block_on(async {
        tokio::join!(Metered::new(a, spin(&code)), Metered::new(b, spin(&code)))
    });
    assert!(first.unwrap_err().is::<CpuLimitExceeded>());
    assert!(second.unwrap_err().is::<CpuLimitExceeded>());
    assert!(start.elapsed() >= a + b);
}

#[test]
fn a_blocking_guest_ends_at_its_budget() {
    let limit = Duration::from_millis(30);
    for mode in MODES {
        let code = engine(mode, None).load(&endless()).unwrap();
        let (result, spent) = metered_blocking(limit, || call::<(), ()>(&code, 0, "spin", ()));
        assert!(result.unwrap_err().is::<CpuLimitExceeded>(), "{mode}");
        assert!(spent >= limit);
    }
}

#[test]
fn a_start_function_is_bounded_too() {
    let wasm = wat::parse_str(
        "(component (core module $m (func $f (loop br 0)) (start $f))
                    (core instance (instantiate $m)))",
    );
    let code = engine(Mode::Jit, None).load(&wasm.unwrap()).unwrap();
    let guest = async {
        let mut store = code.store(dayfly_engine::MemoryLimiter::new(0));
        let linker = wasmtime::component::Linker::new(code.component().engine());
        linker.instantiate_async(&mut store, code.component()).await.map(drop)
    };
    let result = runtime().block_on(Metered::new(Duration::from_millis(30), guest));
    assert!(result.unwrap_err().is::<CpuLimitExceeded>());
}

#[test]
fn a_guest_that_panics_its_host_leaves_no_deadline() {
    let panicking =
        std::panic::catch_unwind(|| metered_blocking(Duration::ZERO, || panic!("host")));
    assert!(panicking.is_err());
    // Without a budget of its own this would trap if the old one still stood.
    let code = engine(Mode::Jit, None).load(&answer(1)).unwrap();
    assert_eq!(ask(&code), 1);
}

/// `run: func()`, which calls `work` so often, without a loop or a call of its own.
fn unrolled(calls: usize) -> Vec<u8> {
    let body = "call $work ".repeat(calls);
    let text = format!(
        r#"(component
            (import "work" (func $work))
            (core func $work (canon lower (func $work)))
            (core module $m
                (import "host" "work" (func $work))
                (func (export "run") {body}))
            (core instance $i (instantiate $m
                (with "host" (instance (export "work" (func $work))))))
            (func (export "run") (canon lift (core func $i "run"))))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn host_calls_one_after_the_other_are_no_way_around_a_budget() {
    for mode in MODES {
        let engine = engine(mode, None);
        let code = engine.load(&unrolled(10_000)).unwrap();
        // The budget ends it, or else that it never yields.
        for limit in [Duration::from_millis(30), Duration::from_secs(3600)] {
            let called = Arc::new(AtomicU32::new(0));
            let counter = called.clone();
            let guest = async {
                let mut store = code.store(MemoryLimiter::new(1 << 30));
                let mut linker = Linker::new(code.component().engine());
                linker.root().func_wrap("work", move |_, (): ()| {
                    counter.fetch_add(1, Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                    Ok(())
                })?;
                let instance = linker.instantiate_async(&mut store, code.component()).await?;
                let function = instance.get_typed_func::<(), ()>(&mut store, "run")?;
                function.call_async(&mut store, ()).await
            };
            let guest = Metered::new(limit, Box::pin(guest));
            let error = runtime().block_on(guest).unwrap_err();
            assert!(error.is::<CpuLimitExceeded>(), "{mode}: {error:?}");
            assert!(called.load(Relaxed) < 1_000, "{mode}: {called:?} calls");
        }
    }
}
