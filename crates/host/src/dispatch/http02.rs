//! A handler of `wasi:http/incoming-handler@0.2`: one instance, one call.

use dayfly_capabilities::HostState;
use dayfly_engine::Code;
use http::Request;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use super::failure::Failure;
use super::guest::Answer;

pub(super) async fn run(
    code: Code,
    pre: ProxyPre<HostState>,
    state: HostState,
    request: Request<WasiBody>,
    scheme: crate::Scheme,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let mut store = code.store(state);
    let scheme = match scheme {
        crate::Scheme::Http => Scheme::Http,
        crate::Scheme::Https => Scheme::Https,
    };
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(scheme, request).map_err(Failure::Request)?;
    let answer = view
        .new_response_outparam_from_callback(move |answer| {
            // Nobody listens any more if the request timed out; the guest need not know.
            let _ = sender.send(answer.map_err(|code| Failure::Guest(format!("{code:?}"))));
        })
        .map_err(Failure::Request)?;
    let called = async {
        let proxy = pre.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, answer).await
    };
    let called = called.await;
    called.map_err(|error| Failure::of_call(error, &mut store))
}
