//! Requests that another process of the platform answers: that of their tenant. Each connection of a client
//! has one of its own there, which speaks the same version of HTTP, and whose other end is told who the client
//! is before a byte of it. So bodies, trailers, WebSockets and clients that leave are there what they are
//! here; nothing in a request says who sent it; and as this process alone closes what is idle, no request
//! meets a connection that is being closed.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::task::JoinHandle;

use crate::access_log::Unlogged;
use crate::server::connection::Protocol;
use crate::server::upgrade::{Told, Upgrade, Upgraded};
use crate::{Body, BoxError, ClientBody, Connection, EdgeError, Problem};

/// The bounds of a head that the other process sends: it is the guest's, whose limits hold there.
const HEAD_BYTES: usize = 1 << 20;
const HEADERS: usize = 512;

/// What a stream of HTTP/2, and a connection, may have under way in either direction, in bytes.
const STREAM_BYTES: u32 = 256 << 10;
const CONNECTION_BYTES: u32 = 1 << 20;

/// How many connections a process gets at least, while there are any.
const FEW: usize = 16;

/// How connections to another process are made.
pub trait Reach: Send + Sync {
    /// Makes one for a client. It does not wait.
    ///
    /// # Errors
    /// If the process is not there, or takes no more at the moment.
    fn connect(&self, client: &Connection) -> io::Result<UnixStream>;
}

/// A process that answers for some apps of a node, or nobody while it is not there.
pub struct Away {
    line: ArcSwapOption<Line>,
    /// The connections to it, and those to all such processes.
    open: [Arc<Open>; 2],
}

/// The way to one process.
struct Line(Box<dyn Reach>);

/// How many connections there are, and how many there may be.
pub(crate) struct Open {
    count: AtomicUsize,
    most: usize,
}

/// A connection that is counted.
struct Counted(Arc<Open>);

/// What a client's connection has of connections to other processes.
#[derive(Default)]
pub(crate) struct Onward(Mutex<Option<Kept>>);

enum Kept {
    /// Free for the client's next request.
    Http1(Single),
    /// Shared by all its streams.
    Http2(Shared),
}

/// A connection of HTTP/1.
struct Single {
    sender: http1::SendRequest<ClientBody>,
    line: Arc<Line>,
    driven: Driven,
}

/// A connection of HTTP/2. Clones are the same.
#[derive(Clone)]
struct Shared {
    sender: http2::SendRequest<ClientBody>,
    line: Arc<Line>,
    _driven: Arc<Driven>,
}

/// The task that moves a connection's bytes; it ends with this.
struct Driven {
    task: JoinHandle<()>,
    counted: [Counted; 2],
}

/// Why the other process did not answer.
enum Failed {
    /// It was not reached.
    Unreached(BoxError),
    /// It ended, or what it said was no answer.
    Lost(hyper::Error),
}

impl Open {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), most: most.max(1) })
    }

    fn take(self: &Arc<Self>) -> Result<Counted, Failed> {
        let more = |count| (count < self.most).then_some(count + 1);
        match self.count.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(Counted(self.clone())),
            Err(most) => {
                let text = format!("{most} connections lead to processes of tenants");
                Err(Failed::Unreached(text.into()))
            }
        }
    }

    /// Whether there are so many that none is kept which is idle.
    fn is_scarce(&self) -> bool {
        self.count.load(Relaxed) > self.most / 2
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Relaxed);
    }
}

impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Onward")
    }
}

impl Onward {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn take(&self) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, kept: Kept) {
        let former = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(kept);
        drop(former);
    }
}

impl Away {
    /// Nobody yet. Of the connections that there may be to all processes it gets its part, if there are at
    /// most so many processes.
    pub(crate) fn new(all: &Arc<Open>, processes: usize) -> Arc<Self> {
        let part = all.most / processes.max(1);
        let open = [Open::new(part.max(FEW)), all.clone()];
        Arc::new(Self { line: ArcSwapOption::empty(), open })
    }

