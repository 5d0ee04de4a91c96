//! What `wasm-opt` does to a component of each language: its bytes, its machine code, the instructions
//! of WebAssembly that a fresh instance executes for one event, and, one call of each in turn, the time
//! that takes. The instructions are exact on a busy machine too; of the times, read the ratios.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use dayfly_bench_plain::body_of;
use dayfly_capabilities::wasi::Invocation;
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind, Stdio};
use dayfly_capabilities::{Grants, HostState, Linkers};
use dayfly_engine::{Code, Engine, EngineConfig, Metered, Mode};
use dayfly_forge::fetch::{self, FetchConfig, Registries};
use dayfly_forge::optimise::{self, OPTIMISER};
use dayfly_forge::{Job, OptimiseTerms, Optimiser, script};
use dayfly_model::{App, Executor, Goal, Limits};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use wasmtime::component::InstancePre;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::stats::median;

/// Languages, and guests in them.
const CASES: [(&str, &str); 4] = [
    ("Rust", "rust-hello"),
    ("Go", "go-command"),
    ("JavaScript", "js-componentize"),
    ("Python", "python-http"),
];

/// Calls of each, one in turn.
const ROUNDS: usize = 200;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Optimise {
    /// Only these languages
    #[arg(long = "only", value_name = "LANGUAGE")]
    only: Vec<String>,
    /// Folder of results
    #[arg(long, default_value = "bench/results")]
    output: PathBuf,
}

/// Measures, and writes `optimise.md`. The first time, large guests take many minutes.
pub(crate) fn run(root: &Path, options: &Optimise) -> Result<()> {
    let engine = Engine::new(EngineConfig {
        mode: Mode::Aot,
        cache_dir: Some(root.join("target/bench/optimise")),
        max_instances: 8,
        ..EngineConfig::default()
    })?;
    let tool = tool(root)?;
    // So that the tool's own code is compiled before anything is measured.
    let terms = OptimiseTerms::new(Goal::Size);
    let optimiser = Optimiser { engine: &engine, tool: Some(&tool), terms: &terms };
    optimise::optimise(&optimiser, b"\0asm\x01\0\0\0".to_vec())?;
    let mut text = "# Optimising\n\nGuests before and after `wasm-opt`: their size, their machine code, \
                    what a fresh instance executes for one event (instructions of WebAssembly, counted), \
                    and how long that takes, its start included (of before; medians of calls that \
                    alternate). Last, the CPU time that optimising took.\n\n| | | bytes | of before | machine code | of before | instructions | \
                    of before | time | optimising |\n| --- | --- | --- | --- | --- | --- | --- | --- | \
                    --- | --- |\n"
        .to_owned();
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|it| it == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (language, guest) in CASES.into_iter().filter(|(language, _)| wanted(language)) {
        let before = component(root, guest)?;
        let was = Guest::new(&engine, &before)?;
        let executed = runtime.block_on(was.executed())?;
        row(&mut text, language, "before", [&was, &was], [executed; 2], None, None)?;
        for goal in [Goal::Size, Goal::Speed] {
            let terms =
                OptimiseTerms { cpu: Duration::from_secs(3600), ..OptimiseTerms::new(goal) };
            let optimiser = Optimiser { engine: &engine, tool: Some(&tool), terms: &terms };
            let began = cpu_seconds()?;
            let optimised = optimise::optimise(&optimiser, before.clone())?;
            let took = cpu_seconds()? - began;
            let is = Guest::new(&engine, &optimised.wasm)?;
            let now = runtime.block_on(is.executed())?;
            let ratio = runtime.block_on(alternating(&was, &is))?;
            let what = match optimised.measured.is_better() {
                true => goal.as_str().to_owned(),
                false => format!("{} (dropped)", goal.as_str()),
            };
            row(&mut text, language, &what, [&was, &is], [executed, now], Some(ratio), Some(took))?;
        }
    }
    print!("{text}");
    std::fs::write(root.join(&options.output).join("optimise.md"), text)?;
    Ok(())
}

fn row(
    text: &mut String,
    language: &str,
    what: &str,
    [was, is]: [&Guest; 2],
    [before, after]: [u64; 2],
    ratio: Option<f64>,
    took: Option<f64>,
) -> Result<()> {
    let of = |after: u64, before: u64| after as f64 / before as f64;
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let took = took.map_or_else(String::new, |took| format!("{took:.1} s"));
    writeln!(
        text,
        "| {language} | {what} | {} | {:.2} | {} | {:.2} | {after} | {:.2} | {ratio} | {took} |",
        is.bytes,
        of(is.bytes, was.bytes),
        is.code_bytes,
        of(is.code_bytes, was.code_bytes),
        of(after, before),
    )?;
    Ok(())
}

/// The CPU time of this thread, which is the one that the tool runs on.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = stat.split(' ').next().context("no time")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// The tool, which is fetched once.
fn tool(root: &Path) -> Result<PathBuf> {
    let config = FetchConfig {
        folder: root.join("target/interpreters"),
        patience: fetch::PATIENCE,
        registries: Registries::default(),
        credentials: None,
    };
    let given = std::env::var("DAYFLY_INTERPRETERS").ok();
    script::fetch(&OPTIMISER, &config, given.as_deref(), |_| {}).map_err(|error| anyhow!(error))
}

