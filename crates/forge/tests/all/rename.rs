//! Release candidates: what is renamed, what is left, and that nothing else changes.

use dayfly_forge::rename::rename;
use dayfly_forge::{Phase, Unshaped, detect_shape, prepare_bytes};
use dayfly_model::HandlerShape;

use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Validator, WasmFeatures};

use crate::support::{assert_valid, component_of};

/// A cut-down `wasi:http` of `version`, with `more` functions in `types`.
fn wasi(version: &str, more: &str) -> String {
    format!(
        "package wasi:http@{version} {{
            interface types {{
                resource request-options {{
                    constructor();
                    connect-timeout-ms: func() -> option<u64>;
                    set-connect-timeout-ms: func(ms: option<u64>) -> result;
                }}
                resource future-trailers {{ get: func() -> option<result<u32, u8>>; }}
                {more}
            }}
            interface handler {{
                use types.{{request-options}};
                handle: func(options: request-options) -> u32;
            }}
        }}"
    )
}

fn forge(wit: &str, world: &str) -> (Vec<u8>, Unshaped) {
    let component = component_of(wit, world);
    let made = prepare_bytes("test", component.clone()).expect("the component is prepared");
    assert_valid(&made.wasm);
    (component, made)
}

fn imports(made: &Unshaped) -> Vec<&str> {
    made.world.imports.iter().map(|import| import.raw.as_str()).collect()
}

fn renamed(made: &Unshaped) -> bool {
    made.phases.iter().any(|report| report.phase == Phase::Rename && report.changed)
}

#[test]
fn the_candidate_of_0_3_changes_four_bytes_a_name() {
    let rc = "0.3.0-rc-2026-03-15";
    let wit = format!(
        "package a:b; world w {{ import wasi:http/types@{rc}; export wasi:http/handler@{rc}; }} {}",
        wasi(rc, "")
    );
    let (before, made) = forge(&wit, "w");
    assert_eq!(imports(&made), ["wasi:http/types@0.3.0+rc.2026.03.15"]);
    assert_eq!(detect_shape(&made.world), Ok(HandlerShape::Http03));
    let report = made.phases.iter().find(|report| report.phase == Phase::Rename).unwrap();
    assert_eq!((report.changed, report.bytes), (true, before.len()));
    // In the import and in the export.
    let names =
        |name: &str| made.wasm.windows(name.len()).filter(|w| *w == name.as_bytes()).count();
    assert_eq!(names("@0.3.0+rc.2026.03.15"), 2);
}

#[test]
fn candidate_and_release_side_by_side_stay_apart() {
    let rc = "0.3.0-rc-2026-03-15";
    let wit = format!(
        "package a:b;
         world w {{ import wasi:http/types@{rc}; import wasi:http/types@0.3.0; \
         export wasi:http/handler@0.3.0; }} {} {}",
        wasi(rc, ""),
        wasi("0.3.0", "")
    );
    let (_, made) = forge(&wit, "w");
    assert_eq!(imports(&made), ["wasi:http/types@0.3.0+rc.2026.03.15", "wasi:http/types@0.3.0"]);
}

#[test]
fn functions_of_2023_11_10_get_the_names_of_0_2() {
    let rc = "0.2.0-rc-2023-11-10";
    let wit = format!(
        "package a:b;
         world w {{ import wasi:http/types@{rc}; import wasi:http/types@0.2.0; }} {} {}",
        wasi(rc, ""),
        wasi("0.2.0", "")
    );
    let (_, made) = forge(&wit, "w");
    assert_eq!(imports(&made), ["wasi:http/types@0.2.0+rc.2023.11.10", "wasi:http/types@0.2.0"]);
    assert_eq!(
        functions(&made.wasm, "wasi:http/types@0.2.0+rc.2023.11.10"),
        [
            "[constructor]request-options",
            "[method]request-options.connect-timeout",
            "[method]request-options.set-connect-timeout",
            "[method]future-trailers.get-rc1110",
        ]
    );
    // The release's own functions are left alone, though they bear the candidate's names here.
    assert_eq!(
        functions(&made.wasm, "wasi:http/types@0.2.0"),
        [
            "[constructor]request-options",
            "[method]request-options.connect-timeout-ms",
            "[method]request-options.set-connect-timeout-ms",
            "[method]future-trailers.get",
        ]
    );
}

