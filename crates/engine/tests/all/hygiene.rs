//! No byte of one instance is ever visible to another, though they follow one another in the same
//! places of the pool.

use dayfly_engine::{Code, Engine, EngineConfig, MemoryLimiter, Mode};
use wasmtime::component::Linker;

use crate::support::component;

/// Pages of memory of both guests.
const PAGES: u32 = 32;
/// How many instances look for what one before them left.
const LOOKERS: u32 = 10_000;
/// After how many of them another one leaves something.
const EVERY: u32 = 16;

/// What a pool of two instances has: half of it for each of two leavers, so that they have all.
const MEMORIES: usize = 6;
const TABLES: usize = 20;

/// Fills its memories (grown from less), its tables and its globals.
fn leaver() -> Vec<u8> {
    let mut module =
        "(func $f) (elem declare func $f) (global $g (mut i64) (i64.const 0))".to_owned();
    let mut fill = String::new();
    for table in 0..TABLES {
        module += &format!("(table $t{table} 1000 funcref)");
        fill += &format!("(table.fill $t{table} (i32.const 0) (ref.func $f) (i32.const 1000))");
    }
    for memory in 0..MEMORIES {
        module += &format!("(memory $m{memory} 2)");
        fill += &format!(
            "(drop (memory.grow $m{memory} (i32.const {})))
            (memory.fill $m{memory} (i32.const 0) (i32.const 0x5e) (i32.const {}))",
            PAGES - 2,
            PAGES * 65536
        );
    }
    module += &format!(
        r#"(func (export "run") (result i32)
            (global.set $g (i64.const -1)) {fill} (i32.const 0))"#
    );
    component(&module, "run", "(result u32)")
}

/// Counts what of its memory (all of it, and what it grows by), its table and its globals is not as
/// new.
fn looker() -> Vec<u8> {
    let module = format!(
        r#"(memory {}) (table $t 1000 funcref) (global $g (mut i64) (i64.const 0))
        (func (export "run") (result i32) (local $at i32) (local $found i32)
            (drop (memory.grow (i32.const 16)))
            (if (i64.ne (global.get $g) (i64.const 0))
                (then (local.set $found (i32.const 1))))
            (loop $table
                (if (i32.eqz (ref.is_null (table.get $t (local.get $at))))
                    (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $table (i32.lt_u (local.get $at) (i32.const 1000))))
            (local.set $at (i32.const 0))
            (loop $again
                (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                    (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $again (i32.lt_u (local.get $at) (i32.const {}))))
            (local.get $found))"#,
        PAGES - 16,
        PAGES * 65536
    );
    component(&module, "run", "(result u32)")
}

/// Instances of one component that live at the same time, each of which was run; what they
/// answered.
fn run<const N: usize>(code: &Code) -> [u32; N] {
    let linker = Linker::new(code.component().engine());
    let mut stores = [(); N].map(|()| code.store(MemoryLimiter::new(64 << 20)));
    stores.each_mut().map(|store| {
        let instance = linker.instantiate(&mut *store, code.component()).unwrap();
        let run = instance.get_typed_func::<(), (u32,)>(&mut *store, "run").unwrap();
        run.call(&mut *store, ()).unwrap().0
    })
}

/// Leaves and looks by turns, in a pool of two instances.
fn nothing_is_left(mode: Mode, counted: bool, lookers: u32) {
    let config = EngineConfig { mode, max_instances: 2, ..EngineConfig::default() };
    let engine = Engine::new(config).unwrap();
    let load = |wasm: &[u8]| if counted { engine.load_counted(wasm) } else { engine.load(wasm) };
    let (leaver, looker) = (load(&leaver()).unwrap(), load(&looker()).unwrap());
    for turn in 0..lookers / 2 {
        if turn % EVERY == 0 {
            assert_eq!(run::<2>(&leaver), [0, 0]);
        }
        let found = run::<2>(&looker);
        assert_eq!(found, [0, 0], "{mode}: instances {turn} saw what others had left");
    }
}

#[test]
fn ten_thousand_instances_see_nothing_of_those_before_them() {
    nothing_is_left(Mode::Jit, false, LOOKERS);
}

#[test]
fn nothing_is_left_in_other_modes() {
    nothing_is_left(Mode::Baseline, false, 500);
    nothing_is_left(Mode::Interpreter, false, 50);
    nothing_is_left(Mode::Jit, true, 500);
}
