use std::collections::HashSet;

use serde_json::Value;
use wit_parser::Resolve;

use super::*;

/// A world of one interface.
fn world(interface: &str) -> (Resolve, WorldId) {
    let text = format!(
        "package test:test@1.0.0;\ninterface i {{ {interface} }}\nworld w {{ import i; }}\n"
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", &text).unwrap();
    let world = resolve.select_world(&[package], Some("w")).unwrap();
    (resolve, world)
}

/// What a driver does to call the function of a world that has one.
fn call_of(interface: &str) -> String {
    let (resolve, world) = world(interface);
    let driver = driver(&resolve, world, false);
    let call = driver.functions.lines().find(|line| line.contains("$import0"));
    call.unwrap().trim().to_owned()
}

#[test]
fn names_of_functions_differ_and_none_takes_its_parameters_by_address() {
    let (resolve, world) = crate::script::world();
    let imports = imports(resolve, *world);
    let names: HashSet<_> = imports.iter().map(|import| &import.name).collect();
    assert_eq!(names.len(), imports.len());
    for import in &imports {
        assert!(!import.signature.indirect_params, "{}", import.name);
    }
    for name in ["key-value.store.open", "types.outgoing-request.new", "poll.pollable.drop"] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn a_call_loads_what_the_block_holds_and_leaves_the_result_behind_it() {
    assert_eq!(
        call_of("f: func(a: u8, b: string, c: s64) -> bool;"),
        "(i32.store8 offset=32 (local.get $block) (call $import0 \
         (i32.load8_u offset=8 (local.get $block)) (i32.load offset=12 (local.get $block)) \
         (i32.load offset=16 (local.get $block)) (i64.load offset=24 (local.get $block))))"
    );
    assert_eq!(
        call_of("f: func() -> string;"),
        "(call $import0 (i32.add (local.get $block) (i32.const 8)))"
    );
}

#[test]
fn cases_share_their_places_as_the_canonical_abi_has_it() {
    let case = "(i32.load8_u offset=8 (local.get $block))";
    assert_eq!(
        call_of("variant v { a(f32), b(u64), c } f: func(v: v);"),
        format!(
            "(call $import0 {case} (if (result i64) (i32.eq {case} (i32.const 1)) \
             (then (i64.load offset=16 (local.get $block))) \
             (else (if (result i64) (i32.eq {case} (i32.const 0)) \
             (then (i64.extend_i32_u (i32.reinterpret_f32 (f32.load offset=16 (local.get $block))))) \
             (else (i64.const 0))))))"
        )
    );
}

#[test]
fn the_table_tells_the_layouts() {
    let (resolve, world) = world("record r { a: u8, b: option<u16> } f: func(r: r) -> list<r>;");
    let told: Value = serde_json::from_str(&table(&resolve, world)).unwrap();
    let expected = serde_json::json!([
        [
            ["u8", 1, 1],
            ["u16", 2, 2],
            ["option", 4, 2, 2, 1],
            ["record", 6, 2, [["a", 0, 0], ["b", 2, 2]]],
            ["list", 8, 4, 3]
        ],
        [["i.f", 24, [[3, 8]], 4, 16]]
    ]);
    assert_eq!(told, expected);
}
