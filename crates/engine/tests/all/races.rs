//! Threads and processes that share a cache.

use std::collections::HashSet;
use std::path::Path;

use dayfly_engine::{Mode, Origin};

use crate::cache::{artifacts, load};
use crate::support::{answer, ask, chain, child, child_argument, engine, large_answer};

#[test]
fn threads_of_a_process_compile_once() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [Mode::Aot, Mode::Jit] {
        let engine = engine(mode, Some(dir.path()));
        let wasm = large_answer(3, 1 << 20);
        let barrier = std::sync::Barrier::new(8);
        let codes: Vec<_> = std::thread::scope(|scope| {
            let load = || {
                barrier.wait();
                engine.load(&wasm).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // All have the one code, whose time of compiling is one.
        let origins: HashSet<_> = codes.iter().map(|code| format!("{:?}", code.origin())).collect();
        assert_eq!(origins.len(), 1, "{origins:?}");
        assert!(codes.iter().all(|code| ask(code) == 3));
    }
}

/// A failure is not remembered, and frees those that wait.
#[test]
fn a_failure_reaches_all_who_wait() {
    let engine = engine(Mode::Jit, None);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(engine.load(b"\0asm").is_err()));
        }
    });
    assert_eq!(ask(&engine.load(&answer(1)).unwrap()), 1);
}

#[test]
fn processes_share_a_new_cache() {
    if let Some(cache_dir) = child_argument() {
        let engine = engine(Mode::Aot, Some(Path::new(&cache_dir)));
        if let Err(error) = engine.cache().unwrap() {
            panic!("{}", chain(error));
        }
        for value in 0..10 {
            assert_eq!(ask(&engine.load(&answer(value)).unwrap()), value);
        }
        return;
    }
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let run = || child("races::processes_share_a_new_cache", dir.path().to_str().unwrap());
        let children: Vec<_> = (0..6).map(|_| run().spawn().unwrap()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        // All used one key: whatever any of them left is good.
        assert_eq!(artifacts(dir.path()).len(), 10);
        for value in 0..10 {
            assert_eq!(load(dir.path(), &answer(value)).origin(), Origin::Cached);
        }
    }
}

/// Many names: what is no longer in use is forgotten.
#[test]
fn many_components_come_and_go() {
    let engine = engine(Mode::Baseline, None);
    let kept = engine.load(&answer(0)).unwrap();
    for value in 1..200 {
        assert_eq!(ask(&engine.load(&answer(value)).unwrap()), value);
    }
    assert_eq!(kept.origin(), engine.load(&answer(0)).unwrap().origin());
}
