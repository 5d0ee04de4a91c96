//! What stands behind an app's grants and is shared by its components: the values of its variables,
//! its stores, its state folder. Made once when the app is activated; what must be opened is opened
//! when a guest first asks for it.

use std::path::PathBuf;
use std::sync::Arc;

use dayfly_model::{App, RuntimeConfig};
use thiserror::Error;

use crate::GrantError;
use crate::blobstore::{Containers, UnusableStore};
use crate::connections::Connections;
use crate::http::Internal;
use crate::key_value::{self, Stores};
use crate::llm;
use crate::messaging;
use crate::queue;
use crate::rehearsal::Rehearsal;
use crate::tls::{self, TlsError};
use crate::variables::Variables;
use crate::websocket::Hub;

use crate::sqlite::Databases;

/// Why what the operator says cannot be used.
#[derive(Debug, Error)]
pub enum BackendError {
    /// A file of certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A store of blobs.
    #[error(transparent)]
    Blobs(#[from] UnusableStore),
}

/// The backends of one app.
pub struct Backends {
    /// A value for each variable of the app, or who has it.
    pub variables: Arc<Variables>,
    /// The app's folder for what Dayfly keeps.
    pub state: PathBuf,
    /// What the operator says of the app's surroundings.
    pub config: RuntimeConfig,
    /// Its key-value stores.
    pub key_value: Arc<Stores>,
    /// The way from the app's components to one another.
    pub internal: Arc<Internal>,
    /// Who answers language models' prompts.
    pub(crate) llm: Option<Arc<llm::Backend>>,
    /// How clients speak TLS.
    pub(crate) tls: tls::Settings,
    /// How many connections may be open.
    pub(crate) connections: Arc<Connections>,
    /// Its containers of blobs.
    pub blobs: Containers,
    /// Its messaging clients.
    pub messaging: messaging::Clients,
    /// Its WebSockets.
    pub websockets: Arc<Hub>,
    /// Its SQL databases.
    pub sqlite: Databases,
    /// Its queues, and the dead letters of its triggers.
    pub queues: Arc<queue::Store>,
    /// The test that is running, if one is.
    pub rehearsal: Option<Arc<dyn Rehearsal>>,
}

impl Backends {
    /// Backends of `app` as `config` says, with what is kept in `state`. Certificates and keys are read;
    /// nothing else is opened yet.
    ///
    /// # Errors
    /// If a file of certificates or keys cannot be read, or something that `config` describes
    /// cannot be used.
    pub fn new(
        app: &App,
        variables: Variables,
        state: PathBuf,
        config: RuntimeConfig,
    ) -> Result<Self, BackendError> {
        let tls = tls::Settings::load(&config)?;
        let connections = Arc::new(Connections::new(&config));
        let key_value = Arc::new(Stores::new(&config, &state));
        let sqlite = Databases::new(&config, &state);
        let llm = config.llm_compute.clone().map(llm::Backend::new).map(Arc::new);
        let (variables, internal) = (Arc::new(variables), Arc::default());
        let blobs = Containers::new(&config, &state, &app.name)?;
        let queues = Arc::new(queue::Store::new(&state));
        let messaging = messaging::Clients::new(&config, app, queues.clone());
        Ok(Self {
            queues,
            messaging,
            websockets: Arc::default(),
            variables,
            state,
            config,
            key_value,
            sqlite,
            internal,
            llm,
            tls,
            connections,
            blobs,
            rehearsal: None,
        })
    }

    /// What components were granted and nothing is behind.
    pub fn missing(&self, app: &App) -> Vec<GrantError> {
        let grants = app.components.values().flat_map(|granted| {
            let component = granted.id.to_string();
            let key_value = key_value::Grant::prepare(granted, &self.key_value).err();
            let sqlite = self.sqlite.grant(granted).err();
            let messaging = messaging::Grant::prepare(granted, &self.messaging).err();
            let messaging = messaging
                .map(|source| GrantError::Messaging { component: component.clone(), source });
            let key_value = key_value
                .map(|source| GrantError::KeyValue { component: component.clone(), source });
            [key_value, messaging, sqlite.map(|source| GrantError::Sqlite { component, source })]
        });
        grants.flatten().collect()
    }
}
