//! Arguments on the command line, for a function that takes a value of every kind, become values
//! that can be printed as JSON, or an error.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem};

const FUNCTIONS: &str = r#"(component
  (type $r (record (field "name" string) (field "age" (option u8)) (field "n" (list f64))))
  (import "r" (type $record (eq $r)))
  (type $t (tuple s64 char))
  (type $v (variant (case "nothing") (case "text" string) (case "both" $t)))
  (import "v" (type $variant (eq $v)))
  (type $f (flags "read" "write" "run"))
  (import "f" (type $flags (eq $f)))
  (type $e (enum "low" "high"))
  (import "e" (type $enum (eq $e)))
  (import "all" (func (param "a" bool) (param "b" s8) (param "c" u64) (param "d" f32)
    (param "e" char) (param "f" string) (param "g" $record) (param "h" $variant)
    (param "i" $flags) (param "j" $enum) (param "k" (result u8 (error string)))
    (param "l" (option (list (tuple u8 u8))))))
  (import "one" (func (param "a" (list (list (list $record))))))
  (import "text" (func (param "a" string)))
)"#;

fn functions() -> &'static Vec<ComponentFunc> {
    static FUNCTIONS_TYPES: OnceLock<Vec<ComponentFunc>> = OnceLock::new();
    FUNCTIONS_TYPES.get_or_init(|| {
        let engine = Engine::default();
        let component = wat::parse_str(FUNCTIONS).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let imports = component.component_type();
        let found = imports.imports(&engine).filter_map(|(_, item)| match item.ty {
            ComponentItem::ComponentFunc(function) => Some(function),
            _ => None,
        });
        found.collect()
    })
}

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let call = lines.next().unwrap_or_default();
    let words: Vec<String> = lines.map(str::to_owned).collect();
    for function in functions() {
        match dayfly::fuzz::arguments(call, &words, function) {
            Ok(values) => assert!(serde_json::to_string(&values).is_ok()),
            Err(error) => assert!(!error.is_empty()),
        }
    }
});
