//! Code apart from memory, and freezing.

mod guests;

use dayfly_engine::{
    Code, Digest, Engine, EngineError, Flavour, Freezable, Freezing, MemoryLimiter, Mode, Origin,
};
use wasmtime::Store;
use wasmtime::component::{Instance, Linker};

use crate::support::{self, chain};
use guests::{FRESH, FROZEN, composed, counter, scribbler, thrower};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn exceptions_are_thrown_beside_an_image() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [Mode::Aot, Mode::Interpreter] {
        let engine = support::engine(mode, Some(folder.path()));
        let code = engine.load(&thrower()).unwrap();
        for _ in 0..3 {
            let (mut store, instance) = instance(&code, 64 * MIB).await.unwrap();
            assert_eq!(count(&mut store, instance).await, 6);
            assert_eq!(count(&mut store, instance).await, 7);
        }
    }
}

async fn instance(code: &Code, limit: u64) -> wasmtime::Result<(Store<MemoryLimiter>, Instance)> {
    let mut store = code.store(MemoryLimiter::new(limit));
    let linker = Linker::<MemoryLimiter>::new(code.component().engine());
    let made = linker.instantiate_async(&mut store, code.component());
    let instance = code.instantiating(made).await?;
    Ok((store, instance))
}

async fn count(store: &mut Store<MemoryLimiter>, instance: Instance) -> u32 {
    let count = instance.get_typed_func::<(), (u32,)>(&mut *store, "count").unwrap();
    count.call_async(&mut *store, ()).await.unwrap().0
}

/// Freezes a component after its `initialize`.
async fn frozen(engine: &Engine, wasm: Vec<u8>) -> Vec<u8> {
    let freezable = engine.freezable(wasm).unwrap();
    let (freezing, mut store, instance) = begun(engine, &freezable).await;
    let initialize = instance.get_typed_func::<(), ()>(&mut store, "initialize").unwrap();
    initialize.call_async(&mut store, ()).await.unwrap();
    freezing.finish(store, instance).await.unwrap()
}

#[tokio::test]
async fn instances_begin_where_one_was_frozen() {
    for mode in support::MODES {
        let folder = tempfile::tempdir().unwrap();
        let engine = support::engine(mode, Some(folder.path()));
        let wasm = frozen(&engine, counter("end")).await;
        // As any other component of its size, with its memory compiled in.
        let whole = engine.load(&wasm).unwrap();
        // And apart from its code, which was compiled before.
        let apart = engine.freezing(wasm).unwrap();
        for code in [&whole, apart.code()] {
            assert_eq!(code.flavour().is_imaged(), std::ptr::eq(code, apart.code()));
            for _ in 0..3 {
                let (mut store, instance) = instance(code, 64 * MIB).await.unwrap();
                // Each begins anew, whatever the one before did in the same memory.
                assert_eq!(count(&mut store, instance).await, FROZEN, "{mode}");
                assert_eq!(count(&mut store, instance).await, FROZEN + 100_002, "{mode}");
            }
        }
        if mode == Mode::Aot {
            assert_eq!(apart.code().origin(), Origin::Cached);
        }
    }
}

#[tokio::test]
async fn composed_components_share_their_code_too() {
    for mode in support::MODES {
        let folder = tempfile::tempdir().unwrap();
        let engine = support::engine(mode, Some(folder.path()));
        let large = |end: &str| composed(&format!("{}{end}", "x".repeat(1 << 20)));
        for (end, is_first) in [("one", true), ("another", false)] {
            let code = engine.load(&large(end)).unwrap();
            assert!(code.flavour().is_imaged(), "{mode}");
            if mode == Mode::Aot {
                assert_eq!(code.origin() == Origin::Cached, !is_first, "{end}");
            }
            for _ in 0..3 {
                let (mut store, instance) = instance(&code, 64 * MIB).await.unwrap();
                // Either memory begins anew.
                assert_eq!(count(&mut store, instance).await, FRESH + 1_000_001, "{mode}");
                assert_eq!(count(&mut store, instance).await, FRESH + 1_100_004, "{mode}");
            }
        }
        // It is frozen before it is composed.
        let told = engine.freezing(large("one")).err().unwrap();
        assert!(chain(&told).contains("it is composed of others"), "{told}");
    }
}