    /// Has this process answer from now on, or nobody. What is under way is answered by whom it came to.
    pub fn lead(&self, reach: Option<Box<dyn Reach>>) {
        self.line.store(reach.map(|reach| Arc::new(Line(reach))));
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let answered = match connection.protocol {
            Protocol::Http1 => self.http1(request, connection).await,
            Protocol::Http2 => self.http2(request, connection).await,
        };
        match answered {
            Ok(mut response) => {
                // The process that answers it writes the line.
                response.extensions_mut().insert(Unlogged);
                response
            }
            Err(Failed::Unreached(error)) => {
                EdgeError::new(Problem::ProcessAway).because(error).respond()
            }
            Err(Failed::Lost(error)) => {
                EdgeError::new(Problem::ProcessLost).because(error).respond()
            }
        }
    }

    async fn http1(
        &self,
        mut request: Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> Result<Response<Body>, Failed> {
        let line = self.line()?;
        let kept = match connection.onward.take() {
            Some(Kept::Http1(kept)) if Arc::ptr_eq(&kept.line, &line) => kept.when_free().await,
            _ => None,
        };
        let mut single = match kept {
            Some(kept) => kept,
            None => self.single(line, connection).await?,
        };
        // Who speaks an older one is answered in that by the server here.
        *request.version_mut() = Version::HTTP_11;
        let mut response = single.sender.send_request(request).await.map_err(Failed::Lost)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let opening = hyper::upgrade::on(&mut response);
            return Ok(switched(response, opening, single.driven));
        }
        // What it says of the connection that it came by: the client's is another.
        for name in [CONNECTION, HeaderName::from_static("keep-alive"), TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        let connection = connection.clone();
        Ok(response.map(|body| Passed { body, single: Some(single), connection }.into_body()))
    }

    async fn http2(
        &self,
        request: Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> Result<Response<Body>, Failed> {
        let line = self.line()?;
        let mut shared = match connection.onward.take() {
            Some(Kept::Http2(kept))
                if Arc::ptr_eq(&kept.line, &line) && !kept.sender.is_closed() =>
            {
                kept
            }
            _ => self.shared(line, connection).await?,
        };
        connection.onward.keep(Kept::Http2(shared.clone()));
        let method = request.method();
        let (opens, is_head) = (method == Method::CONNECT, method == Method::HEAD);
        let mut response = shared.sender.send_request(request).await.map_err(Failed::Lost)?;
        if opens && response.status() == StatusCode::OK {
            let opening = hyper::upgrade::on(&mut response);
            return Ok(switched(response, opening, shared));
        }
        Ok(response.map(|body| Body::stream(Streamed { body, is_head, _shared: shared })))
    }

    fn line(&self) -> Result<Arc<Line>, Failed> {
        let line = self.line.load_full();
        line.ok_or_else(|| Failed::Unreached("the tenant's process is not there".into()))
    }

    fn connect(
        &self,
        line: &Line,
        connection: &Connection,
    ) -> Result<(TokioIo<tokio::net::UnixStream>, [Counted; 2]), Failed> {
        let [own, all] = &self.open;
        let counted = [own.take()?, all.take()?];
        let stream = line.0.connect(connection).and_then(|stream| {
            stream.set_nonblocking(true)?;
            tokio::net::UnixStream::from_std(stream)
        });
        let stream = stream.map_err(|error| Failed::Unreached(error.into()))?;
        Ok((TokioIo::new(stream), counted))
    }

    async fn single(&self, line: Arc<Line>, connection: &Connection) -> Result<Single, Failed> {
        let (io, counted) = self.connect(&line, connection)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES).max_headers(HEADERS);
        let (sender, moved) = builder.handshake(io).await.map_err(Failed::Lost)?;
        let driven = Driven::start(moved.with_upgrades(), counted);
        Ok(Single { sender, line, driven })
    }

    async fn shared(&self, line: Arc<Line>, connection: &Connection) -> Result<Shared, Failed> {
        let (io, counted) = self.connect(&line, connection)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_BYTES)
            .initial_connection_window_size(CONNECTION_BYTES)
            .max_send_buf_size(STREAM_BYTES as usize)
            .max_header_list_size(HEAD_BYTES as u32);
        let (sender, moved) = builder.handshake(io).await.map_err(Failed::Lost)?;
        let _driven = Arc::new(Driven::start(moved, counted));
        Ok(Shared { sender, line, _driven })
    }
}

