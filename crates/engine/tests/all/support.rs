//! Guests, engines, and children of the test process.

use std::path::Path;
use std::process::Command;

use dayfly_engine::{Code, Engine, EngineConfig, MemoryLimiter, Mode};
use wasmtime::component::{ComponentNamedList, Instance, Lift, Linker, Lower};

/// The modes that differ in what they compile.
pub const MODES: [Mode; 4] = [Mode::Jit, Mode::Aot, Mode::Baseline, Mode::Interpreter];

/// A component of one core module, and one function that it lifts.
pub fn component(module: &str, function: &str, ty: &str) -> Vec<u8> {
    component_with("", module, function, ty)
}

/// The same with a type of its own.
pub fn component_with(own: &str, module: &str, function: &str, ty: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {own}
            (core module $m {module})
            (core instance $i (instantiate $m))
            (func (export "{function}") {ty} (canon lift (core func $i "{function}"))))"#
    );
    wat::parse_str(text).unwrap()
}

/// `answer: func() -> u32`
pub fn answer(value: u32) -> Vec<u8> {
    let module = format!(r#"(func (export "answer") (result i32) i32.const {value})"#);
    component(&module, "answer", "(result u32)")
}

/// As [`answer`], with so many bytes of initialised memory.
pub fn large_answer(value: u32, bytes: usize) -> Vec<u8> {
    let data = "x".repeat(bytes);
    let module = format!(
        r#"(memory {}) (data (i32.const 0) "{data}")
           (func (export "answer") (result i32) i32.const {value})"#,
        bytes.div_ceil(65536)
    );
    component(&module, "answer", "(result u32)")
}

/// `spin: func()`, which never returns.
pub fn endless() -> Vec<u8> {
    component(r#"(func (export "spin") (loop br 0))"#, "spin", "")
}

/// An engine of this mode, with a cache if there is a folder for it.
pub fn engine(mode: Mode, cache_dir: Option<&Path>) -> Engine {
    let config = EngineConfig {
        mode,
        cache_dir: cache_dir.map(Path::to_owned),
        max_instances: 16,
        ..EngineConfig::default()
    };
    Engine::new(config).unwrap()
}

/// The text of an error and all of its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Instantiates and calls without async.
pub fn call<P, R>(code: &Code, limit_bytes: u64, function: &str, params: P) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    let mut store = code.store(MemoryLimiter::new(limit_bytes));
    let linker = Linker::new(code.component().engine());
    let instance = linker.instantiate(&mut store, code.component())?;
    let function = instance.get_typed_func::<P, R>(&mut store, function)?;
    function.call(&mut store, params)
}

/// What `answer` answers.
pub fn ask(code: &Code) -> u32 {
    call::<(), (u32,)>(code, 1 << 30, "answer", ()).unwrap().0
}

/// Instantiates and calls `spin`.
pub async fn spin(code: &Code) -> wasmtime::Result<()> {
    let mut store = code.store(MemoryLimiter::new(1 << 30));
    let linker = Linker::new(code.component().engine());
    let instance: Instance = linker.instantiate_async(&mut store, code.component()).await?;
    let function = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    function.call_async(&mut store, ()).await
}

const CHILD: &str = "DAYFLY_TEST_CHILD";

/// A process that runs one test of this binary alone; [`child_argument`] is some there.
pub fn child(test: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, argument);
    command
}

/// The argument of this process, if it is a child.
pub fn child_argument() -> Option<String> {
    std::env::var(CHILD).ok()
}
