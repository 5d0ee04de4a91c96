//! Core modules of each kind.

use dayfly_forge::{Phase, detect_shape, prepare_bytes};
use dayfly_model::HandlerShape;

use crate::support::{assert_valid, exports, forge_text, forge_wagi, module_of, said};

const COMMAND: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 0)))
  (func (export "serve"))
  (func (export "sum") (param i32 i32) (result i32) (local.get 0)))"#;

#[track_caller]
fn refused(text: &str) -> String {
    said(&forge_text(text).expect_err("the module is refused"))
}

#[test]
fn a_command_becomes_a_command() {
    let made = forge_text(COMMAND).expect("it is a command");
    assert_valid(&made.wasm);
    assert_eq!(detect_shape(&made.world), Ok(HandlerShape::Command02));
    assert!(made.world.imports("wasi:cli/exit"));
    let phases: Vec<_> = made.phases.iter().map(|report| (report.phase, report.changed)).collect();
    let expected = [
        (Phase::Resolve, true),
        (Phase::Componentise, true),
        (Phase::Rename, false),
        (Phase::Fuse, true),
        (Phase::Inspect, false),
    ];
    assert_eq!(phases, expected);
}

#[test]
fn a_command_needs_no_imports_but_a_memory() {
    let made = forge_text(r#"(module (memory (export "memory") 0) (func (export "_start")))"#)
        .expect("it is a command");
    assert_valid(&made.wasm);
    assert_eq!(detect_shape(&made.world), Ok(HandlerShape::Command02));
    let text = refused(r#"(module (func (export "_start")))"#);
    assert!(text.contains("exports no memory named `memory`"), "{text}");
}

#[test]
fn an_entry_point_is_run_instead_of_start() {
    let made = forge_wagi(COMMAND, "serve").expect("`serve` is an entry point");
    assert_valid(&made.wasm);
    assert_eq!(made.shape, HandlerShape::Command02);
    let default = forge_wagi(COMMAND, "_start").expect("so is `_start`");
    assert_ne!(made.wasm, default.wasm);
    // Without a `_start` beside it, and with one byte longer than before.
    let long = "x".repeat(200);
    let text = format!(
        r#"(module (memory (export "memory") 0) (func (export "{long}")) (func (export "y")))"#
    );
    assert_valid(&forge_wagi(&text, &long).expect("a long name is a name").wasm);
}

#[test]
fn entry_points_that_cannot_be() {
    let text = said(&forge_wagi(COMMAND, "sreve").expect_err("not exported"));
    assert!(text.contains("entry point `sreve` is not a function"), "{text}");
    assert!(text.contains("hint: it exports `_start`, `serve`"), "{text}");
    let text = said(&forge_wagi(COMMAND, "memory").expect_err("no function"));
    assert!(text.contains("entry point `memory` is not a function"), "{text}");
    let text = said(&forge_wagi(COMMAND, "sum").expect_err("has parameters"));
    assert!(text.contains("takes parameters or gives results"), "{text}");
    let text = said(&forge_wagi("(component)", "serve").expect_err("a component"));
    assert!(text.contains("the source is a component, not a core module"), "{text}");
}

#[test]
fn wagi_needs_a_command() {
    let wit = "package a:b; interface handler { handle: func(); } world w { export handler; }";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.wasm"), module_of(wit, "w")).expect("written");
    let executor =
        dayfly_model::Executor::Wagi { entrypoint: "_start".into(), argv: String::new() };
    let error = crate::support::forge_file(folder.path(), "a.wasm", &executor);
    let text = said(&error.expect_err("no command"));
    assert!(text.contains("exports only `a:b/handler`"), "{text}");
}

#[test]
fn an_embedded_world_is_honoured() {
    let wit = "package a:b;
        interface store { get: func(key: string) -> option<string>; }
        interface handler { handle: func(name: string) -> string; }
        world w { import store; export handler; }";
    let made = prepare_bytes("test", module_of(wit, "w")).expect("the world is embedded");
    assert_valid(&made.wasm);
    assert_eq!(exports(&made), ["a:b/handler"]);
    assert!(made.world.imports("a:b/store"));
    let shape = detect_shape(&made.world).expect_err("no handler of Dayfly's");
    assert!(shape.to_string().contains("`a:b/handler`"), "{shape}");
}

#[test]
fn modules_for_other_hosts_are_told_apart() {
    for (import, advice) in [
        (r#""env" "emscripten_notify_memory_growth" (func (param i32))"#, "Emscripten"),
        (r#""a" "b" (func (param i32))"#, "Emscripten"),
        (r#""env" "invoke_vii" (func)"#, "Emscripten"),
        (r#""wbg" "__wbindgen_throw" (func)"#, "wasm-bindgen"),
        (r#""__wbindgen_placeholder__" "__wbindgen_describe" (func)"#, "wasm-bindgen"),
        (r#""gojs" "runtime.wasmExit" (func)"#, "GOOS=wasip1"),
        (r#""env" "abort" (func (param i32 i32 i32 i32))"#, "AssemblyScript"),
        (r#""wasi_unstable" "fd_write" (func)"#, "before preview 1"),
        (r#""wasi" "thread-spawn" (func (param i32) (result i32))"#, "threads"),
        (r#""env" "memory" (memory 1 2 shared)"#, "threads"),
        (r#""wasix_32v1" "thread_spawn" (func)"#, "WASIX"),
        (r#""wasi_snapshot_preview1" "sock_open" (func)"#, "no such function"),
        (r#""wasi:http/types@0.2.0" "[constructor]fields" (func)"#, "`component-type`"),
        (r#""rb-js-abi-host" "eval" (func)"#, "made for a program"),
        (r#""host" "table" (table 1 funcref)"#, "made for a program"),
        (r#""host" "global" (global i32)"#, "made for a program"),
    ] {
        let text = refused(&format!(r#"(module (import {import}) (func (export "_start")))"#));
        let name = import.split('"').nth(3).expect("a name");
        assert!(text.contains(&format!("`{name}` from `")), "{name:?} not in {text}");
        assert!(text.contains(advice), "{advice:?} not in {text}");
    }
}

#[test]
fn many_unknown_imports_are_counted() {
    let imports: String = (0..9).map(|n| format!(r#"(import "host" "f{n}" (func))"#)).collect();
    let text = refused(&format!("(module {imports})"));
    assert!(text.contains("function `f4` from `host` and 4 more"), "{text}");
}

#[test]
fn nothing_to_run() {
    let text = refused("(module)");
    assert!(text.contains("exports no `_start` and embeds no world"), "{text}");
    let text = refused(r#"(module (func (export "_start") (param i32)))"#);
    assert!(text.contains("exports no `_start`"), "{text}");
}

#[test]
fn spins_first_modules_are_named() {
    let text = refused(
        r#"(module (func (export "canonical_abi_realloc") (param i32 i32 i32 i32) (result i32)
             unreachable) (func (export "handle-http-request") (param i32) (result i32)
             unreachable))"#,
    );
    assert!(text.contains("wit-bindgen 0.2"), "{text}");
    assert!(text.contains("hint: build it again"), "{text}");
}

#[test]
fn a_wrong_signature_of_wasi_is_an_error_with_its_name() {
    let text = refused(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64)))
             (memory (export "memory") 1) (func (export "_start")))"#,
    );
    assert!(text.contains("fd_write"), "{text}");
}

#[test]
fn a_damaged_world_is_an_error() {
    let text = refused(
        r#"(module (@custom "component-type:x" "\00asm\0d\00\01\00rubbish")
             (func (export "_start")))"#,
    );
    assert!(text.contains("failed to read the world that the core module embeds"), "{text}");
}

#[test]
fn a_command_keeps_a_status_of_its_own() {
    let unshaped = forge_text(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (memory (export "memory") 1)
             (func (export "_start") (call $exit (i32.const 7))))"#,
    )
    .expect("a command");
    assert_valid(&unshaped.wasm);
    let text = String::from_utf8_lossy(&unshaped.wasm);
    assert!(text.contains("exit-with-code"), "the adapter would make 1 of every failure");
    assert!(unshaped.world.imports("wasi:cli/exit"));
    let one_exit = unshaped.world.imports.iter().filter(|name| name.interface == "exit").count();
    assert_eq!(one_exit, 1, "the adapter and the module mean the same interface");
}
