//! TLS with a PostgreSQL server, and asking for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

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
                Either::Right(Box::new(connector.connect(connection).await?))
            }
            Some(_) if self.security == Security::Verified => {
                return Err(io::Error::other("the server does not support TLS"));
            }
            _ => Either::Left(connection),
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

/// A connection, without TLS or with it.
pub(super) type Secured = Either<Connection, Box<Encrypted>>;

impl TlsStream for Watched<Secured> {
    fn channel_binding(&self) -> ChannelBinding {
        match self.get_ref() {
            Either::Left(_) => ChannelBinding::none(),
            Either::Right(stream) => stream.channel_binding(),
        }
    }
}
