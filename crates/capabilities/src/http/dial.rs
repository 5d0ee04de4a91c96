//! Opens connections for the client. The grant is checked twice: here, on each address that a
//! name resolved to, because a name says nothing about where it leads; and before, on the request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use thiserror::Error as ThisError;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;

use crate::names::{LookupError, Names};

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(10);

/// How many addresses of a name are tried.
const ADDRESSES: usize = 8;

/// Why no connection was opened.
#[derive(Debug, ThisError)]
pub(super) enum DialError {
    #[error("the URI has no host")]
    NoHost,
    #[error("the host is not granted")]
    NotGranted,
    #[error("every address of the host is one that its grant does not cover")]
    AddressRefused,
    #[error(transparent)]
    Resolve(#[from] LookupError),
    #[error("the host did not answer in time")]
    ConnectTimeout,
    #[error("the host refused the connection")]
    Connect(#[source] std::io::Error),
}

impl DialError {
    /// What a guest is told.
    pub(super) fn explain(&self) -> Error {
        match self {
            Self::NoHost => Error::HttpRequestUriInvalid,
            Self::NotGranted => Error::HttpRequestDenied,
            Self::AddressRefused => Error::DestinationIpProhibited,
            Self::Resolve(LookupError::Timeout) => Error::DnsTimeout,
            Self::Resolve(_) => {
                Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None }
            }
            Self::ConnectTimeout => Error::ConnectionTimeout,
            Self::Connect(_) => Error::ConnectionRefused,
        }
    }
}

/// Connects to what one component was granted.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Names>);

impl Dialer {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self(names)
    }
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let names = self.0.clone();
        Box::pin(async move { dial(&names, &uri).await.map(TokioIo::new) })
    }
}

/// The scheme, host and port of a request; the port is the scheme's where none is named.
pub(super) fn target(uri: &Uri) -> Option<(&str, &str, u16)> {
    let scheme = uri.scheme_str()?;
    let host = uri.host()?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, host, port))
}

async fn dial(names: &Names, uri: &Uri) -> Result<TcpStream, DialError> {
    let (scheme, host, port) = target(uri).ok_or(DialError::NoHost)?;
    let scope = names.hosts().check(scheme, host, port).ok_or(DialError::NotGranted)?;
    let mut last = DialError::AddressRefused;
    for address in names.resolve(host).await?.into_iter().take(ADDRESSES) {
        if !scope.permits(address) {
            continue;
        }
        match timeout(CONNECT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for Nagle; failing to say so costs only time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = DialError::Connect(error),
            Err(_) => last = DialError::ConnectTimeout,
        }
    }
    Err(last)
}
