//! Tries what a component may only do if it was granted: says what came of it, or the error that it
//! was given. `rust-composed` does the same by itself.

use std::fmt::Debug;
use std::net::SocketAddrV4;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use bindings::fermyon::spin::key_value::Store;
use bindings::wasi::config::store;

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../rust-library/wit/config.wit",
            "../rust-library/wit/key-value.wit",
            "../rust-library/wit/attempts.wit",
        ],
        world: "dayfly:attempts/attempts",
        generate_all,
    });
}

pub fn attempt(what: &str, argument: &str) -> Result<String, String> {
    match what {
        "env" => std::env::var(argument).map_err(shown),
        "vars" => Ok(variables()),
        "read" => std::fs::read_to_string(argument).map_err(shown),
        "list" => list(argument),
        "fetch" => fetch(argument),
        "connect" => connect(argument.parse().map_err(shown)?).map_err(shown),
        "resolve" => resolve(argument).map_err(shown),
        "variable" => store::get(argument).map_err(shown)?.ok_or_else(|| "no such variable".into()),
        "key-value" => {
            let store = Store::open(argument).map_err(shown)?;
            store.set("key", b"value").map_err(shown)?;
            let value = store.get("key").map_err(shown)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&value).into_owned())
        }
        "everybody" => Ok(everybody()),
        other => Err(format!("no such attempt: {other}")),
    }
}

fn shown(error: impl Debug) -> String {
    format!("{error:?}")
}

/// `NAME=VALUE`, sorted, a space between two.
fn variables() -> String {
    let mut variables: Vec<_> =
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    variables.sort();
    variables.join(" ")
}

fn list(path: &str) -> Result<String, String> {
    let entries = std::fs::read_dir(path).map_err(shown)?;
    let names = entries.map(|entry| Ok(entry.map_err(shown)?.file_name().display().to_string()));
    let mut names: Vec<String> = names.collect::<Result<_, String>>()?;
    names.sort();
    Ok(names.join(" "))
}

/// The status of what a URL answers.
fn fetch(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or("the URL is not http")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let invalid = |()| "the request is invalid".to_owned();
    request.set_scheme(Some(&Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(invalid)?;
    let body = request.body().map_err(invalid)?;
    let future = outgoing_handler::handle(request, None).map_err(shown)?;
    OutgoingBody::finish(body, None).map_err(shown)?;
    loop {
        match future.get() {
            Some(Ok(answer)) => return Ok(format!("status {}", answer.map_err(shown)?.status())),
            Some(Err(())) => return Err("the response was taken".to_owned()),
            None => future.subscribe().block(),
        }
    }
}

fn connect(address: SocketAddrV4) -> Result<String, ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let remote = Ipv4SocketAddress { port: address.port(), address: address.ip().octets().into() };
    socket.start_connect(&instance_network(), IpSocketAddress::Ipv4(remote))?;
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            done => return done.map(|_| "connected".to_owned()),
        }
    }
}

/// How many addresses a name has.
fn resolve(name: &str) -> Result<String, ErrorCode> {
    let found = resolve_addresses(&instance_network(), name)?;
    let mut count = 0;
    loop {
        match found.resolve_next_address() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(format!("{count} addresses")),
            Err(ErrorCode::WouldBlock) => found.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

/// What nobody has to be granted.
fn everybody() -> String {
    let random = wasip2::random::random::get_random_bytes(8).len();
    let now = wasip2::clocks::wall_clock::now().seconds;
    println!("a line on standard output");
    format!("random {random}, clock {}", now > 0)
}