#[test]
fn constructors_of_2023_10_18_become_functions() {
    let rc = "0.2.0-rc-2023-10-18";
    let wit = format!(
        "package a:b; world w {{ import wasi:http/types@{rc}; import wasi:io/poll@{rc}; }}
        package wasi:http@{rc} {{ interface types {{
            resource fields {{ constructor(entries: list<string>); get: func() -> u8; }}
        }} }}
        package wasi:io@{rc} {{ interface poll {{
            resource pollable;
            poll-list: func(in: list<borrow<pollable>>) -> list<u32>;
        }} }}"
    );
    let (_, made) = forge(&wit, "w");
    assert_eq!(
        functions(&made.wasm, "wasi:http/types@0.2.0+rc.2023.10.18"),
        ["[static]fields.new-rc1018", "[method]fields.get"]
    );
    assert_eq!(functions(&made.wasm, "wasi:io/poll@0.2.0+rc.2023.10.18"), ["poll"]);
}

#[test]
fn commands_of_2023_11_10_are_commands() {
    let wit = "package a:b; world w { export wasi:cli/run@0.2.0-rc-2023-11-10; }
        package wasi:cli@0.2.0-rc-2023-11-10 { interface run { run: func() -> result; } }";
    let (_, made) = forge(wit, "w");
    assert_eq!(detect_shape(&made.world), Ok(HandlerShape::Command02));
}

#[test]
fn others_are_left_byte_for_byte() {
    for version in ["0.2.0", "0.2.12", "0.3.0", "0.2.0-rc-2023-12-05", "0.3.0-rc-2026-01-06"] {
        let wit = format!(
            "package a:b; world w {{ import wasi:http/types@{version}; }} {}",
            wasi(version, "")
        );
        let (_, made) = forge(&wit, "w");
        assert!(!renamed(&made), "{version} was changed");
    }
    let wit = "package a:b; world w { import cats:http/types@0.3.0-rc-2026-03-15; }
        package cats:http@0.3.0-rc-2026-03-15 { interface types { purr: func(); } }";
    let (_, made) = forge(wit, "w");
    assert!(!renamed(&made), "an interface of others was changed");
}

#[test]
fn an_instance_handed_on_whole_keeps_its_functions() {
    let text = r#"(component
      (import "wasi:http/types@0.2.0-rc-2023-11-10" (instance $types
        (export "request-options" (type $r (sub resource)))
        (export "[method]request-options.connect-timeout-ms" (func
          (param "self" (borrow $r)) (result (option u64))))))
      (component $inner
        (import "types" (instance
          (export "request-options" (type $r (sub resource)))
          (export "[method]request-options.connect-timeout-ms" (func
            (param "self" (borrow $r)) (result (option u64)))))))
      (instance (instantiate $inner (with "types" (instance $types)))))"#;
    let wasm = wat_bytes(text);
    let (renamed, changed) = rename(wasm).expect("it is read");
    assert!(changed);
    assert_eq!(
        functions(&renamed, "wasi:http/types@0.2.0+rc.2023.11.10"),
        ["[method]request-options.connect-timeout-ms"]
    );
}

/// The functions of an imported instance, as a validator sees them.
#[track_caller]
fn functions(wasm: &[u8], import: &str) -> Vec<String> {
    let types =
        Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).expect("it is valid");
    let item = types.as_ref().component_item_for_import(import).expect("it is imported");
    let ComponentEntityType::Instance(instance) = item.ty else { panic!("it is an instance") };
    let items = types[instance].exports.iter();
    let functions = items.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    functions.map(|(name, _)| name.clone()).collect()
}

fn wat_bytes(text: &str) -> Vec<u8> {
    dayfly_forge::resolve::binary(text.as_bytes().to_vec()).expect("the text parses").0
}
