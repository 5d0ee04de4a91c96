//! No byte of one instance is ever visible to another, though they follow one another in the same
//! places of the pool.

use dayfly_engine::{Code, Engine, EngineConfig, Flavour, MemoryLimiter, Mode};
use wasmtime::component::Linker;

use crate::support::component_with;

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
fn leaver() -> String {
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
    module
}

/// Counts what of its memory (all of it, and what it grows by), its table and its globals is not as
/// new.
fn looker() -> String {
    format!(
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
    )
}

/// How many functions are inside of one another on a stack, and how many numbers each has of its own:
/// 400 KiB at least.
const DEPTH: u32 = 400;
const LOCALS: usize = 128;

/// A function that calls itself to a depth, and then adds up its own numbers: `set` ones, which it sets
/// before, or such as a function begins with. Whether it sets them, only its caller knows.
fn deep(set: bool) -> String {
    let locals = |each: fn(usize) -> String| (0..LOCALS).map(each).collect::<String>();
    format!(
        r#"(func $deep (param $left i32) (param $set i32) (result i32) (local $sum i64) {}
            (if (local.get $set) (then {}))
            (if (local.get $left) (then
                (local.set $sum (i64.extend_i32_u (call $deep
                    (i32.sub (local.get $left) (i32.const 1)) (local.get $set))))))
            {}
            (i64.ne (local.get $sum) (i64.const 0)))
        (func (export "run") (result i32)
            (call $deep (i32.const {DEPTH}) (i32.const {})))"#,
        locals(|at| format!("(local $l{at} i64)")),
        locals(|at| format!("(local.set $l{at} (i64.const -{}))", at + 1)),
        locals(|at| format!("(local.set $sum (i64.or (local.get $sum) (local.get $l{at})))")),
        u32::from(set),
    )
}

/// An engine and a kind of guests.
#[derive(Clone, Copy, Debug)]
struct Setting {
    mode: Mode,
    scan_pages: bool,
    flavour: Flavour,
}

const USUAL: Setting = Setting { mode: Mode::Jit, scan_pages: true, flavour: Flavour::SEQUENTIAL };

impl Setting {
    /// An engine with room for two instances.
    fn engine(self) -> Engine {
        let Self { mode, scan_pages, .. } = self;
        let config = EngineConfig { mode, scan_pages, max_instances: 2, ..EngineConfig::default() };
        Engine::new(config).unwrap()
    }

    fn load(self, engine: &Engine, module: &str) -> Code {
        let ty = if self.flavour.is_concurrent() { "(type (future u32))" } else { "" };
        let wasm = component_with(ty, module, "run", "(result u32)");
        let counted = self.flavour.is_counted();
        let code = if counted { engine.load_counted(&wasm) } else { engine.load(&wasm) };
        let code = code.unwrap();
        assert_eq!(code.flavour().is_concurrent(), self.flavour.is_concurrent());
        code
    }

    /// Leaves and looks by turns; what is found counts as something that others had left.
    async fn nothing_is_left(self, leaver: &str, looker: &str, lookers: u32) {
        let engine = self.engine();
        let (leaver, looker) = (self.load(&engine, leaver), self.load(&engine, looker));
        for turn in 0..lookers / 2 {
            if turn % EVERY == 0 {
                run::<2>(&leaver).await;
            }
            let found = run::<2>(&looker).await;
            assert_eq!(found, [0, 0], "{self:?}: instances {turn} saw what others had left");
        }
    }
}

/// Instances of one component that live at the same time, each of which was run on a stack of the pool;
/// what they answered.
async fn run<const N: usize>(code: &Code) -> [u32; N] {
    let linker = Linker::new(code.component().engine());
    let mut stores = [(); N].map(|()| code.store(MemoryLimiter::new(64 << 20)));
    let mut answers = [u32::MAX; N];
    for (store, answer) in stores.iter_mut().zip(&mut answers) {
        let made = code.instantiating(linker.instantiate_async(&mut *store, code.component()));
        let run = made.await.unwrap().get_typed_func::<(), (u32,)>(&mut *store, "run").unwrap();
        (*answer,) = run.call_async(&mut *store, ()).await.unwrap();
    }
    answers
}

