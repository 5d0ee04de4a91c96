//! A server as the host itself uses it, for triggers and what they pass on.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::runtime_config::OutboundNetworking;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::address::{Address, OpenError};
use super::connection::{Connection, Reader};
use super::jetstream;
use super::{ServerError, wire};
use crate::queue::MESSAGE_BYTES;

/// How long it may take to connect and to log in.
const OPEN: Duration = Duration::from_secs(10);

/// The largest message that is taken, with its headers, in bytes.
const WHOLE_BYTES: usize = MESSAGE_BYTES + wire::LINE_BYTES;

/// A server that the operator or the app's manifest names.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    address: Address,
    /// By which messages are published.
    publisher: Mutex<Option<Publisher>>,
}

/// A connection that a task reads.
struct Publisher {
    connection: Connection,
    reading: JoinHandle<()>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Server {
    /// The server at an address, `nats://…` or `tls://…`, unless nobody reaches that; nothing is
    /// connected yet.
    ///
    /// # Errors
    /// If the text is no address. It may hold a secret, so it is not in the error.
    pub fn new(address: &str, networking: &OutboundNetworking) -> Result<Self, String> {
        const FORM: &str = "not an address of the form `nats://USER:PASSWORD@HOST:PORT`";
        let address = Address::parse(address).ok_or(FORM)?.outside(networking);
        Ok(Self(Arc::new(Shared { address, publisher: Mutex::default() })))
    }

    /// Its host and port, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.0.address.host, self.0.address.port)
    }

    /// A connection of one's own, to be read by oneself.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn open(&self) -> Result<(Connection, Reader), ServerError> {
        let opened = async {
            let link = self.0.address.open(WHOLE_BYTES).await.map_err(|error| {
                let reason = std::error::Error::source(&error);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                ServerError::Lost(format!("{error}{reason}"))
            })?;
            Connection::new(link, WHOLE_BYTES).await
        };
        let late = |_| Err(ServerError::Lost(OpenError::Timeout.to_string()));
        timeout(OPEN, opened).await.unwrap_or_else(late)
    }

    /// Publishes a message; the server has it when this returns.
    ///
    /// # Errors
    /// If it does not take it.
    pub async fn publish(
        &self,
        subject: &str,
        headers: &[(String, String)],
        data: &[u8],
    ) -> Result<(), ServerError> {
        self.publisher().await?.publish(subject, headers, data).await
    }

    /// Publishes a message to whichever stream takes it; the stream has it when this returns.
    ///
    /// # Errors
    /// If none takes it.
    pub async fn add(
        &self,
        subject: &str,
        headers: &[(String, String)],
        data: &[u8],
    ) -> Result<(), ServerError> {
        let reply = self.publisher().await?.request(subject, headers, data).await?;
        jetstream::answer(&reply.data).map(drop)
    }

    async fn publisher(&self) -> Result<Connection, ServerError> {
        let mut held = self.0.publisher.lock().await;
        if let Some(publisher) = &*held
            && !publisher.connection.is_over()
        {
            return Ok(publisher.connection.clone());
        }
        let (connection, mut reader) = self.open().await?;
        let reading = tokio::spawn(async move { while reader.next().await.is_ok() {} });
        *held = Some(Publisher { connection: connection.clone(), reading });
        Ok(connection)
    }
}
