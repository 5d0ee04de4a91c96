//! `wasm-opt` in the sandbox: real guests become smaller and stay what they are; hostile ones are stopped.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use dayfly_engine::{Engine, EngineConfig, Mode};
use dayfly_forge::optimise::{self, OPTIMISER};
use dayfly_forge::{
    Debug, FreezeTerms, Freezer, FrozenFolder, Job, OptimiseError, OptimiseTerms, Optimised,
    Optimiser, Phase, PhaseReport, prepare_bytes, prepare_unshaped,
};
use dayfly_model::{Executor, Goal, Source};
use dayfly_testing::Guest;
use wasmparser::{Parser, Payload};

use crate::script::running::fetched;
use crate::support::{assert_valid, module_of};

/// Compiles `wasm-opt` once, for all tests of this tree.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let config = EngineConfig {
            mode: Mode::Aot,
            cache_dir: Some(dayfly_testing::workspace().join("target/test-cache")),
            max_instances: 8,
            ..EngineConfig::default()
        };
        Engine::new(config).expect("an engine")
    })
}

fn tool() -> &'static PathBuf {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| fetched(&OPTIMISER))
}

fn optimised_with(wasm: Vec<u8>, terms: &OptimiseTerms) -> Result<Optimised, OptimiseError> {
    optimise::optimise(&Optimiser { engine: engine(), tool: Some(tool()), terms }, wasm)
}

fn optimised(wasm: Vec<u8>, goal: Goal) -> Result<Optimised, OptimiseError> {
    optimised_with(wasm, &OptimiseTerms::new(goal))
}

/// What an error and its causes say.
fn said(error: &OptimiseError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn names(of: &[dayfly_forge::InterfaceName]) -> Vec<&str> {
    of.iter().map(|name| name.raw.as_str()).collect()
}

#[test]
fn guests_of_several_compilers_become_smaller_and_stay_what_they_are() {
    for guest in ["rust-hello", "c-http", "zig-command", "rust-composed", "rust-p3-echo"] {
        let before = Guest::bytes(guest);
        let world = prepare_bytes(guest, before.clone()).unwrap();
        let component = optimised(before.clone(), Goal::Size).unwrap_or_else(|error| {
            panic!("{guest}: {}", said(&error));
        });
        assert!(component.measured.is_better(), "{guest}: {}", component.measured);
        assert!(component.wasm.len() < before.len());
        assert_valid(&component.wasm);
        let after = prepare_bytes(guest, component.wasm).unwrap();
        assert_eq!(names(&after.world.exports), names(&world.world.exports), "{guest}");
        // What a module imports and never calls may go.
        let imports = names(&world.world.imports);
        let left = names(&after.world.imports);
        assert!(left.iter().all(|import| imports.contains(import)), "{guest}: {left:?}");
        // What only connects modules is as it was, so the shim is still found.
        let fused = |phases: &[PhaseReport]| {
            phases.iter().any(|report| report.phase == Phase::Fuse && report.changed)
        };
        assert_eq!(fused(&after.phases), fused(&world.phases), "{guest}");
    }
}

#[test]
fn speed_is_less_machine_code() {
    let component = optimised(Guest::bytes("rust-hello"), Goal::Speed).unwrap();
    let [before, after] = component.measured.code_bytes.expect("machine code is compared");
    assert!(before > 10_000 && after > 10_000, "{}", component.measured);
    assert_eq!(component.measured.is_better(), after < before);
}

#[test]
fn the_same_gives_the_same_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    // The tool's code is compiled, so all there is to see is what was kept.
    let shared = dayfly_testing::workspace().join("target/test-cache");
    let config = EngineConfig {
        mode: Mode::Aot,
        cache_dir: Some(shared),
        max_instances: 8,
        ..EngineConfig::default()
    };
    let other = Engine::new(config).unwrap();
    let terms = OptimiseTerms::new(Goal::Size);
    let wasm = Guest::bytes("c-command");
    let first = optimised(wasm.clone(), Goal::Size).unwrap();
    // Without a tool, only what was kept can be had.
    let kept = Optimiser { engine: &other, tool: None, terms: &terms };
    assert_eq!(optimise::optimise(&kept, wasm.clone()).unwrap(), first);
    let fresh =
        EngineConfig { cache_dir: Some(folder.path().to_owned()), ..other.config().clone() };
    let fresh = Engine::new(fresh).unwrap();
    let none = Optimiser { engine: &fresh, tool: None, terms: &terms };
    let error = optimise::optimise(&none, wasm).unwrap_err();
    assert!(matches!(error, OptimiseError::NotFetched), "{error}");
}

