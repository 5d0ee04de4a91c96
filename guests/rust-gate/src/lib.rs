//! Middleware of wasi:http 0.2: lets requests pass, unless their path says `/secret` without a
//! password. WASI 0.2 has no way to change a request or a response that is passed on.

use wasi::http::incoming_handler;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({
    path: [
        "../wit/wasi-0.2/io.wit",
        "../wit/wasi-0.2/clocks.wit",
        "../wit/wasi-0.2/random.wit",
        "../wit/wasi-0.2/filesystem.wit",
        "../wit/wasi-0.2/sockets.wit",
        "../wit/wasi-0.2/cli.wit",
        "../wit/wasi-0.2/http.wit",
        "wit/gate.wit",
    ],
    world: "dayfly:gate/gate",
    with: {
        "wasi:http/types@0.2.12": wasip2::http::types,
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
        "wasi:clocks/monotonic-clock@0.2.12": wasip2::clocks::monotonic_clock,
    },
    generate_all,
});

struct Gate;

impl Guest for Gate {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        if !target.starts_with("/secret") || target.ends_with("?password") {
            return incoming_handler::handle(request, out);
        }
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(403).expect("the status is legal");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that left has no use for it.
        let _ = stream.blocking_write_and_flush(b"the gate is shut");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Gate);
