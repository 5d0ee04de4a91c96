//! Memory limits.

use dayfly_engine::{
    Bounds, Engine, EngineConfig, EngineError, Exceeded, Flavour, MemoryLimiter, Mode, StoreData,
};
use wasmtime::Trap;
use wasmtime::component::Linker;

use crate::support::{call, child, child_argument, component, engine};

const PAGE: u64 = 65536;

/// Two memories of one page; `grow: func(pages: u32) -> s32` grows the first.
fn growing() -> Vec<u8> {
    let module = r#"(memory $a 1) (memory $b 1)
        (func (export "grow") (param i32) (result i32) (memory.grow $a (local.get 0)))"#;
    component(module, "grow", r#"(param "pages" u32) (result s32)"#)
}

#[test]
fn all_memories_count_together() {
    for mode in crate::support::MODES {
        let code = engine(mode, None).load(&growing()).unwrap();
        let grow = |limit: u64, pages: u32| {
            call::<(u32,), (i32,)>(&code, limit, "grow", (pages,)).unwrap().0
        };
        assert_eq!(grow(10 * PAGE, 8), 1, "{mode}: eight and two are ten");
        assert_eq!(grow(10 * PAGE, 9), -1, "{mode}");
    }
}

#[test]
fn the_limiter_remembers_that_it_refused() {
    let code = engine(Mode::Jit, None).load(&growing()).unwrap();
    let mut store = code.store(MemoryLimiter::new(10 * PAGE));
    let linker = Linker::new(code.component().engine());
    let instance = linker.instantiate(&mut store, code.component()).unwrap();
    let grow = instance.get_typed_func::<(u32,), (i32,)>(&mut store, "grow").unwrap();
    assert_eq!(store.data().used_bytes(), 2 * PAGE);
    // More than a memory can ever have is not over the limit, however often it is tried.
    for _ in 0..100 {
        assert_eq!(grow.call(&mut store, (65536,)).unwrap().0, -1);
    }
    assert_eq!(store.data().exceeded(), None);
    assert_eq!(grow.call(&mut store, (8,)).unwrap().0, 1);
    assert_eq!(grow.call(&mut store, (1,)).unwrap().0, -1);
    assert_eq!(store.data().exceeded(), Some(Exceeded::Memory));
    assert_eq!(store.data().used_bytes(), 10 * PAGE);
}

#[test]
fn the_stack_is_bounded() {
    let module = r#"(func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))"#;
    let bytes = component(module, "deep", r#"(param "calls" u32) (result u32)"#);
    for mode in crate::support::MODES {
        let deep = |max_stack_bytes: u64, calls: u32| {
            let config = EngineConfig {
                mode,
                max_stack_bytes,
                max_instances: 16,
                ..EngineConfig::default()
            };
            let code = Engine::new(config).unwrap().load(&bytes).unwrap();
            // Called without async, guests have the thread's stack.
            let call = move || call::<(u32,), (u32,)>(&code, PAGE, "deep", (calls,));
            let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(call).unwrap();
            thread.join().unwrap().map(|(depth,)| depth)
        };
        assert_eq!(deep(64 << 10, 100).unwrap(), 100, "{mode}");
        let overflow = deep(64 << 10, 10_000).unwrap_err();
        assert_eq!(overflow.downcast_ref(), Some(&Trap::StackOverflow), "{mode}");
        assert_eq!(deep(4 << 20, 10_000).unwrap(), 10_000, "{mode}");
        assert!(deep(4 << 20, 10_000_000).is_err(), "{mode}");
    }
}

#[test]
fn what_starts_too_large_does_not_start() {
    let code = engine(Mode::Jit, None).load(&growing()).unwrap();
    let mut store = code.store(MemoryLimiter::new(PAGE));
    let linker: Linker<MemoryLimiter> = Linker::new(code.component().engine());
    assert!(linker.instantiate(&mut store, code.component()).is_err());
    assert_eq!(store.data().exceeded(), Some(Exceeded::Memory));
}

#[test]
fn tables_are_bounded() {
    let module = r#"(table $t 10 funcref)
        (func (export "grow") (param i32) (result i32)
            (table.grow $t (ref.null func) (local.get 0)))"#;
    let wasm = component(module, "grow", r#"(param "elements" u32) (result s32)"#);
    let code = engine(Mode::Jit, None).load(&wasm).unwrap();
    let grow = |elements| call::<(u32,), (i32,)>(&code, 0, "grow", (elements,)).unwrap().0;
    assert_eq!(grow(50_000), 10);
    assert_eq!(grow(2_000_000_000), -1);
}

/// A guest as large as the ones of componentize-py: many core instances, a large table, several
/// memories and tables.
#[test]
fn large_components_fit_the_pool() {
    let mut parts = String::new();
    for i in 0..150 {
        parts += &format!(
            r#"(core module $m{i} (memory 1) (table 100 funcref) (global (mut i32) (i32.const 0))
                   (func (export "f{i}")))
               (core instance $i{i} (instantiate $m{i}))"#
        );
        if i >= 20 {
            parts = parts.replace("(memory 1) (table 100 funcref)", "");
        }
    }
    let text = format!(
        r#"(component {parts}
            (core module $big (table 60000 funcref) (memory 100) (func (export "g")))
            (core instance $b (instantiate $big))
            (func (export "g") (canon lift (core func $b "g"))))"#
    );
    let code = engine(Mode::Jit, None).load(&wat::parse_str(text).unwrap()).unwrap();
    call::<(), ()>(&code, 1 << 30, "g", ()).unwrap();
}

/// In a process whose address space is limited.
#[test]
fn limited_address_space_gives_fewer_instances_or_a_hint() {
    let Some(gibibytes) = child_argument() else {
        for gibibytes in ["512", "40"] {
            let test = "limits::limited_address_space_gives_fewer_instances_or_a_hint";
            assert!(child(test, gibibytes).status().unwrap().success());
        }
        return;
    };
    let limit = gibibytes.parse::<u64>().unwrap() << 30;
    let limits = rustix::process::Rlimit { current: Some(limit), maximum: Some(limit) };
    rustix::process::setrlimit(rustix::process::Resource::As, limits).unwrap();
    let engine = Engine::new(EngineConfig::default()).unwrap();
    match engine.max_instances(Flavour::SEQUENTIAL) {
        Ok(instances) => assert!(limit > 64 << 30 && (4..1000).contains(&instances)),
        Err(error @ EngineError::AddressSpace { .. }) => {
            assert!(limit < 64 << 30);
            assert!(error.to_string().contains("hint: raise `ulimit -v`"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// What a store holds whose guest may execute so many instructions.
struct Counted {
    limiter: MemoryLimiter,
    instructions: u64,
}

impl StoreData for Counted {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }

    fn bounds(&self) -> Bounds {
        Bounds { instructions: Some(self.instructions), ..Bounds::default() }
    }
}

/// Counts to a thousand within so many instructions; answers how many of them are left.
fn count(mode: Mode, instructions: u64) -> wasmtime::Result<u64> {
    let module = r#"(func (export "count") (param $n i32) (result i32) (local $i i32)
        (loop $again
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $i))"#;
    let wasm = component(module, "count", r#"(param "to" u32) (result u32)"#);
    let code = engine(mode, None).load_counted(&wasm).unwrap();
    assert!(code.flavour().is_counted());
    let mut store = code.store(Counted { limiter: MemoryLimiter::new(PAGE), instructions });
    let linker = Linker::new(code.component().engine());
    let instance = linker.instantiate(&mut store, code.component())?;
    let count = instance.get_typed_func::<(u32,), (u32,)>(&mut store, "count")?;
    assert_eq!(count.call(&mut store, (1000,))?.0, 1000);
    store.get_fuel()
}

#[test]
fn instructions_count_alike_in_every_mode() {
    const PLENTY: u64 = 1 << 40;
    let used = |mode| PLENTY - count(mode, PLENTY).unwrap();
    let jit = used(Mode::Jit);
    assert!((4_000..20_000).contains(&jit), "{jit}");
    for mode in crate::support::MODES {
        assert_eq!(used(mode), jit, "{mode}");
    }
    assert_eq!(count(Mode::Jit, jit).unwrap(), 0);
    // It is looked at where a loop goes round and where a function begins.
    let error = count(Mode::Jit, jit - 100).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::OutOfFuel));
}
