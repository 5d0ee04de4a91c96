//! Wasmtime with its own WASI and its own linker: what Dayfly is measured beside. A package of its own, since
//! compiling all of WASI for one more kind of store takes a minute, and this seldom changes.

use anyhow::Result;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{
    Error as HttpError, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks,
};

/// A handler that is ready to be instantiated.
pub struct Plain {
    /// What is known of it before it is instantiated.
    pub pre: ProxyPre<State>,
}

/// What one instance's store holds.
pub struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: default_hooks() }
    }
}

impl Plain {
    /// As Wasmtime comes: pooling allocator and copy-on-write memory.
    ///
    /// # Errors
    /// If it is no handler of wasi:http 0.2.
    pub fn as_it_comes(wasm: &[u8]) -> Result<Self> {
        Self::new(wasm, Config::new(), PoolingAllocationConfig::new())
    }

    /// The fastest settings that are known: those of Dayfly, without its bounds.
    ///
    /// # Errors
    /// If it is no handler of wasi:http 0.2.
    pub fn fastest(wasm: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false).wasm_component_model_async(false);
        let mut pool = PoolingAllocationConfig::new();
        // They run one after the other, and callgrind has little address space to give.
        pool.total_memories(8);
        pool.linear_memory_keep_resident(128 << 10).table_keep_resident(16 << 10);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes);
        }
        Self::new(wasm, config, pool)
    }

    fn new(wasm: &[u8], mut config: Config, pool: PoolingAllocationConfig) -> Result<Self> {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let pre = linker.instantiate_pre(&Component::new(&engine, wasm)?)?;
        Ok(Self { pre: ProxyPre::new(pre)? })
    }

    /// A store for one instance.
    pub fn store(&self) -> Store<State> {
        let wasi = WasiCtx::builder().build();
        let state = State { table: ResourceTable::new(), wasi, http: WasiHttpCtx::new() };
        Store::new(self.pre.engine(), state)
    }

    /// A fresh instance answers a request.
    ///
    /// # Errors
    /// If the guest traps, or answers nothing.
    pub async fn call(&self, request: hyper::Request<WasiBody>) -> Result<Answer> {
        let mut store = self.store();
        let (sender, answer) = oneshot::channel();
        let mut view = store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request)?;
        let outparam = view.new_response_outparam(sender)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await?;
        Ok(answer.await?)
    }
}

/// What a guest answers.
pub type Answer = Result<hyper::Response<WasiBody>, ErrorCode>;

/// The body of an answer.
///
/// # Errors
/// If the guest answers with an error, or its body ends early.
pub async fn body_of(answer: Answer) -> Result<Bytes> {
    let response = answer.map_err(|code| anyhow::anyhow!("the guest answers {code:?}"))?;
    let body = response.into_body().collect().await;
    Ok(body.map_err(|error: HttpError| anyhow::anyhow!("{error:?}"))?.to_bytes())
}
