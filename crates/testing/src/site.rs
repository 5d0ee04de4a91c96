//! A web site: what it serves at which path, and how it fails to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What is at a path.
#[derive(Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// The way to another address.
    Redirect(String),
    /// The first of these bytes, and then silence.
    Stalls(Bytes),
    /// Bytes without an end, of a length that is not told.
    Endless,
    /// A length, and none of the bytes.
    Claims(u64),
}

/// A site on a free port of this machine, over HTTP/1.1 in the clear. What is at no path is 404.
pub struct Site {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Content>>,
    asked: AtomicUsize,
}

type Boxed = BoxBody<Bytes, Infallible>;

impl Site {
    /// A site without pages.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = served.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = shared.answer(request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, shared, task }
    }

    /// Puts a page at a path.
    pub fn put(&self, path: &str, page: Content) {
        let mut pages = self.shared.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(path.to_owned(), page);
    }

    /// Takes away what is at a path.
    pub fn remove(&self, path: &str) {
        self.shared.pages.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its address and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// How many requests it has had.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Relaxed)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn answer(&self, path: &str) -> Response<Boxed> {
        self.asked.fetch_add(1, Relaxed);
        let page = self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        let answer = Response::builder();
        let answer = match page {
            None => answer.status(404).body(whole(Bytes::from_static(b"no such page"))),
            Some(Content::Bytes(bytes)) => answer.body(whole(bytes)),
            Some(Content::Redirect(to)) => {
                answer.status(302).header(LOCATION, to).body(whole(Bytes::new()))
            }
            Some(Content::Stalls(bytes)) => {
                answer.body(streamed(stream::iter([bytes]).chain(stream::pending())))
            }
            Some(Content::Endless) => {
                answer.body(streamed(stream::repeat(Bytes::from_static(&[0; 64 << 10]))))
            }
            Some(Content::Claims(length)) => {
                answer.header(CONTENT_LENGTH, length).body(streamed(stream::pending()))
            }
        };
        answer.expect("the answer is legal")
    }
}

fn whole(bytes: Bytes) -> Boxed {
    BodyExt::boxed(Full::new(bytes))
}

fn streamed(chunks: impl futures_util::Stream<Item = Bytes> + Send + Sync + 'static) -> Boxed {
    BodyExt::boxed(StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))))
}
