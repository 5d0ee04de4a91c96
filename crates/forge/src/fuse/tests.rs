use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use super::fused;

/// What `dayfly` modules are linked of: a main module with memory, table and globals; a library that
/// begins where a global of the main module's says; what is lowered with that memory, by a shim, and
/// its fixup.
fn component(shim: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "log" (func $log (param "text" string)))
            {shim}
            (core module $main
                (type (func (param i32 i32)))
                (import "shim" "log" (func $log (type 0)))
                (memory (export "memory") 1)
                (table (export "table") 4 funcref)
                (global (export "base") i32 (i32.const 512))
                (global (export "first") i32 (i32.const 2))
                (global $count (export "count") (mut i32) (i32.const 40))
                (data (i32.const 512) "library")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                (func (export "tell") (param i32 i32)
                    (global.set $count (i32.add (global.get $count) (i32.const 1)))
                    (call $log (local.get 0) (local.get 1))))
            (core instance $main (instantiate $main (with "shim" (instance $shim))))
            (alias core export $main "memory" (core memory $memory))
            (alias core export $main "realloc" (core func $realloc))
            (core module $library
                (import "env" "memory" (memory 1))
                (import "env" "table" (table 4 funcref))
                (import "env" "base" (global $base i32))
                (import "env" "first" (global $first i32))
                (import "GOT.mem" "count" (global $count (mut i32)))
                (import "env" "tell" (func $tell (param i32 i32)))
                (type $answer (func (result i32)))
                (elem (global.get $first) $twice $thrice)
                (func $twice (type $answer) (i32.mul (global.get $count) (i32.const 2)))
                (func $thrice (type $answer) (i32.mul (global.get $count) (i32.const 3)))
                (func (export "run") (result i32)
                    (call $tell (global.get $base) (i32.const 7))
                    (i32.add
                        (call_indirect (type $answer) (global.get $first))
                        (call_indirect (type $answer) (i32.const 3)))))
            (alias core export $main "table" (core table $table))
            (alias core export $main "base" (core global $base))
            (alias core export $main "first" (core global $first))
            (alias core export $main "count" (core global $count))
            (alias core export $main "tell" (core func $tell))
            (core instance $env
                (export "memory" (memory $memory))
                (export "table" (table $table))
                (export "base" (global $base))
                (export "first" (global $first))
                (export "tell" (func $tell)))
            (core instance $got (export "count" (global $count)))
            (core instance $library (instantiate $library
                (with "env" (instance $env)) (with "GOT.mem" (instance $got))))
            (core func $lowered (canon lower (func $log) (memory $memory) (realloc $realloc)))
            (core module $fixup
                (import "" "table" (table 1 funcref))
                (import "" "log" (func $log (param i32 i32)))
                (elem (i32.const 0) $log))
            (alias core export $shim "table" (core table $slots))
            (core instance (instantiate $fixup (with "" (instance
                (export "table" (table $slots)) (export "log" (func $lowered))))))
            {more}
            (func (export "run") (result u32)
                (canon lift (core func $library "run"))))"#
    );
    wat::parse_str(text).unwrap()
}

const SHIM: &str = r#"
    (core module $shim
        (type $log (func (param i32 i32)))
        (table (export "table") 1 funcref)
        (func (export "log") (param i32 i32)
            (call_indirect (type $log) (local.get 0) (local.get 1) (i32.const 0))))
    (core instance $shim (instantiate $shim))"#;

/// What a component answers twice, and what it has said.
fn run(wasm: &[u8]) -> (Vec<u32>, Vec<String>) {
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::new(&engine, wasm).unwrap();
    let mut linker = Linker::new(&engine);
    let say = |mut store: wasmtime::StoreContextMut<'_, Vec<String>>, (text,): (String,)| {
        store.data_mut().push(text);
        Ok(())
    };
    linker.root().func_wrap("log", say).unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let run = instance.get_typed_func::<(), (u32,)>(&mut store, "run").unwrap();
    let answers = (0..2).map(|_| run.call(&mut store, ()).unwrap().0).collect();
    (answers, store.into_data())
}

/// How many core modules have anything in them.
fn modules(wasm: &[u8]) -> usize {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    let modules = payloads.filter(|payload| {
        matches!(payload, Ok(wasmparser::Payload::ModuleSection { unchecked_range, .. })
            if unchecked_range.len() > 8)
    });
    modules.count()
}

#[test]
fn what_is_fused_answers_as_before() {
    let before = component(SHIM, "");
    assert_eq!(run(&before), (vec![41 * 5, 42 * 5], vec!["library".to_owned(); 2]));
    let after = fused(&before).unwrap();
    assert_eq!(run(&after), run(&before));
    assert_eq!((modules(&before), modules(&after)), (4, 2), "all but the fixup are one");
}

#[test]
fn functions_keep_their_names() {
    let before = component(SHIM, "");
    let after = fused(&before).unwrap();
    let text = String::from_utf8_lossy(&after).into_owned();
    for name in ["twice", "thrice"] {
        assert!(text.contains(name), "{name}");
    }
}

#[test]
fn an_adapter_that_needs_what_is_lowered_stays() {
    let adapter = r#"
        (core module $adapter
            (import "main" "memory" (memory 1))
            (import "log" "log" (func $log (param i32 i32)))
            (func (export "hello") (call $log (i32.const 512) (i32.const 3))))
        (core instance $adapter (instantiate $adapter
            (with "main" (instance $main)) (with "log" (instance (export "log" (func $lowered))))))
        (func (export "hello") (canon lift (core func $adapter "hello")))"#;
    let before = component(SHIM, adapter);
    let after = fused(&before).unwrap();
    assert_eq!((modules(&before), modules(&after)), (5, 3));
    assert_eq!(run(&after), run(&before));
}

#[test]
fn what_cannot_be_one_stays() {
    for (why, more) in [
        (
            "it has a second memory",
            r#"(core module $other (memory 1)) (core instance (instantiate $other))"#,
        ),
        (
            "code would run before others are there",
            r#"(core module $early (func $start) (start $start)) (core instance (instantiate $early))
               (core module $late) (core instance (instantiate $late))"#,
        ),
        ("a module is exported", r#"(core module $shown) (export "shown" (core module $shown))"#),
    ] {
        let before = component(SHIM, more);
        assert!(fused(&before).is_err(), "{why}");
    }
}

#[test]
fn what_does_not_link_is_not_mended() {
    let before = component(SHIM, "");
    // The library's memory, which it imports, is to have two pages.
    let needle = b"\x03env\x06memory\x02\x00\x01";
    let at = before.windows(needle.len()).position(|window| window == needle).unwrap();
    let mut wrong = before.clone();
    wrong[at + needle.len() - 1] = 2;
    assert!(wasmparser::validate(&before).is_ok());
    assert!(wasmparser::validate(&wrong).is_err());
    assert!(fused(&wrong).is_err());
}