/// Whoever loads what was frozen gets the code that it was frozen by: how long it took to compile tells one
/// compilation from another.
#[tokio::test]
async fn what_froze_a_component_serves_it() {
    let folder = tempfile::tempdir().unwrap();
    for cache in [Some(folder.path()), None] {
        let engine = support::engine(Mode::Auto, cache);
        let held = engine.hold();
        let (wasm, by) = frozen_by(&engine, counter(&"x".repeat(MIB as usize))).await;
        let (digest, flavour) = (Digest::of(&wasm), Flavour::of(&wasm).unwrap());
        assert!(matches!(by, Origin::Compiled(_)));
        let code = engine.load_stand_in(digest, flavour).unwrap().expect("it is held");
        drop(held);
        for _ in 0..3 {
            let (mut store, instance) = instance(&code, 64 * MIB).await.unwrap();
            assert_eq!(count(&mut store, instance).await, FROZEN);
        }
        let baseline = engine.baseline(flavour).unwrap().expect("there is room for two");
        assert_eq!([code.origin(), baseline.load(&wasm).unwrap().origin()], [by; 2]);
        // What is frozen next has the same code, as long as that is in use; and nobody has to hold it, if
        // there is a cache.
        let (next, by_the_same) = frozen_by(&engine, counter(&"y".repeat(MIB as usize))).await;
        assert_eq!(by_the_same, by);
        let found = engine.load_stand_in(Digest::of(&next), flavour).unwrap();
        assert_eq!(found.map(|code| code.origin()), cache.map(|_| by));
        drop(code);
        assert!(engine.load_stand_in(digest, flavour).unwrap().is_none());
        // Better code takes its place.
        let in_full = engine.in_full();
        assert!(in_full.load_stand_in(digest, flavour).unwrap().is_none());
        assert_ne!(in_full.load(&wasm).unwrap().origin(), by);
    }
}

/// From where an instance stopped others go on, each by itself; where they stop, code begins.
#[tokio::test]
async fn instances_go_on_from_where_one_stopped() {
    for mode in [Mode::Jit, Mode::Auto] {
        let engine = support::engine(mode, None);
        let freezable = engine.freezable(counter("end")).unwrap();
        let (freezing, mut store, stopped) = begun(&engine, &freezable).await;
        let initialize = stopped.get_typed_func::<(), ()>(&mut store, "initialize").unwrap();
        initialize.call_async(&mut store, ()).await.unwrap();
        let stopped = freezing.stop(store, stopped).await.unwrap();
        let mut components = Vec::new();
        for times in [0, 1, 1, 2] {
            let (freezing, mut store, instance) = begun(&engine, &stopped).await;
            for time in 0..times {
                assert_eq!(count(&mut store, instance).await, FROZEN + 100_002 * time, "{mode}");
            }
            let digest = Digest::of(&[u8::try_from(times).unwrap()]);
            let code = freezing.finish_here(store, instance, digest).await.unwrap();
            assert_eq!((code.digest(), engine.made(&code)), (digest, mode == Mode::Jit));
            for _ in 0..2 {
                let (mut store, instance) = self::instance(&code, 64 * MIB).await.unwrap();
                // Of the two globals that count, the one of the memory's owner stays.
                assert_eq!(count(&mut store, instance).await, FROZEN + 2 * times, "{mode}");
            }
            let (freezing, mut store, instance) = begun(&engine, &stopped).await;
            for _ in 0..times {
                count(&mut store, instance).await;
            }
            components.push(freezing.finish(store, instance).await.unwrap());
        }
        assert!(components[0] != components[1] && components[1] == components[2], "{mode}");
    }
}

/// An instance that may be frozen.
async fn begun(engine: &Engine, from: &Freezable) -> (Freezing, Store<MemoryLimiter>, Instance) {
    let freezing = engine.freezing_from(from).unwrap();
    let mut store = freezing.code().store(MemoryLimiter::new(64 * MIB));
    let linker = Linker::<MemoryLimiter>::new(freezing.code().component().engine());
    let made = linker.instantiate_async(&mut store, freezing.code().component());
    let instance = freezing.instantiating(made).await.unwrap();
    (freezing, store, instance)
}

/// Freezes a component; says where the code came from by which that was done.
async fn frozen_by(engine: &Engine, wasm: Vec<u8>) -> (Vec<u8>, Origin) {
    let by = engine.freezing(wasm.clone()).unwrap();
    let origin = by.code().origin();
    // It shares the code while that is in use.
    let wasm = frozen(engine, wasm).await;
    drop(by);
    (wasm, origin)
}

#[tokio::test]
async fn freezing_is_the_same_each_time() {
    let engine = support::engine(Mode::Jit, None);
    let one = frozen(&engine, counter("end")).await;
    assert_eq!(one, frozen(&engine, counter("end")).await);
    // What is frozen again is frozen from there.
    let again = frozen(&engine, one).await;
    let apart = engine.freezing(again).unwrap();
    let (mut store, instance) = instance(apart.code(), 64 * MIB).await.unwrap();
    assert_eq!(count(&mut store, instance).await, FROZEN);
}