impl Single {
    /// The same once it takes another request, if it ever does.
    async fn when_free(mut self) -> Option<Self> {
        self.sender.ready().await.is_ok().then_some(self)
    }
}

impl Driven {
    fn start(
        moved: impl Future<Output = hyper::Result<()>> + Send + 'static,
        counted: [Counted; 2],
    ) -> Self {
        let task = tokio::spawn(async move {
            if let Err(error) = moved.await {
                tracing::debug!(%error, "a connection to a tenant's process failed");
            }
        });
        Self { task, counted }
    }

    fn is_scarce(&self) -> bool {
        self.counted.iter().any(|counted| counted.0.is_scarce())
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body of an answer by HTTP/1. Once it is whole, its connection is kept for the client's next request;
/// if it is dropped before, that ends, and the guest with it.
struct Passed {
    body: Incoming,
    single: Option<Single>,
    connection: Arc<Connection>,
}

impl Passed {
    fn into_body(mut self) -> Body {
        if self.body.is_end_stream() {
            self.keep();
            return Body::Empty;
        }
        Body::from_stream(Box::pin(self))
    }

    fn keep(&mut self) {
        if let Some(single) = self.single.take().filter(|single| !single.driven.is_scarce()) {
            self.connection.onward.keep(Kept::Http1(single));
        }
    }
}

impl http_body::Body for Passed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.keep(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.keep(),
            Poll::Ready(Some(Err(_))) => drop(self.single.take()),
            _ => {}
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer by HTTP/2, whose connection lasts as long.
struct Streamed {
    body: Incoming,
    /// Whether it is left out, however long it would be.
    is_head: bool,
    _shared: Shared,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_head { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// The answer to a request after which another protocol is spoken, for as long as what `carries` its bytes
/// is held.
fn switched(
    response: Response<Incoming>,
    opening: OnUpgrade,
    carries: impl Send + 'static,
) -> Response<Body> {
    let pass = |client: Option<Upgraded>| async move {
        let _carries = carries;
        if let (Some(client), Ok(server)) = (client, opening.await) {
            pass_on(client, TokioIo::new(server)).await;
        }
    };
    let mut answer = response.map(|_| Body::Empty);
    answer.extensions_mut().insert(Upgrade::new(|client| Box::pin(pass(client))));
    answer
}

/// Passes bytes on in both directions until both ends are closed, or this one has to.
async fn pass_on(mut client: Upgraded, mut server: TokioIo<hyper::upgrade::Upgraded>) {
    let telling = client.telling();
    let mut copied = pin!(copy_bidirectional(&mut client, &mut server));
    std::future::poll_fn(|cx| match telling.told() {
        // Goodbye is said by what speaks there, when that is told to.
        Told::Serve | Told::Finish => copied.as_mut().poll(cx).map(drop),
        Told::Close => Poll::Ready(()),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_part_of_the_connections() {
        let all = Open::new(100);
        let taken = |away: &Away| -> Vec<Counted> {
            let [own, all] = &away.open;
            std::iter::from_fn(|| Some([own.take().ok()?, all.take().ok()?])).flatten().collect()
        };
        let each: Vec<_> = (0..4).map(|_| Away::new(&all, 4)).collect();
        let held: Vec<_> = each.iter().map(|away| taken(away)).collect();
        // However much the former ones take, the last one has as many.
        assert!(held.iter().all(|held| held.len() == 2 * 25));
        drop(held);
        assert_eq!(taken(&Away::new(&all, 1000)).len(), 2 * FEW);
        assert_eq!(taken(&Away::new(&Open::new(5), 1000)).len(), 2 * 5);
    }
}
