//! Requests without a host: they are the app's own, as `http://self` writes it. wasmtime-wasi-http
//! makes no URI of them, so they get that host before it sees them. SDKs of Spin that must name an
//! authority name one of a port alone (`:80`).

use http::uri::{Authority, Scheme};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{Host as Types02, OutgoingRequest};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::http::client::HostWithStore;
use wasmtime_wasi_http::p3::bindings::http::types::Host as Types03;
use wasmtime_wasi_http::{RequestOptions, WasiHttp, WasiHttpView as _};

use crate::HostState;

/// The host that stands for the app itself.
const SELF: &str = "self";

type Handle = (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>);

/// Gives a request of WASI 0.2 a host, if it has none.
pub(crate) fn complete(
    table: &mut ResourceTable,
    request: &Resource<OutgoingRequest>,
) -> wasmtime::Result<()> {
    let request = table.get_mut(request)?;
    if request.authority.as_deref().is_none_or(|it| it.is_empty() || it.starts_with(':')) {
        request.authority = Some(SELF.to_owned());
    }
    Ok(())
}

pub(super) fn link02(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, HostState>, (request, options): Handle| {
            let mut http = store.data_mut().http_view();
            complete(http.table, &request)?;
            match http.handle(request, options) {
                Ok(response) => Ok((Ok(response),)),
                Err(error) => Ok((Err(Types02::convert_error_code(&mut http, error)?),)),
            }
        },
    )
}

pub(super) fn link03(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent(
        "send",
        |accessor, (request,): (Resource<Request>,)| {
            Box::pin(async move {
                let http = accessor.with_getter::<WasiHttp>(HostState::http);
                http.with(|mut access| -> wasmtime::Result<()> {
                    let request = access.get().table.get_mut(&request)?;
                    if request.authority.as_ref().is_none_or(|it| it.host().is_empty()) {
                        request.authority = Some(Authority::from_static(SELF));
                        request.scheme.get_or_insert(Scheme::HTTP);
                    }
                    Ok(())
                })?;
                match <WasiHttp as HostWithStore<HostState>>::send(&http, request).await {
                    Ok(response) => Ok((Ok(response),)),
                    Err(error) => {
                        let code = http.with(|mut access| {
                            Types03::convert_error_code(&mut access.get(), error)
                        });
                        Ok((Err(code?),))
                    }
                }
            })
        },
    )
}