#[tokio::test]
async fn components_that_differ_in_memory_share_their_code() {
    let folder = tempfile::tempdir().unwrap();
    let engine = support::engine(Mode::Aot, Some(folder.path()));
    let large = |letter: &str| counter(&letter.repeat(MIB as usize));
    let codes = ["a", "b", "c"].map(|letter| engine.load(&large(letter)).unwrap());
    assert!(matches!(codes[0].origin(), Origin::Compiled(_)));
    for code in &codes {
        assert!(code.flavour().is_imaged());
        let (mut store, instance) = instance(code, 64 * MIB).await.unwrap();
        assert_eq!(count(&mut store, instance).await, FRESH);
    }
    let ranges = codes.each_ref().map(|code| code.component().image_range());
    assert_eq!(ranges[0], ranges[1]);
    assert_eq!(ranges[0], ranges[2]);
    // One base and three images; a later process finds them without the components.
    assert_eq!(engine.cache().unwrap().unwrap().stats().entries, 4);
    let later = support::engine(Mode::Aot, Some(folder.path()));
    let digest = codes[1].digest();
    let found = later.load_cached(digest, Flavour::SEQUENTIAL).unwrap().unwrap();
    let (mut store, instance) = instance(&found, 64 * MIB).await.unwrap();
    assert_eq!(count(&mut store, instance).await, FRESH);
}

#[tokio::test]
async fn an_image_counts_as_memory() {
    let engine = support::engine(Mode::Jit, None);
    let code = engine.load(&counter(&"x".repeat(MIB as usize))).unwrap();
    let error = instance(&code, MIB).await.err().unwrap();
    assert!(chain(error.as_ref()).contains("memory"), "{error:#}");
    let (mut store, instance) = instance(&code, 4 * MIB).await.unwrap();
    assert!(store.data_mut().used_bytes() >= 40 * 65_536);
    let initialize = instance.get_typed_func::<(), ()>(&mut store, "initialize").unwrap();
    let error = initialize.call_async(&mut store, ()).await.err();
    // 41 pages, and three more are within 4 MiB.
    assert!(error.is_none());
}

#[tokio::test]
async fn without_its_memory_an_instance_traps() {
    let engine = support::engine(Mode::Jit, None);
    let code = engine.load(&counter(&"x".repeat(MIB as usize))).unwrap();
    let mut store = code.store(MemoryLimiter::new(64 * MIB));
    let linker = Linker::<MemoryLimiter>::new(code.component().engine());
    assert!(linker.instantiate_async(&mut store, code.component()).await.is_err());
    // And that of another is not left for it.
    let other = engine.load(&counter(&"y".repeat(MIB as usize))).unwrap();
    drop(other.instantiating(std::future::pending::<()>()));
    let mut store = code.store(MemoryLimiter::new(64 * MIB));
    assert!(linker.instantiate_async(&mut store, code.component()).await.is_err());
}

#[test]
fn what_is_unusual_stays_whole_and_cannot_be_frozen() {
    let engine = support::engine(Mode::Jit, None);
    let two = "(core module $m (memory 1) (memory 1)) (core instance (instantiate $m))";
    let twice = "(core module $m (memory 1)) (core instance (instantiate $m))
                 (core instance (instantiate $m))";
    let nested = "(component (core module $m (memory 1)))";
    for (text, reason) in [
        ("", "it has no memory"),
        (two, "several memories"),
        (twice, "made more than once"),
        (nested, "composed"),
    ] {
        let wasm = wat::parse_str(format!("(component {text})")).unwrap();
        match engine.freezing(wasm.clone()).err().unwrap() {
            EngineError::Unfreezable { reason: told } => assert!(told.contains(reason), "{told}"),
            error => panic!("{error}"),
        }
        assert!(engine.load(&wasm).is_ok());
    }
}

