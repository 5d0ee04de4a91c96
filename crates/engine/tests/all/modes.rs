//! Each mode makes code that runs, and says what it cannot compile.

use dayfly_engine::{Engine, EngineConfig, EngineError, Flavour, Mode, Origin};

use crate::support::{MODES, answer, ask, chain, component, engine};

#[test]
fn every_mode_runs_a_component() {
    let folder = tempfile::tempdir().unwrap();
    for mode in MODES.into_iter().chain([Mode::Auto]) {
        let engine = engine(mode, Some(folder.path()));
        let code = engine.load(&answer(42)).unwrap();
        assert_eq!(ask(&code), 42, "{mode}");
        assert!(code.artifact_bytes() > 0);
    }
}

#[test]
fn jit_uses_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let engine = engine(Mode::Jit, Some(folder.path()));
        assert!(engine.cache().is_none());
        let code = engine.load(&answer(1)).unwrap();
        assert!(matches!(code.origin(), Origin::Compiled(_)));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn modes_of_one_compiler_share_artifacts_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let origin = |mode| engine(mode, Some(folder.path())).load(&answer(1)).unwrap().origin();
    assert!(matches!(origin(Mode::Aot), Origin::Compiled(_)));
    assert_eq!(origin(Mode::Auto), Origin::Cached);
    assert!(matches!(origin(Mode::Baseline), Origin::Compiled(_)));
    assert!(matches!(origin(Mode::Interpreter), Origin::Compiled(_)));
    for mode in [Mode::Aot, Mode::Baseline, Mode::Interpreter] {
        assert_eq!(origin(mode), Origin::Cached);
    }
}

#[test]
fn only_auto_has_a_baseline_and_it_keeps_nothing() {
    for mode in MODES {
        assert!(engine(mode, None).baseline(Flavour::SEQUENTIAL).unwrap().is_none(), "{mode}");
    }
    let folder = tempfile::tempdir().unwrap();
    let auto = engine(Mode::Auto, Some(folder.path()));
    let baseline = auto.baseline(Flavour::SEQUENTIAL).unwrap().expect("there is room for two");
    assert_eq!(baseline.mode(), Mode::Baseline);
    let stands_in = baseline.load(&answer(3)).unwrap();
    assert!(auto.load_cached(stands_in.digest(), stands_in.flavour()).unwrap().is_none());
    let code = auto.load(&answer(3)).unwrap();
    assert_eq!((ask(&stands_in), ask(&code)), (3, 3));
    drop(code);
    assert!(auto.load_cached(stands_in.digest(), stands_in.flavour()).unwrap().is_some());
}

/// CPython needs exceptions; garbage-collected languages need structs; tail calls come with both.
#[test]
fn baseline_names_what_it_lacks() {
    let modules = [
        r#"(tag $t) (func (export "f") (block $b (try_table (catch_all $b) (throw $t))))"#,
        r#"(type $s (struct (field i32))) (func (export "f") (drop (struct.new $s (i32.const 1))))"#,
        r#"(func $g) (func (export "f") (return_call $g))"#,
    ];
    for module in modules {
        let wasm = component(module, "f", "");
        let error = engine(Mode::Baseline, None).load(&wasm).unwrap_err();
        assert!(matches!(error, EngineError::Compile { mode: Mode::Baseline, .. }), "{error:?}");
        assert!(error.to_string().contains("hint: it lacks garbage collection"), "{error}");
        for mode in [Mode::Jit, Mode::Interpreter] {
            let code = engine(mode, None).load(&wasm).unwrap();
            crate::support::call::<(), ()>(&code, 1 << 30, "f", ()).unwrap();
        }
    }
}

#[test]
fn precompiled_bytes_are_an_artifact() {
    let artifact = engine(Mode::Aot, None).precompile(&answer(1)).unwrap();
    assert_eq!(artifact[..4], *b"\x7fELF");
}

#[test]
fn what_is_no_component_is_refused() {
    let engine = engine(Mode::Jit, None);
    let module = wat::parse_str("(module)").unwrap();
    let error = engine.load(&module).unwrap_err();
    assert_eq!(error.to_string(), "not a WebAssembly component: a core module");
    for bytes in [&b""[..], b"\0asm", b"(component)", &answer(1)[..40]] {
        let error = engine.load(bytes).unwrap_err();
        let refused = matches!(error, EngineError::NotAComponent { .. } | EngineError::Invalid(_));
        assert!(refused, "{}", chain(&error));
    }
}

#[test]
fn an_invalid_component_is_the_tenant_s_fault() {
    for mode in MODES {
        // The function is said to answer a number, and has none.
        let wasm = component(r#"(func (export "f") (result i32))"#, "f", "(result u32)");
        let error = engine(mode, None).load(&wasm).unwrap_err();
        assert!(matches!(error, EngineError::Invalid(_)), "{mode}: {error:?}");
        assert!(chain(&error).contains("type mismatch"), "{}", chain(&error));
    }
}

#[test]
fn threads_and_64_bit_memories_are_refused() {
    for module in ["(memory 1 1 shared)", "(memory i64 1)"] {
        let wasm = component(&format!(r#"{module} (func (export "f"))"#), "f", "");
        let error = engine(Mode::Jit, None).load(&wasm).unwrap_err();
        assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
    }
}

#[test]
fn code_in_use_is_shared() {
    let engine = engine(Mode::Jit, None);
    let first = engine.load(&answer(1)).unwrap();
    let second = engine.load(&answer(1)).unwrap();
    assert_eq!(first.origin(), second.origin());
    let range = |code: &dayfly_engine::Code| code.component().image_range();
    assert_eq!(range(&first), range(&second));
}

#[test]
fn ten_thousand_instances_fit_two_flavours() {
    let engine =
        Engine::new(EngineConfig { max_instances: 10_000, ..EngineConfig::default() }).unwrap();
    // Those that count instructions are for few, and take what address space is left.
    for flavour in [Flavour::SEQUENTIAL, Flavour::CONCURRENT] {
        assert_eq!(engine.max_instances(flavour).unwrap(), 10_000);
    }
}
