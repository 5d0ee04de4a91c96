//! Requests to elsewhere through `wasi:http/outgoing-handler`.

use std::io::Write as _;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};

use crate::exchange::{Exchange, Failure, wit_failure};

/// Asks `url` with `method` (GET unless told), this request's body and the time limit `ms`;
/// answers the line `status N`, then the body. `header=NAME:VALUE` adds one header.
pub fn fetch(exchange: &mut Exchange) -> Result<(), Failure> {
    let request = outgoing(exchange)?;
    let upload = request.body().map_err(|()| Failure::from("the body was taken"))?;
    let options = options(exchange)?;
    let future = outgoing_handler::handle(request, options)
        .map_err(|error| wit_failure("wasi:http", error))?;
    if exchange.query("method").is_some() {
        send_body(exchange, &upload)?;
    }
    OutgoingBody::finish(upload, None).map_err(|error| wit_failure("finish", error))?;
    let response = loop {
        match future.get() {
            Some(Ok(answer)) => break answer.map_err(|error| wit_failure("wasi:http", error))?,
            Some(Err(())) => return Err(Failure::from("the response was taken")),
            None => future.subscribe().block(),
        }
    };
    relay(exchange, &response)
}

fn outgoing(exchange: &Exchange) -> Result<OutgoingRequest, Failure> {
    let url = exchange.required("url")?;
    let (scheme, rest) = url.split_once("://").ok_or_else(|| Failure::from("`url` is no URL"))?;
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(request_headers(exchange)?);
    let refused = |()| Failure(format!("the host refuses `{url}`"));
    request.set_method(&method(exchange)).map_err(refused)?;
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(refused)?;
    Ok(request)
}

fn request_headers(exchange: &Exchange) -> Result<Fields, Failure> {
    let fields = Fields::new();
    if let Some((name, value)) = exchange.query("header").as_deref().and_then(|h| h.split_once(':')) {
        fields.append(name, value.as_bytes()).map_err(|error| wit_failure(name, error))?;
    }
    Ok(fields)
}

fn method(exchange: &Exchange) -> Method {
    match exchange.query("method").as_deref() {
        None | Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some(other) => Method::Other(other.to_owned()),
    }
}

fn options(exchange: &Exchange) -> Result<Option<RequestOptions>, Failure> {
    if exchange.query("ms").is_none() {
        return Ok(None);
    }
    let nanoseconds = exchange.number("ms", 0)? * 1_000_000;
    let options = RequestOptions::new();
    let refused = |()| Failure::from("the host refuses the time limit");
    options.set_connect_timeout(Some(nanoseconds)).map_err(refused)?;
    options.set_first_byte_timeout(Some(nanoseconds)).map_err(refused)?;
    Ok(Some(options))
}

fn send_body(exchange: &Exchange, upload: &OutgoingBody) -> Result<(), Failure> {
    let (_body, mut from) = exchange.body()?;
    let mut to = upload.write().map_err(|()| Failure::from("the stream was taken"))?;
    std::io::copy(&mut from, &mut to)?;
    Ok(to.flush()?)
}

fn relay(exchange: &mut Exchange, response: &IncomingResponse) -> Result<(), Failure> {
    let incoming = response.consume().map_err(|()| Failure::from("the body was taken"))?;
    let stream = incoming.stream().map_err(|()| Failure::from("the stream was taken"))?;
    let mut body = exchange.start(200, &[])?;
    writeln!(body, "status {}", response.status())?;
    body.pump(stream)?;
    body.finish(None)
}
