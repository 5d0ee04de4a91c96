//! A server that guests ask: it answers with what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Certificate;

/// A server on a free port of this machine. It answers each request with a line
/// `METHOD TARGET VERSION`, lines `name: value`, an empty line and the request's body; `/slow`
/// after five seconds.
pub struct Upstream {
    address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// A server that speaks HTTP/1.1 in the clear.
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// A server that speaks HTTP/2 and HTTP/1.1 over TLS, as the client prefers.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        Self::with(Some(acceptor(certificate, None))).await
    }

    /// The same, for clients that show a certificate of the authority of `clients` and no others.
    pub async fn start_mutual_tls(certificate: &Certificate, clients: &Certificate) -> Self {
        Self::with(Some(acceptor(certificate, Some(clients)))).await
    }

    async fn with(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().expect("an address");
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Relaxed);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else { return serve(stream, false).await };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(stream, http2).await;
                    }
                });
            }
        });
        Self { address, scheme, connections, task }
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its URL with the address as host.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its URL with `localhost` as host.
    pub fn named_url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// Takes TLS connections, of clients with a certificate of that authority if one is named.
pub(crate) fn acceptor(certificate: &Certificate, clients: Option<&Certificate>) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate.chain()).expect("a file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(certificate.key()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_file(clients.authority()).expect("a certificate");
            roots.add(root).expect("an authority");
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        }
    };
    let mut config = builder.with_single_cert(chain, key).expect("a key that fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one connection; how it ends is its client's business.
async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, http2: bool) {
    let stream = TokioIo::new(stream);
    if http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(stream, service_fn(mirror)).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service_fn(mirror)).await;
    }
}

async fn mirror(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/slow" {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut text = format!("{} {target} {:?}\n", parts.method, parts.version);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push('\n');
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new([text.as_bytes(), &body].concat().into())))
}
