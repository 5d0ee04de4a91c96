//! Where a NATS server is, and how it is logged in to.

use std::borrow::Cow;

use dayfly_model::outbound::OutboundHosts;
use dayfly_model::runtime_config::OutboundNetworking;
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use thiserror::Error as ThisError;
use tokio_rustls::TlsConnector;

use super::link::{Greeting, Link};
use super::wire::Broken;
use crate::dial::{DialError, Dialer};
use crate::endpoint::Endpoint;
use crate::stream::Stream;
use crate::tls::usual;

/// The port of servers whose address names none.
const PORT: u16 = 4222;

/// An address, `nats://…` or `tls://…`.
pub(crate) struct Address {
    dialer: Dialer,
    secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    username: String,
    password: String,
}

/// Why there is no connection.
#[derive(Debug, ThisError)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the server wants TLS: its address is to begin with `tls://`")]
    WantsTls,
    #[error("the TLS handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("it took too long")]
    Timeout,
}

impl Address {
    /// Reads an address; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Endpoint { url, host, secure, port } = Endpoint::parse(text, ["nats", "tls"])?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        let (username, password) =
            (decoded(url.username())?, decoded(url.password().unwrap_or_default())?);
        let port = port.unwrap_or(PORT);
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let pattern = format!("nats://{open}{host}{close}:{port}");
        let dialer = Dialer::of_operator(OutboundHosts::parse([pattern]).ok()?);
        Some(Self { dialer, secure, host, port, username, password })
    }

    /// The same, unless nobody reaches it.
    pub(super) fn outside(self, networking: &OutboundNetworking) -> Self {
        Self { dialer: self.dialer.outside(networking), ..self }
    }

    /// Connects and logs in, however long that takes. Messages of up to `most` bytes are taken, with
    /// their headers.
    pub(crate) async fn open(&self, most: usize) -> Result<Link, OpenError> {
        let connection = self.dialer.connect("nats", &self.host, self.port).await?;
        let mut link = Link::new(Box::new(connection), Greeting::default(), most);
        let greeting = link.greeting().await?;
        if self.secure {
            link = Link::new(self.secured(link.into_stream()?).await?, greeting, most);
        } else if greeting.wants_tls {
            return Err(OpenError::WantsTls);
        }
        link.log_in(&self.username, &self.password).await?;
        Ok(link)
    }

    async fn secured(&self, stream: Stream) -> Result<Stream, OpenError> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| OpenError::Handshake(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(usual()).connect(name, stream).await;
        Ok(Box::new(stream.map_err(OpenError::Handshake)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = Address::parse("nats://user:p%40ss@host:4333").unwrap();
        assert_eq!((address.username.as_str(), address.password.as_str()), ("user", "p@ss"));
        assert_eq!((address.port, address.secure), (4333, false));
        assert_eq!(Address::parse("tls://token@[::1]").unwrap().port, 4222);
        assert!(Address::parse("http://host").is_none());
    }
}
