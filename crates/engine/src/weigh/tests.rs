//! What weighs too much. Real components are weighed with every guest that the other tests compile.

use super::*;

fn weight(module: &str) -> Result<Weight, EngineError> {
    Weight::of(&wat::parse_str(module).unwrap())
}

/// A function with so many `i32` locals.
fn function(locals: usize, body: &str) -> String {
    format!("(func (local {}) {body})", "i32 ".repeat(locals))
}

fn changes(locals: usize) -> String {
    let change = |n| format!("(local.set {n} (i32.add (local.get {n}) (i32.const 1)))");
    (0..locals).map(change).collect()
}

fn reads(locals: usize) -> String {
    (0..locals).map(|n| format!("(drop (local.get {n}))")).collect()
}

fn nested(depth: usize, inside: &str) -> String {
    let open = "(loop ".repeat(depth);
    open + inside + &"(br_if 0 (local.get 0)))".repeat(depth)
}

/// Each of them kept a compiler busy for more than half a minute, or took gigabytes.
#[test]
fn what_keeps_a_compiler_busy_is_too_heavy() {
    let values = "i32 ".repeat(1000);
    let constants = "(i32.const 1)".repeat(1000);
    let drops = "drop ".repeat(1000);
    let targets = "1 ".repeat(10_000);
    let table = format!("(block (br_table {targets} (local.get 0)))");
    for (what, module) in [
        ("loops in loops", function(1, &nested(3000, ""))),
        ("loops that change many locals", function(1000, &nested(300, &changes(1000)))),
        ("locals across branches", {
            let branches = "(if (local.get 0) (then))".repeat(50_000);
            function(1000, &(changes(1000) + &branches + &reads(1000)))
        }),
        ("a table of branches to a loop", {
            function(1000, &format!("(loop {} {table})", changes(1000)))
        }),
        ("branches", function(1, &"(if (local.get 0) (then))".repeat(100_000))),
        ("loops", function(1, &"(loop)".repeat(50_000))),
        ("values by branches", {
            let branches = "(br_if 0 (i32.const 0))".repeat(2000);
            format!("(func (block (result {values}) {constants} {branches}) {drops})")
        }),
        ("values by calls", {
            format!(
                "(func $f (param {values}) (result {values}) unreachable)
                 (func {constants} {} {drops})",
                "call $f ".repeat(1000)
            )
        }),
    ] {
        let error = weight(&format!("(module {module})")).expect_err(what);
        assert!(matches!(error, EngineError::TooHeavy { what: "function", .. }), "{what}: {error}");
    }
}

#[test]
fn many_functions_are_too_heavy_together() {
    let function = function(1000, &nested(40, &changes(1000)));
    let one = weight(&format!("(module {function})")).unwrap();
    assert!(one.is_light(), "{one:?}");
    let several = weight(&format!("(module {})", function.repeat(10))).unwrap();
    assert!(!several.is_light(), "{several:?}");
    let error = weight(&format!("(module {})", function.repeat(100))).unwrap_err();
    assert!(error.to_string().contains("component, up to the function"), "{error}");
}

#[test]
fn locals_that_nobody_uses_weigh_a_little() {
    let function = function(50_000, "");
    assert!(weight(&format!("(module {function})")).unwrap().is_light());
}

#[test]
fn modules_in_components_are_weighed() {
    let bomb = function(1, &nested(3000, ""));
    let component = format!("(component (core module) (component (core module {bomb})))");
    assert!(weight(&component).is_err());
}

#[test]
fn what_cannot_be_read_is_the_compilers_to_judge() {
    assert_eq!(Weight::of(b"no WebAssembly").unwrap(), Weight(0));
    let module = wat::parse_str("(module (func (drop (i32.const 1))))").unwrap();
    for end in 0..module.len() {
        Weight::of(&module[..end]).unwrap();
    }
}

#[test]
fn invalid_code_takes_no_memory() {
    // The last local that could have a number, and more blocks than anybody closes.
    let locals = [&[0x20, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x1a, 0x0b]].concat();
    let blocks = [0x02, 0x40].repeat(1 << 20);
    for (code, heavy) in [(locals, false), (blocks, true)] {
        let length = |length: usize| -> Vec<u8> {
            let byte = |n: usize| (length >> (7 * n) & 0x7f) as u8 | if n < 4 { 0x80 } else { 0 };
            (0..5).map(byte).collect()
        };
        let body = [&length(code.len() + 1)[..], &[0], &code].concat();
        let module = [
            &b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a"[..],
            &length(body.len() + 1),
            &[1],
            &body,
        ]
        .concat();
        assert_eq!(Weight::of(&module).is_err(), heavy);
    }
}
