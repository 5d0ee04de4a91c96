//! Connections to servers that speak other protocols than HTTP, in the clear or by TLS.

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dial::{DialError, Dialer};
use crate::tls::Clients;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection in the clear or by TLS.
pub(crate) type Stream = Box<dyn Duplex>;

/// What is read from and written to.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why no connection was opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the TLS handshake took too long")]
    Timeout,
}

/// Opens them for one component.
#[derive(Clone)]
pub(crate) struct Opener {
    dialer: Dialer,
    tls: Clients,
}

impl Opener {
    /// One that reaches what `dialer` connects to, and speaks TLS as `tls` says.
    pub(crate) fn new(dialer: Dialer, tls: Clients) -> Self {
        Self { dialer, tls }
    }

    /// Connects to a port of a host as [`Dialer::connect`] does, with TLS on top if it is to be
    /// `secure`.
    pub(crate) async fn open(
        &self,
        (scheme, host, port): (&str, &str, u16),
        secure: bool,
    ) -> Result<Stream, OpenError> {
        let connection = self.dialer.connect(scheme, host, port).await?;
        if !secure {
            return Ok(Box::new(connection));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| OpenError::Handshake(io::Error::other(error)))?;
        let handshake = TlsConnector::from(self.tls.config(host)).connect(name, connection);
        match timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(OpenError::Handshake(error)),
            Err(_) => Err(OpenError::Timeout),
        }
    }
}