#[tokio::test]
async fn ten_thousand_instances_see_nothing_of_those_before_them() {
    USUAL.nothing_is_left(&leaver(), &looker(), LOOKERS).await;
}

#[tokio::test]
async fn nothing_is_left_in_other_modes() {
    for (mode, lookers) in [(Mode::Baseline, 500), (Mode::Interpreter, 50)] {
        Setting { mode, ..USUAL }.nothing_is_left(&leaver(), &looker(), lookers).await;
    }
    let counted = Setting { flavour: Flavour::SEQUENTIAL.counted(true), ..USUAL };
    counted.nothing_is_left(&leaver(), &looker(), 500).await;
}

/// By unmapping, as where there is swap; and in the pool of guests of WASI 0.3.
#[tokio::test]
async fn nothing_is_left_however_memory_is_reset() {
    for flavour in [Flavour::SEQUENTIAL, Flavour::CONCURRENT] {
        for scan_pages in [true, false] {
            let setting = Setting { scan_pages, flavour, ..USUAL };
            setting.nothing_is_left(&leaver(), &looker(), 1000).await;
        }
    }
}

/// What a guest sees of its stack is what its functions begin with.
#[tokio::test]
async fn nothing_is_left_on_stacks() {
    // As much data as has its memory apart from its code, and a stack of another kind.
    let data = format!("(memory 32) (data (i32.const 0) \"{}\")", "d".repeat(2 << 20));
    for mode in [Mode::Jit, Mode::Baseline, Mode::Interpreter] {
        for flavour in [Flavour::SEQUENTIAL, Flavour::CONCURRENT] {
            for more in ["", data.as_str()] {
                let setting = Setting { mode, flavour, ..USUAL };
                let engine = setting.engine();
                let leaver = setting.load(&engine, &(deep(true) + more));
                assert_eq!(leaver.flavour().is_imaged(), !more.is_empty());
                assert_eq!(run::<2>(&leaver).await, [1, 1], "{setting:?}: it leaves something");
                setting.nothing_is_left(&(deep(true) + more), &(deep(false) + more), 100).await;
            }
        }
    }
}

/// A hundred handles of one instance are none of the next one's.
#[tokio::test]
async fn nothing_is_left_of_handles() {
    let engine = USUAL.engine();
    let text = r#"(component
        (type $thing (resource (rep i32)))
        (core func $new (canon resource.new $thing))
        (core func $rep (canon resource.rep $thing))
        (core module $m
            (import "" "new" (func $new (param i32) (result i32)))
            (import "" "rep" (func $rep (param i32) (result i32)))
            (func (export "leave") (result i32) (local $count i32)
                (loop
                    (drop (call $new (i32.const 7)))
                    (local.set $count (i32.add (local.get $count) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $count) (i32.const 100))))
                (call $rep (i32.const 100)))
            (func (export "look") (param i32) (result i32) (call $rep (local.get 0))))
        (core instance $i (instantiate $m
            (with "" (instance (export "new" (func $new)) (export "rep" (func $rep))))))
        (func (export "leave") (result u32) (canon lift (core func $i "leave")))
        (func (export "look") (param "handle" u32) (result u32)
            (canon lift (core func $i "look"))))"#;
    let code = engine.load(&wat::parse_str(text).unwrap()).unwrap();
    let linker = Linker::new(code.component().engine());
    for handle in 0..=101_u32 {
        for leaves in [true, false] {
            let mut store = code.store(MemoryLimiter::new(1 << 20));
            let made = linker.instantiate_async(&mut store, code.component()).await.unwrap();
            if leaves {
                let leave = made.get_typed_func::<(), (u32,)>(&mut store, "leave").unwrap();
                assert_eq!(leave.call_async(&mut store, ()).await.unwrap(), (7,));
                continue;
            }
            let look = made.get_typed_func::<(u32,), (u32,)>(&mut store, "look").unwrap();
            let error = look.call_async(&mut store, (handle,)).await.unwrap_err();
            assert!(format!("{error:#}").contains("handle"), "{handle}: {error:#}");
        }
    }
}
