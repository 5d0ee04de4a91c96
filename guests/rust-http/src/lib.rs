//! A handler of wasi:http 0.2 with one path for each thing that a host must do right:
//! streaming, headers, files, sockets, outbound requests, and every way to go wrong.
//! What is asked for and cannot be done is answered with 502 and the interface's own error.

mod exchange;
mod fields;
mod files;
mod inspect;
mod outbound;
mod sockets;
mod streams;
mod trouble;

use exchange::{Exchange, Failure};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Handler;

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut exchange = Exchange::new(request, out);
        if let Err(failure) = dispatch(&mut exchange) {
            exchange.fail(failure);
        }
    }
}

fn dispatch(exchange: &mut Exchange) -> Result<(), Failure> {
    let path = exchange.path();
    if let Some(key) = path.strip_prefix("/config/") {
        return inspect::config(exchange, key);
    }
    match path.as_str() {
        "/hello" | "/" => exchange.text("hello world"),
        "/headers" => inspect::headers(exchange),
        "/fields" => fields::facts(exchange),
        "/env" => inspect::env(exchange),
        "/args" => inspect::args(exchange),
        "/random" => inspect::random(exchange),
        "/insecure" => inspect::insecure(exchange),
        "/clock" => inspect::clock(exchange),
        "/count" => inspect::count(exchange),
        "/log" => inspect::log(exchange),
        "/read" => files::read(exchange),
        "/write" => files::write(exchange),
        "/list" => files::list(exchange),
        "/echo" => streams::echo(exchange),
        "/large" => streams::large(exchange),
        "/slow" => streams::slow(exchange),
        "/sink" => streams::sink(exchange),
        "/fetch" => outbound::fetch(exchange),
        "/tcp" => sockets::tcp(exchange),
        "/udp" => sockets::udp(exchange),
        "/resolve" => sockets::resolve(exchange),
        "/status" => trouble::status(exchange),
        "/sleep" => trouble::sleep(exchange),
        "/spin" => trouble::spin(),
        "/work" => trouble::work(exchange),
        "/panic" => trouble::panic(),
        "/alloc" => trouble::alloc(exchange),
        "/recurse" => trouble::recurse(exchange),
        "/break" => trouble::break_off(exchange),
        "/noresponse" => trouble::no_response(exchange),
        "/refuse" => trouble::refuse(exchange),
        other => exchange.answer(404, &format!("no such path: {other}\n")),
    }
}

wasip2::http::proxy::export!(Handler);