fn custom_sections(wasm: &[u8]) -> Vec<String> {
    let custom = Parser::new(0).parse_all(wasm).filter_map(|payload| match payload.unwrap() {
        Payload::CustomSection(custom) => Some(custom.name().to_owned()),
        _ => None,
    });
    custom.collect()
}

#[test]
fn names_are_kept_by_choice() {
    let wasm = wat::parse_str(
        r#"(module (import "a" "b" (func $imported))
            (func $inner (call $imported) (call $imported) (call $imported))
            (func (export "f") (call $inner) (drop (i32.add (i32.const 1) (i32.const 2))))
            (func (export "g") (call $inner))
            (@custom "producers" "\00"))"#,
    )
    .unwrap();
    let terms = OptimiseTerms::new(Goal::Size);
    let kept = OptimiseTerms { debug: Debug::Kept, ..terms.clone() };
    let named = optimised_with(wasm.clone(), &kept).unwrap();
    assert!(named.measured.is_better(), "{}", named.measured);
    assert_eq!(custom_sections(&named.wasm), ["name", "producers"]);
    let stripped = optimised_with(wasm, &terms).unwrap();
    assert_eq!(custom_sections(&stripped.wasm), [""; 0]);
    assert!(stripped.wasm.len() < named.wasm.len());
}

#[test]
fn core_modules_keep_the_world_that_they_embed() {
    let module = module_of(
        "package test:test; world w { import a: func(x: string); export b: func() -> list<u32>; }",
        "w",
    );
    let stripped = optimised(module.clone(), Goal::Size).unwrap();
    assert!(stripped.measured.is_better(), "{}", stripped.measured);
    let worlds = |wasm: &[u8]| -> Vec<_> {
        custom_sections(wasm).into_iter().filter(|it| it.starts_with("component-type")).collect()
    };
    assert_eq!(worlds(&stripped.wasm), worlds(&module));
    let component = prepare_bytes("test", stripped.wasm).unwrap();
    assert_eq!(names(&component.world.exports), ["b"]);
}

#[test]
fn what_is_not_better_is_dropped() {
    let wasm = wat::parse_str(r#"(module (func (export "f")))"#).unwrap();
    let same = optimised(wasm.clone(), Goal::Size).unwrap();
    assert!(!same.measured.is_better());
    assert_eq!(same.wasm, wasm);
    assert!(same.measured.to_string().starts_with("dropped, because"), "{}", same.measured);
}

#[test]
fn no_proposal_is_used_that_was_not() {
    // Without names for them, `wasm-opt` writes neither sign extensions nor bulk memory.
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "sign") (param i32) (result i32)
                (i32.shr_s (i32.shl (local.get 0) (i32.const 24)) (i32.const 24)))
            (func (export "dead") (param i32) (result i32)
                (drop (i32.mul (local.get 0) (i32.const 3))) (local.get 0)))"#,
    )
    .unwrap();
    let optimised = optimised(wasm, Goal::Size).unwrap();
    assert!(optimised.measured.is_better());
    let features = wasmparser::WasmFeatures::MVP;
    let mvp = wasmparser::Validator::new_with_features(features).validate_all(&optimised.wasm);
    mvp.expect("it is of the first version of WebAssembly");
}

#[test]
fn what_is_not_valid_is_refused() {
    let mut damaged = Guest::bytes("c-command");
    damaged.truncate(damaged.len() / 2);
    let wrong = b"\0asm\x01\0\0\0\x0a\x04\x01\x02\0\x0b".to_vec();
    for wasm in [damaged, wrong, b"\0asm\x07\0\x09\0".to_vec(), Vec::new()] {
        let error = optimised(wasm, Goal::Size).unwrap_err();
        assert!(matches!(error, OptimiseError::Invalid(_)), "{}", said(&error));
    }
}

