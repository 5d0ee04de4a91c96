//! A fresh instance and one call without any network, beside Wasmtime as it comes: pooling
//! allocator and copy-on-write memory, its own WASI and its own linker.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_bench_plain::{Plain, body_of};
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind};
use dayfly_capabilities::{Grants, HostState, Linkers};
use dayfly_engine::{Code, EngineConfig, Flavour, Metered};
use dayfly_model::Limits;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::stats::median;

/// Wasmtime as it comes, Wasmtime with Dayfly's settings but none of its bounds, and Dayfly.
const CONTENDERS: [&str; 3] = ["wasmtime", "fastest", "dayfly"];

/// Calls between two looks at the clock.
const BATCH: u32 = 500;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct InProcess {
    /// Batches of 500 calls, of each contender in turn
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Measure only this contender, for a profiler
    #[arg(long, value_parser = CONTENDERS)]
    only: Option<String>,
    /// The guest: a `wasi:http` 0.2 handler
    #[arg(long, default_value = "target/guests/rust-hello.wasm")]
    guest: PathBuf,
    /// Folder of results; nothing is written unless told
    #[arg(long)]
    output: Option<PathBuf>,
}

/// What can be measured: instances that do nothing, and instances that answer.
trait Contender {
    async fn instantiate(&self) -> Result<()>;
    async fn call(&self) -> Result<Bytes>;
}

/// Measures, and prints a table.
pub(crate) fn run(root: &Path, options: &InProcess) -> Result<()> {
    let guest = root.join(&options.guest);
    let wasm = std::fs::read(&guest).with_context(|| {
        format!("`{}` is missing; make it with `cargo xtask guests`", guest.display())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&wasm, options, root))
}

async fn measure(wasm: &[u8], options: &InProcess, root: &Path) -> Result<()> {
    let (plain, fastest, dayfly) =
        (Plain::as_it_comes(wasm)?, Plain::fastest(wasm)?, Dayfly::new(wasm)?);
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let mut times: [[Vec<f64>; 2]; 3] = Default::default();
    for _ in 0..options.rounds {
        if wanted("wasmtime") {
            batch(&plain, &mut times[0]).await?;
        }
        if wanted("fastest") {
            batch(&fastest, &mut times[1]).await?;
        }
        if wanted("dayfly") {
            batch(&dayfly, &mut times[2]).await?;
        }
    }
    let mut text = format!(
        "# In process\n\nA fresh instance of `{}`, in batches of {BATCH}, {} of each in turn; medians.\n\n\
         | | instantiate and drop | the whole call | of Wasmtime's |\n| --- | --- | --- | --- |\n",
        options.guest.file_name().unwrap_or_default().display(),
        options.rounds
    );
    let medians = times.map(|kinds| kinds.map(median));
    for (name, [instance, call]) in CONTENDERS.iter().zip(medians) {
        writeln!(
            text,
            "| {name} | {instance:.1} µs | {call:.1} µs | {:.2} |",
            call / medians[0][1]
        )?;
    }
    if let Some(folder) = &options.output {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("in-process.md"), &text)?;
    }
    print!("{text}");
    Ok(())
}

/// Adds the mean time of a call to each list, in microseconds.
async fn batch(contender: &impl Contender, times: &mut [Vec<f64>; 2]) -> Result<()> {
    let since = |start: Instant| start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH);
    let start = Instant::now();
    for _ in 0..BATCH {
        contender.instantiate().await?;
    }
    times[0].push(since(start));
    let start = Instant::now();
    for _ in 0..BATCH {
        ensure!(!contender.call().await?.is_empty(), "a guest answers nothing");
    }
    times[1].push(since(start));
    Ok(())
}

fn request() -> Result<hyper::Request<WasiBody>> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let builder = hyper::Request::get("/").header("host", "bench").header("user-agent", "bench");
    Ok(builder.body(body)?)
}

impl Contender for Plain {
    async fn instantiate(&self) -> Result<()> {
        self.pre.instantiate_async(&mut self.store()).await?;
        Ok(())
    }

    async fn call(&self) -> Result<Bytes> {
        // By its own name: this trait's method has the same.
        body_of(Plain::call(self, request()?).await?).await
    }
}

/// Dayfly's engine, linker, state and meter.
struct Dayfly {
    code: Code,
    pre: ProxyPre<HostState>,
    grants: Arc<Grants>,
}

/// Nobody reads what the guest logs.
struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _: OutputKind, _: &str) {}
}

impl Dayfly {
    fn new(wasm: &[u8]) -> Result<Self> {
        let engine = dayfly_engine::Engine::new(EngineConfig::default())?;
        ensure!(Flavour::of(wasm)? == Flavour::SEQUENTIAL, "the guest is not one of WASI 0.2");
        let code = engine.load(wasm)?;
        let pre = ProxyPre::new(Linkers::default().link(&code)?)?;
        let hosts = dayfly_model::outbound::OutboundHosts::default();
        let log = Arc::new(NoLog);
        let limits = Limits::default();
        let grants = Grants::for_command("bench", limits, Vec::new(), &[], hosts, log)?;
        Ok(Self { code, pre, grants: Arc::new(grants) })
    }
}

impl Contender for Dayfly {
    async fn instantiate(&self) -> Result<()> {
        let mut store = self.code.store(HostState::new(self.grants.clone()));
        self.code.instantiating(self.pre.instantiate_async(&mut store)).await?;
        Ok(())
    }

    async fn call(&self) -> Result<Bytes> {
        let (sender, answer) = oneshot::channel();
        let request = request()?;
        let guest = Box::pin(async move {
            let mut store = self.code.store(HostState::new(self.grants.clone()));
            let mut view = store.data_mut().http();
            let request = view.new_incoming_request(Scheme::Http, request)?;
            let outparam = view.new_response_outparam(sender)?;
            let made = self.pre.instantiate_async(&mut store);
            let proxy = self.code.instantiating(made).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await
        });
        Metered::new(Duration::from_secs(1), guest).await?;
        body_of(answer.await?).await
    }
}
