//! TLS with a PostgreSQL server, and asking for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::watched::{Meter, Watched};
use crate::dial::Connection;
use crate::rdbms::trust::Security;

/// Asks whether the server can do TLS: a length and a code.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];

/// What says that it can.
const WILLING: u8 = b'S';

/// The name of the protocol, for TLS that was not asked for before.
const ALPN: &[u8] = b"postgresql";

/// Secures a connection as its address asks.
#[derive(Clone)]
pub(super) struct Secure {
    pub(super) security: Security,
    pub(super) direct: bool,
    /// Whom the certificate has to name.
    pub(super) name: String,
    pub(super) client: Option<Arc<ClientConfig>>,
    pub(super) most: usize,
    pub(super) meter: Arc<Meter>,
}

impl Secure {
    async fn secure(self, mut connection: Connection) -> io::Result<Watched<Secured>> {
        let stream = match self.client {
            Some(client) if self.direct || asked(&mut connection).await? => {
                let mut client = ClientConfig::clone(&client);
                if self.direct {
                    client.alpn_protocols = vec![ALPN.to_vec()];
                }
                let mut connector = MakeRustlsConnect::new(client);
                let connector =
                    MakeTlsConnect::<Connection>::make_tls_connect(&mut connector, &self.name)
                        .map_err(io::Error::other)?;
                Secured::Tls(Box::new(connector.connect(connection).await?))
            }
            Some(_) if self.security == Security::Verified => {
                return Err(io::Error::other("the server does not support TLS"));
            }
            _ => Secured::Plain(connection),
        };
        Ok(Watched::new(stream, self.most, self.meter))
    }
}

async fn asked(connection: &mut Connection) -> io::Result<bool> {
    connection.write_all(&REQUEST).await?;
    // Nothing more than this byte may be read: what follows in the clear would be taken for what
    // came over TLS.
    Ok(connection.read_u8().await? == WILLING)
}

impl TlsConnect<Connection> for Secure {
    type Stream = Watched<Secured>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, connection: Connection) -> Self::Future {
        Box::pin(self.secure(connection))
    }
}

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Connection>>::Stream;

/// A connection, with TLS or without.
pub(super) enum Secured {
    Plain(Connection),
    Tls(Box<Encrypted>),
}

impl TlsStream for Watched<Secured> {
    fn channel_binding(&self) -> ChannelBinding {
        match self.get_ref() {
            Secured::Plain(_) => ChannelBinding::none(),
            Secured::Tls(stream) => stream.channel_binding(),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
