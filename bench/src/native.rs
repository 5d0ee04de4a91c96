//! The limits: a native server that does nothing but answer, and the least that a host of guests
//! can do: parse a request, make an instance, call it, write what it answers. No bounds, no routes,
//! no log, no deadlines.

use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use dayfly_bench_plain::Plain;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use wasmtime_wasi_http::Error as HttpError;

/// Answers every request with `hello world`, on one thread.
pub(crate) fn serve(port: u16) -> Result<()> {
    listen(port, async |_: Request<Incoming>| {
        Ok(Response::new(Full::new(Bytes::from_static(b"hello world"))))
    })
}

/// Answers every request with what it sends, on one thread.
pub(crate) fn echo(port: u16) -> Result<()> {
    listen(port, async |request: Request<Incoming>| Ok(Response::new(request.into_body())))
}

/// Answers every request by a fresh instance of `guest`, on one thread.
pub(crate) fn minimal(port: u16, guest: &Path) -> Result<()> {
    let plain = Rc::new(Plain::fastest(&std::fs::read(guest)?)?);
    listen(port, move |request: Request<Incoming>| {
        let plain = plain.clone();
        async move {
            let body = |body: Incoming| body.map_err(HttpError::Hyper).boxed_unsync();
            let answer = plain.call(request.map(body)).await?;
            answer.map_err(|code| anyhow!("the guest answers {code:?}"))
        }
    })
}

fn listen<A, F, B>(port: u16, answer: A) -> Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Result<Response<B>>>,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(answer.clone());
            tokio::task::spawn_local(async move {
                // A client that leaves in the middle is no business of a benchmark's server.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
