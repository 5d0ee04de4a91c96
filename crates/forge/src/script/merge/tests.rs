//! Merges small modules and runs what comes out.

use wasmtime::{Engine, Linker, Module, Store};

use super::{Cut, MergeError, merge};

const INTERPRETER: &str = r#"(module
    (import "host" "absent" (func $absent (param i32)))
    (import "canon" "same" (func $same (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (table 3 3 funcref)
    (global $counter (mut i32) (i32.const 7))
    (data (i32.const 8) "old")
    (elem (i32.const 1) $named)
    (func $named (result i32) (i32.const 11))
    (func (result i32) (i32.const 12))
    (func (export "exported") (param i32) (result i32) (call $same (local.get 0)))
    (func (export "foreign") (call $absent (i32.const 1)))
    (func (export "through") (param i32) (result i32)
      (call_indirect (type $plain) (local.get 0)))
    (type $plain (func (result i32)))
    (func (export "randomly") (result i32) (call $random (i32.const 0) (i32.const 4))))"#;

const DRIVER: &str = r#"(module
    (import "interpreter" "memory" (memory 1))
    (import "interpreter" "table" (table 1 funcref))
    (import "place" "memory" (global $at i32))
    (import "place" "table" (global $slot i32))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "interpreter" "named" (func $named (result i32)))
    (import "interpreter" "pinned" (func $pinned (result i32)))
    (import "interpreter" "exported" (func $exported (param i32) (result i32)))
    (import "interpreter" "foreign" (func $foreign))
    (import "interpreter" "through" (func $through (param i32) (result i32)))
    (import "interpreter" "randomly" (func $randomly (result i32)))
    (global $own (mut i32) (i32.const 40))
    (data (offset (i32.add (global.get $at) (i32.const 4))) "\2a")
    (elem (table 0) (offset (global.get $slot)) func $of_driver)
    (func $of_driver (result i32)
      (global.set $own (i32.add (global.get $own) (i32.const 1)))
      (global.get $own))
    (func (export "serve canon same") (param i32) (result i32)
      (i32.add (local.get 0) (i32.const 100)))
    (func (export "calls") (result i32 i32 i32 i32 i32)
      (call $named) (call $pinned) (call $exported (i32.const 1))
      (call $through (global.get $slot)) (call $through (i32.const 1)))
    (func (export "memory_of_driver") (result i32 i32)
      (global.get $at) (i32.load offset=4 (global.get $at)))
    (func (export "imports") (result i32 i32 i32)
      (call $random (i32.const 0) (i32.const 4)) (call $close (i32.const 5)) (call $randomly))
    (func (export "trap") (call $foreign)))"#;

const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

/// The index of the function without a name.
const PINS: &[(&str, u32)] = &[("pinned", 4)];

fn merged() -> Vec<u8> {
    let interpreter = wat::parse_str(INTERPRETER).unwrap();
    let driver = wat::parse_str(DRIVER).unwrap();
    merge(&interpreter, &driver, PINS, None).unwrap()
}

#[test]
fn both_find_each_other_and_the_host() {
    let engine = Engine::default();
    let module = Module::new(&engine, merged()).unwrap();
    let mut linker = Linker::new(&engine);
    let wasi = "wasi_snapshot_preview1";
    linker.func_wrap(wasi, "random_get", |_: i32, length: i32| length + 50).unwrap();
    linker.func_wrap(wasi, "fd_close", |fd: i32| fd + 60).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let exports: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
    assert_eq!(exports, ["memory", "calls", "memory_of_driver", "imports", "trap"]);

    let calls = instance.get_typed_func::<(), (i32, i32, i32, i32, i32)>(&mut store, "calls");
    assert_eq!(calls.unwrap().call(&mut store, ()).unwrap(), (11, 12, 101, 41, 11));
    let memory = instance.get_typed_func::<(), (i32, i32)>(&mut store, "memory_of_driver");
    assert_eq!(memory.unwrap().call(&mut store, ()).unwrap(), (2 << 16, 42));
    let imports = instance.get_typed_func::<(), (i32, i32, i32)>(&mut store, "imports");
    assert_eq!(imports.unwrap().call(&mut store, ()).unwrap(), (54, 65, 54));
    let trap = instance.get_typed_func::<(), ()>(&mut store, "trap").unwrap();
    assert!(trap.call(&mut store, ()).is_err());
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert_eq!(memory.size(&store), 3);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(merged(), merged());
}

#[test]
fn what_is_missing_is_named() {
    let interpreter = wat::parse_str(INTERPRETER).unwrap();
    for (interpreter, asked, missing) in [
        (&*interpreter, r#""nowhere" (func)"#, "function `nowhere`"),
        (EMPTY, r#""memory" (memory 1)"#, "memory"),
        (EMPTY, r#""table" (table 1 funcref)"#, "table"),
    ] {
        let driver = wat::parse_str(format!(r#"(module (import "interpreter" {asked}))"#)).unwrap();
        let error = merge(interpreter, &driver, &[], None).unwrap_err();
        assert!(matches!(&error, MergeError::Missing(name) if name == missing), "{error}");
    }
}

#[test]
fn of_two_private_functions_of_one_name_neither_is_meant() {
    let interpreter = wat::parse_str("(module (func $a (@name \"f\")) (func $b (@name \"f\")))");
    let driver = wat::parse_str(r#"(module (import "interpreter" "f" (func)))"#).unwrap();
    assert!(merge(&interpreter.unwrap(), &driver, &[], None).is_err());
}

#[test]
fn a_function_returns_where_it_is_cut() {
    let interpreter = r#"(module
        (memory 1)
        (func $before (@name "before") (i32.store (i32.const 0) (i32.const 1)))
        (func $after (@name "after") (param i32) (result i32) (unreachable))
        (func (@name "main")
          (call $before)
          (i32.store offset=4 (i32.const 0) (call $after (i32.const 8)))
          (call $before)))"#;
    let interpreter = wat::parse_str(interpreter).unwrap();
    let driver = r#"(module
        (import "interpreter" "memory" (memory 1))
        (import "interpreter" "main" (func $main))
        (func (export "run") (result i32) (call $main) (i32.load (i32.const 0))))"#;
    let driver = wat::parse_str(driver).unwrap();
    let cut = |before| merge(&interpreter, &driver, &[], Some(Cut { function: "main", before }));

    let engine = Engine::default();
    let module = Module::new(&engine, cut("after").unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 1);

    let error = cut("before").unwrap_err();
    assert_eq!(error.to_string(), "there is not one place to cut at");
}
