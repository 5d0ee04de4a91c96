//! A gallery of attacks by a handler of wasi:http 0.2, one path each. Nothing here is of use to
//! anybody but a test of what the host does about it.

mod answer;
mod compute;
mod hoard;
mod respond;

use answer::say;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Handler;

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        // A prefix tells it from its sister of WASI 0.3 where both are served.
        let target = target.strip_prefix("/p2").unwrap_or(&target);
        match target.split('?').next().unwrap_or_default() {
            // Using up the processor.
            "/spin" => compute::spin(),
            "/spin-in-host" => compute::spin_in_host(),
            "/spin-in-poll" => compute::spin_in_poll(),
            "/spin-in-random" => compute::spin_in_random(),
            "/spin-in-copies" => compute::spin_in_copies(),
            "/recurse" => say(out, 200, &compute::recurse(1).to_string()),
            "/sleep" => compute::sleep(),
            // Ending badly.
            "/unreachable" => core::arch::wasm32::unreachable(),
            "/panic" => panic!("this handler panics when asked to"),
            "/divide" => say(out, 200, &compute::divide()),
            "/out-of-bounds" => say(out, 200, &compute::out_of_bounds()),
            "/exit" => wasip2::cli::exit::exit(Ok(())),
            "/exit-badly" => wasip2::cli::exit::exit(Err(())),
            "/forged-handle" => compute::forged_handle(),
            // Taking what is scarce and keeping it.
            "/memory" => say(out, 200, &hoard::memory()),
            "/memory-slowly" => say(out, 200, &hoard::memory_slowly()),
            "/fields" => hoard::fields(),
            "/pollables" => hoard::pollables(),
            "/streams" => hoard::streams(),
            "/requests" => say(out, 200, &hoard::requests(&target)),
            "/files" => say(out, 200, &hoard::files().1),
            "/hold-files" => respond::hold(out, hoard::files()),
            "/folders" => hoard::folders(),
            "/sockets" => say(out, 200, &hoard::sockets().1),
            "/hold-sockets" => respond::hold(out, hoard::sockets()),
            "/one-by-one" => say(out, 200, &hoard::one_by_one()),
            "/lookups" => say(out, 200, &hoard::lookups()),
            "/environment" => hoard::environment(),
            // Writing too much.
            "/log-flood" => respond::log_flood(),
            "/log-line" => respond::log_line(out),
            "/log-escapes" => respond::log_escapes(out),
            "/endless" => respond::endless(out),
            "/trickle" => respond::trickle(out),
            "/long-body" => respond::long_body(out),
            "/short-body" => respond::sized(out, 50, b"xxxxx"),
            // Breaking the rules of HTTP.
            "/forbidden-header" => respond::forbidden_header(out),
            "/malformed-header" => respond::malformed_header(out),
            "/huge-header" => respond::huge_header(out),
            "/many-headers" => respond::many_headers(out),
            "/status" => respond::status(out),
            "/informational" => respond::informational(out),
            "/twice-the-body" => respond::twice_the_body(out),
            "/no-response" => {}
            "/error-code" => respond::error_code(out),
            "/late" => respond::late(out),
            "/spin-after" => respond::spin_after(out),
            "/trap-after" => respond::trap_after(out),
            "/hoard-body" => respond::hoard_body(request, out),
            "/unread-body" => say(out, 200, "not read"),
            _ => say(out, 200, "hello world"),
        }
    }
}

wasip2::http::proxy::export!(Handler);