#[test]
fn what_takes_too_long_is_stopped_at_its_bound() {
    let terms =
        OptimiseTerms { cpu: Duration::from_millis(1500), ..OptimiseTerms::new(Goal::Speed) };
    let error = optimised_with(Guest::bytes("go-command"), &terms).unwrap_err();
    assert!(matches!(error, OptimiseError::Cpu { .. }), "{}", said(&error));
    let text = error.to_string();
    assert_eq!(text, "wasm-opt used more than 1 s of CPU time, at core module 0");
    assert!(error.hint().unwrap().contains("--timeout"));
}

#[test]
fn what_wants_too_much_memory_is_stopped_at_its_bound() {
    let terms = OptimiseTerms { memory_bytes: 24 << 20, ..OptimiseTerms::new(Goal::Speed) };
    let error = optimised_with(Guest::bytes("go-command"), &terms).unwrap_err();
    assert!(matches!(error, OptimiseError::Memory { .. }), "{}", said(&error));
}

/// Deep enough that whoever recurses on it needs more stack than there is.
#[test]
fn what_is_nested_too_deep_ends_the_tool_and_nothing_else() {
    let depth = 200_000;
    // Of a text, its parser would recurse.
    let mut body = vec![0];
    body.extend([0x02, 0x40].repeat(depth));
    body.extend([0x0b].repeat(depth + 1));
    let mut module = wasm_encoder::Module::new();
    let mut types = wasm_encoder::TypeSection::new();
    types.ty().function([], []);
    let mut functions = wasm_encoder::FunctionSection::new();
    functions.function(0);
    let mut code = wasm_encoder::CodeSection::new();
    code.raw(&body);
    module.section(&types).section(&functions).section(&code);
    let wasm = module.finish();
    match optimised(wasm.clone(), Goal::Size) {
        // It may be that it recurses on nothing there.
        Ok(optimised) => assert_valid(&optimised.wasm),
        Err(error) => {
            let is_clear = matches!(
                error,
                OptimiseError::Trapped { .. }
                    | OptimiseError::Refused { .. }
                    | OptimiseError::Invalid(_)
            );
            assert!(is_clear, "{}", said(&error));
        }
    }
    assert!(optimised(Guest::bytes("c-command"), Goal::Size).is_ok());
}

/// The bytes of the code sections of a component's modules.
fn code(component: &[u8]) -> Vec<Vec<u8>> {
    let sections = Parser::new(0).parse_all(component).filter_map(|payload| {
        let Payload::CodeSectionStart { range, .. } = payload.unwrap() else { return None };
        Some(component[range].to_vec())
    });
    sections.collect()
}

#[test]
fn apps_that_are_frozen_share_the_code_that_was_optimised() {
    let terms = OptimiseTerms::new(Goal::Size);
    let source = Source::File(Guest::path("c-frozen"));
    let made = |word: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("words")).unwrap();
        fs::write(folder.path().join("words/list.txt"), word).unwrap();
        let freezing = FreezeTerms {
            folders: vec![FrozenFolder {
                host: folder.path().join("words"),
                guest: "/words".to_owned(),
            }],
            ..FreezeTerms::default()
        };
        let freezer = Freezer { engine: engine(), terms: &freezing, scratch: folder.path() };
        let job = Job {
            component: "test",
            root: folder.path(),
            source: &source,
            build_commands: &[],
            executor: &Executor::Detected,
            composition: None,
            fetched: None,
            freezer: Some(freezer),
            optimiser: Some(Optimiser { engine: engine(), tool: Some(tool()), terms: &terms }),
            observer: None,
        };
        let made = prepare_unshaped(&job).unwrap();
        let optimised = made.phases.iter().find(|report| report.phase == Phase::Optimise).unwrap();
        assert!(optimised.changed, "{optimised:?}");
        let frozen = made.phases.iter().find(|report| report.phase == Phase::Freeze).unwrap();
        assert!(frozen.spared.is_some());
        made.wasm
    };
    let (one, other) = (made("one"), made("other"));
    assert!(one != other);
    assert_eq!(code(&one), code(&other));
}
