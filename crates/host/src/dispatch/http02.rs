//! A handler of `wasi:http/incoming-handler@0.2`: one call of an instance, which is made for it unless
//! another one waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dayfly_capabilities::HostState;
use http::Request;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use super::failure::Failure;
use super::guest::Answer;
use super::keep::Start;

pub(super) async fn run(
    start: Start<Proxy>,
    pre: ProxyPre<HostState>,
    request: Request<WasiBody>,
    scheme: crate::Scheme,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let mut life = start.begin();
    let store = &mut life.store;
    let scheme = match scheme {
        crate::Scheme::Http => Scheme::Http,
        crate::Scheme::Https => Scheme::Https,
    };
    // Whether it answers is asked only where that decides what becomes of the instance.
    let answered = start.keep.as_ref().map(|_| Arc::<AtomicBool>::default());
    let has_answered = answered.clone();
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(scheme, request).map_err(Failure::Request)?;
    let answer = view
        .new_response_outparam_from_callback(move |answer| {
            if let Some(answered) = answered {
                answered.store(answer.is_ok(), Relaxed);
            }
            // Nobody listens any more if the request timed out; the guest need not know.
            let _ = sender.send(answer.map_err(|code| Failure::Guest(format!("{code:?}"))));
        })
        .map_err(Failure::Request)?;
    let called = async {
        let proxy = match life.instance.take() {
            Some(proxy) => proxy,
            None => start.code.instantiating(pre.instantiate_async(&mut *store)).await?,
        };
        proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, answer).await?;
        Ok(proxy)
    };
    let proxy = called.await.map_err(|error| Failure::of_call(error, store))?;
    life.instance = Some(proxy);
    match has_answered {
        Some(answered) if !answered.load(Relaxed) => start.end_unanswered(&life),
        _ => start.end(life),
    }
    Ok(())
}
