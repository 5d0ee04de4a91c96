//! A fresh instance and one call without any network, beside Wasmtime as it comes: pooling
//! allocator and copy-on-write memory, its own WASI and its own linker.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind};
use dayfly_capabilities::{Grants, HostState, Linkers};
use dayfly_engine::{Code, EngineConfig, Flavour, Metered};
use dayfly_model::Limits;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{
    Error as HttpError, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks,
};

/// Calls between two looks at the clock.
const BATCH: u32 = 500;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct InProcess {
    /// Batches of 500 calls, of each contender in turn
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Measure only this contender, for a profiler
    #[arg(long, value_parser = ["wasmtime", "dayfly"])]
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
    fn name(&self) -> &'static str;
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
    let (plain, dayfly) = (Plain::new(wasm)?, Dayfly::new(wasm)?);
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let mut times: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..options.rounds {
        if wanted(plain.name()) {
            batch(&plain, &mut times[0]).await?;
        }
        if wanted(dayfly.name()) {
            batch(&dayfly, &mut times[1]).await?;
        }
    }
    let mut text = format!(
        "# In process\n\nA fresh instance of `{}`, in batches of {BATCH}, {} of each in turn; medians.\n\n\
         | | instantiate and drop | the whole call | of Wasmtime's |\n| --- | --- | --- | --- |\n",
        options.guest.file_name().unwrap_or_default().display(),
        options.rounds
    );
    let medians = times.map(|kinds| kinds.map(median));
    for (name, [instance, call]) in [plain.name(), dayfly.name()].iter().zip(medians) {
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

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
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
        ensure!(!contender.call().await?.is_empty(), "{} answers nothing", contender.name());
    }
    times[1].push(since(start));
    Ok(())
}

fn request() -> Result<hyper::Request<WasiBody>> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let builder = hyper::Request::get("/").header("host", "bench").header("user-agent", "bench");
    Ok(builder.body(body)?)
}

type Answer = Result<hyper::Response<WasiBody>, ErrorCode>;

async fn whole(answer: oneshot::Receiver<Answer>) -> Result<Bytes> {
    let response = answer.await?.map_err(|code| anyhow::anyhow!("the guest answers {code:?}"))?;
    let body = response.into_body().collect().await;
    Ok(body.map_err(|error: HttpError| anyhow::anyhow!("{error:?}"))?.to_bytes())
}

/// Wasmtime as it comes.
struct Plain {
    pre: ProxyPre<PlainState>,
}

struct PlainState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
}

impl WasiView for PlainState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for PlainState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: default_hooks() }
    }
}

impl Plain {
    fn new(wasm: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        let pool = PoolingAllocationConfig::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let pre = linker.instantiate_pre(&Component::new(&engine, wasm)?)?;
        Ok(Self { pre: ProxyPre::new(pre)? })
    }

    fn store(&self) -> Store<PlainState> {
        let wasi = WasiCtx::builder().build();
        let state = PlainState { table: ResourceTable::new(), wasi, http: WasiHttpCtx::new() };
        Store::new(self.pre.engine(), state)
    }
}

impl Contender for Plain {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    async fn instantiate(&self) -> Result<()> {
        self.pre.instantiate_async(&mut self.store()).await?;
        Ok(())
    }

    async fn call(&self) -> Result<Bytes> {
        let mut store = self.store();
        let (sender, answer) = oneshot::channel();
        let mut view = store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request()?)?;
        let outparam = view.new_response_outparam(sender)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await?;
        whole(answer).await
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
        ensure!(Flavour::of(wasm)? == Flavour::Sequential, "the guest is not one of WASI 0.2");
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
    fn name(&self) -> &'static str {
        "dayfly"
    }

    async fn instantiate(&self) -> Result<()> {
        let mut store = self.code.store(HostState::new(self.grants.clone()));
        self.pre.instantiate_async(&mut store).await?;
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
            let proxy = self.pre.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await
        });
        Metered::new(Duration::from_secs(1), guest).await?;
        whole(answer).await
    }
}
