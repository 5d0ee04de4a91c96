//! Messages: `wasi:messaging`, of which components use what sends, and what asks and waits for
//! replies. A component connects to the clients that its manifest's `messaging` lists; which server
//! is behind one, the operator says ([`dayfly_model::RuntimeConfig`]). Behind `default` are the app's
//! own queues. Handlers of messages are called by triggers; here is what they are given.

mod backend;
mod error;
mod host;
mod message;
mod topic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dayfly_model::runtime_config::{Messaging, MessagingKind, RuntimeConfig, Secret};
use dayfly_model::{App, Component};
use thiserror::Error as ThisError;

use backend::{Backend, Wanted};
use error::Error;
pub use host::{Failure, Incoming};
use message::{Content, Message};
use topic::Topics;

use crate::queue::{Store, note_hops};
use crate::registry::Capability;
use crate::under_way::UnderWay;

/// What messages of one component may take of the host's memory, in bytes.
const HELD_BYTES: usize = 64 << 20;

/// The client that needs no configuration: the app's own queues are behind it.
const DEFAULT: &str = "default";

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "messaging",
    interfaces: host::INTERFACES,
    granted_by: &[("messaging", host::INTERFACES)],
    link: host::link,
};

/// A client that a component was granted and nothing is behind.
#[derive(Debug, ThisError)]
#[error("no server is behind the messaging client `{0}`")]
pub struct UnknownClient(pub String);

/// The clients of an app, by name.
pub struct Clients {
    configured: BTreeMap<String, Messaging>,
    /// The app's own queues, and the names of those that its manifest has.
    queues: Arc<Store>,
    named: Vec<String>,
    /// Whether a trigger of the app hears what is published to channels of Redis.
    hears_channels: bool,
    known: Mutex<BTreeMap<String, Arc<Client>>>,
}

/// A server, and which topics of it are open.
pub(crate) struct Client {
    topics: Topics,
    backend: Backend,
}

impl Clients {
    /// The clients that `config` describes. Nothing is connected yet.
    pub fn new(config: &RuntimeConfig, app: &App, queues: Arc<Store>) -> Self {
        let configured = config.messaging.clone();
        let named = app.queues().map(str::to_owned).collect();
        let hears_channels = app.hears_channels_of_redis();
        Self { configured, queues, named, hears_channels, known: Mutex::default() }
    }

    fn find(&self, name: &str) -> Option<Arc<Client>> {
        let own =
            Messaging { kind: MessagingKind::Queue, url: Secret(String::new()), topics: None };
        let own = (name == DEFAULT).then_some(&own);
        let configured = self.configured.get(name).or(own)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(name) {
            return Some(client.clone());
        }
        let named = || (configured.kind == MessagingKind::Queue).then(|| self.named.clone());
        let topics = Topics::new(configured.topics.clone().or_else(named));
        let backend = Backend::new(configured, &self.queues, self.hears_channels)?;
        let client = Arc::new(Client { topics, backend });
        known.insert(name.to_owned(), client.clone());
        Some(client)
    }
}

impl Client {
    /// Sends a message with so many steps of the app's topology behind it.
    async fn send(&self, topic: &str, content: Content, hops: u32) -> Result<(), Error> {
        self.topics.check(topic)?;
        content.check()?;
        self.backend.send(topic, &self.counted(content, hops)?).await
    }

    /// A message that tells of the steps behind it, as far as its server carries that.
    fn counted(&self, mut content: Content, hops: u32) -> Result<Content, Error> {
        let metadata = content.metadata.get_or_insert_default();
        note_hops(metadata, self.backend.hops(), hops).map_err(Error::Queue)?;
        Ok(content)
    }

    /// Sends to where a server said that replies go, whatever topics are open.
    async fn reply(&self, topic: &str, content: &Content) -> Result<(), Error> {
        content.check()?;
        self.backend.send(topic, content).await
    }

    /// Sends a message with so many steps behind it, and waits for replies, which `room` is there for.
    /// The second of each is where replies to the reply go.
    async fn request(
        &self,
        topic: &str,
        (content, hops): (Content, u32),
        wanted: Wanted,
        room: &UnderWay,
    ) -> Result<Vec<(Message, Option<String>)>, Error> {
        self.topics.check(topic)?;
        content.check()?;
        self.backend.request(topic, &self.counted(content, hops)?, wanted, room).await
    }
}

/// One component's clients, by name.
#[derive(Default)]
pub struct Grant {
    clients: BTreeMap<String, Arc<Client>>,
    held: OnceLock<UnderWay>,
}

impl Grant {
    /// The clients that the component's manifest lists; nothing is connected yet.
    ///
    /// # Errors
    /// A name that nothing is behind.
    pub fn prepare(component: &Component, clients: &Clients) -> Result<Self, UnknownClient> {
        let granted = component.messaging.iter().map(|name| {
            let client = clients.find(name).ok_or_else(|| UnknownClient(name.clone()))?;
            Ok((name.clone(), client))
        });
        Ok(Self { clients: granted.collect::<Result<_, _>>()?, held: OnceLock::new() })
    }

    /// A client that the component was granted.
    fn client(&self, name: &str) -> Option<Arc<Client>> {
        self.clients.get(name).cloned()
    }

    /// What messages may take of memory.
    fn held(&self) -> UnderWay {
        self.held.get_or_init(|| UnderWay::new(HELD_BYTES)).clone()
    }
}