#[test]
fn what_would_be_lost_without_a_word_is_not_frozen() {
    let engine = support::engine(Mode::Jit, None);
    let owner = |more: &str| {
        format!("(core module $m (memory 1) (func) {more}) (core instance (instantiate $m))")
    };
    let table = |code: &str| {
        owner(&format!(
            "(table 4 funcref) (elem $e func $f) (func $f {code}) (elem declare func $f)"
        ))
    };
    let zeros = "(i32.const 0) (i32.const 0)";
    let changed = "changes a table";
    let global = "a global that is no number";
    for (text, reason) in [
        (table("(table.set (i32.const 0) (ref.func $f))"), changed),
        (table("(drop (table.grow (ref.null func) (i32.const 1)))"), changed),
        (table("(table.fill (i32.const 0) (ref.null func) (i32.const 1))"), changed),
        (table(&format!("(table.copy {zeros} (i32.const 1))")), changed),
        (table(&format!("(table.init $e {zeros} (i32.const 1))")), changed),
        (owner("(global (mut funcref) (ref.null func))"), global),
        (owner("") + "(core module (global (mut i32) (i32.const 1)))", global),
    ] {
        let wasm = wat::parse_str(format!("(component {text})")).unwrap();
        match engine.freezing(wasm.clone()).err().unwrap() {
            EngineError::Unfreezable { reason: told } => assert!(told.contains(reason), "{told}"),
            error => panic!("{error}"),
        }
        assert!(engine.load(&wasm).is_ok());
    }
    // Tables that are filled as instances are made, and looked into, are as they were.
    let same = table("(if (table.size) (then (drop (table.get (i32.const 0)))))");
    let wasm = wat::parse_str(format!("(component {same})")).unwrap();
    assert!(engine.freezing(wasm).is_ok());
}

/// Whatever byte of a component is changed, splitting it is no panic.
#[test]
fn damage_is_no_panic() {
    let engine = support::engine(Mode::Baseline, None);
    let good = counter("end");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        let _ = engine.freezing(bad);
        let _ = engine.freezing(good[..at].to_vec());
    }
}

/// Few pages are written over, many are given up: nothing of either is seen by the next instance, which
/// has the same memory.
#[tokio::test]
async fn nothing_of_one_instance_is_left_for_the_next() {
    let engine = support::engine(Mode::Jit, None);
    let code = engine.load(&scribbler()).unwrap();
    assert!(code.flavour().is_imaged());
    let pristine = (2 << 20) * u64::from(b'd') + b"far".iter().map(|b| u64::from(*b)).sum::<u64>();
    let end = 102 * 65_536;
    let ranges = [
        (0, 1),
        (65_536, 80_000),
        (4_095, 4_097),
        (2_000_000, 2_300_000),
        (5_999_000, 6_001_000),
        (100 * 65_536 - 5, end),
        (0, end),
        (3_000_000, 3_000_001),
        (0, 65_536),
        (1_000_000, 6_500_000),
    ];
    for (from, to) in ranges {
        let (mut store, instance) = instance(&code, 64 * MIB).await.unwrap();
        let sum = instance.get_typed_func::<(), (u64,)>(&mut store, "sum").unwrap();
        assert_eq!(
            sum.call_async(&mut store, ()).await.unwrap().0,
            pristine,
            "before {from}..{to}"
        );
        let scribble = instance.get_typed_func::<(u32, u32), ()>(&mut store, "scribble").unwrap();
        scribble.call_async(&mut store, (from, to)).await.unwrap();
    }
    // And what has grown before is closed again.
    let (mut store, instance) = instance(&code, 64 * MIB).await.unwrap();
    let scribble = instance.get_typed_func::<(u32, u32), ()>(&mut store, "scribble").unwrap();
    assert!(scribble.call_async(&mut store, (103 * 65_536, 103 * 65_536 + 1)).await.is_err());
}

#[test]
fn what_needs_no_compiler_is_told_from_what_does() {
    let folder = tempfile::tempdir().unwrap();
    let engine = || support::engine(Mode::Auto, Some(folder.path()));
    let [one, other] = ["a", "b"].map(|data| counter(&data.repeat(2 << 20)));
    let small = support::answer(3);
    let first = engine();
    let is_at_hand =
        |engine: &Engine, wasm: &[u8]| engine.load_at_hand(wasm, false).unwrap().is_some();
    assert!(!is_at_hand(&first, &one) && !is_at_hand(&first, &small));
    // What stands in for it is not it.
    first.keeping_baseline().unwrap().load(&one).unwrap();
    assert!(!is_at_hand(&first, &one));
    for wasm in [&one, &small] {
        first.load(wasm).unwrap();
    }
    // For another process too, and what has the same code beside other memory.
    let later = engine();
    assert!(is_at_hand(&later, &one) && is_at_hand(&later, &small));
    let code = later.load_at_hand(&other, false).unwrap().expect("the same code");
    assert_eq!((code.digest(), code.origin()), (Digest::of(&other), Origin::Cached));
    assert!(later.load_at_hand(&one, true).unwrap().is_none(), "that counts its instructions");
}