/// A guest as a component, as the pipeline has it before it would be optimised.
fn component(root: &Path, guest: &str) -> Result<Vec<u8>> {
    let file = root.join("target/guests").join(guest).with_extension("wasm");
    let app = App::for_module(&file);
    let component = app.components.values().next().context("a bare file is one component")?;
    let opened_by = dayfly_capabilities::opened_by;
    let job = Job::new(&app, component, &Executor::Detected, &[], opened_by);
    let wasm = dayfly_forge::source(&job).with_context(|| {
        format!("`{}` is missing; make it with `cargo xtask guests`", file.display())
    })?;
    Ok(dayfly_forge::componentise::componentise(wasm, None, None)?.0)
}

/// A component that can be called, and the same with its instructions counted.
struct Guest {
    bytes: u64,
    code_bytes: u64,
    plain: Linked,
    counted: Linked,
    grants: Arc<Grants>,
    is_command: bool,
}

struct Linked {
    code: Code,
    pre: InstancePre<HostState>,
}

impl Linked {
    fn new(code: Code) -> Result<Self> {
        let pre = Linkers::default().link(&code)?;
        Ok(Self { code, pre })
    }
}

/// What a command is told of its request (RFC 3875).
const REQUEST: [(&str, &str); 5] = [
    ("REQUEST_METHOD", "GET"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SCRIPT_NAME", "/"),
    ("PATH_INFO", ""),
    ("HTTP_HOST", "bench"),
];

/// Nobody reads what the guest says.
struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _: OutputKind, _: &str) {}
}

impl Guest {
    fn new(engine: &Engine, component: &[u8]) -> Result<Self> {
        let world = dayfly_forge::inspect(component)?;
        let is_command = world.exports.iter().any(|export| export.raw.starts_with("wasi:cli/run"));
        let plain = engine.load(component)?;
        let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
        let hosts = dayfly_model::outbound::OutboundHosts::default();
        let grants = Grants::for_command("bench", limits, Vec::new(), &[], hosts, Arc::new(NoLog))?;
        Ok(Self {
            bytes: component.len() as u64,
            code_bytes: plain.artifact_bytes(),
            plain: Linked::new(plain)?,
            counted: Linked::new(engine.load_counted(component)?)?,
            grants: Arc::new(grants),
            is_command,
        })
    }

    /// How many instructions one event takes.
    async fn executed(&self) -> Result<u64> {
        let left = self.call(&self.counted).await?.context("its instructions are counted")?;
        Ok(u64::MAX - left)
    }

    /// An event in a fresh instance; the fuel that is left.
    async fn call(&self, linked: &Linked) -> Result<Option<u64>> {
        let answered = match self.is_command {
            true => self.run(linked).await,
            false => self.handle(linked).await,
        };
        answered.context("a guest does not answer")
    }

    async fn run(&self, linked: &Linked) -> Result<Option<u64>> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = REQUEST.iter().map(own).collect();
        let invocation = Invocation { arguments: vec!["bench".to_owned()], environment };
        let stdio = Stdio::Log(Arc::new(NoLog));
        let mut store =
            linked.code.store(HostState::for_command(self.grants.clone(), stdio, invocation));
        let guest = async {
            let made = linked.pre.instantiate_async(&mut store);
            let instance = linked.code.instantiating(made).await?;
            let command = Command::new(&mut store, &instance)?;
            command.wasi_cli_run().call_run(&mut store).await
        };
        match Metered::new(Duration::from_secs(60), Box::pin(guest)).await {
            Ok(ran) => ensure!(ran.is_ok(), "a command fails"),
            // Go ends so.
            Err(error) if error.downcast_ref().is_some_and(|exit: &I32Exit| exit.0 == 0) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(store.get_fuel().ok())
    }

    async fn handle(&self, linked: &Linked) -> Result<Option<u64>> {
        let (sender, answer) = oneshot::channel();
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let builder = hyper::Request::get("/").header("host", "bench");
        let request: hyper::Request<WasiBody> = builder.body(body)?;
        let mut store = linked.code.store(HostState::new(self.grants.clone()));
        let guest = async {
            let mut view = store.data_mut().http();
            let request = view.new_incoming_request(Scheme::Http, request)?;
            let outparam = view.new_response_outparam(sender)?;
            let made = linked.pre.instantiate_async(&mut store);
            let instance = linked.code.instantiating(made).await?;
            let proxy = Proxy::new(&mut store, &instance)?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await
        };
        Metered::new(Duration::from_secs(60), Box::pin(guest)).await?;
        ensure!(!body_of(answer.await?).await?.is_empty(), "a guest answers nothing");
        Ok(store.get_fuel().ok())
    }
}

/// How long one takes of what the other takes.
async fn alternating(was: &Guest, is: &Guest) -> Result<f64> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        // Neither is always the first.
        for at in [round % 2, 1 - round % 2] {
            let guest = [was, is][at];
            let began = Instant::now();
            guest.call(&guest.plain).await?;
            times[at].push(began.elapsed().as_secs_f64());
        }
    }
    let [before, after] = times.map(median);
    Ok(after / before)
}
