//! What stands behind an app's grants and is shared by its components: the values of its variables,
//! its stores, its state folder. Made when a release of the app is activated; what must be opened is
//! opened when a guest first asks for it. What the app keeps is the same for each of its releases.

use std::path::PathBuf;
use std::sync::Arc;

use dayfly_model::{App, RuntimeConfig};
use thiserror::Error;

use crate::GrantError;
use crate::account::Account;
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
    pub blobs: Arc<Containers>,
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
    /// What the app's tenant may take, all its apps together; nothing where there are no others.
    pub account: Option<Arc<Account>>,
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
        let (queues, websockets) = (Arc::new(queue::Store::new(&state)), Arc::default());
        Self::with(app, variables, (state, config), (queues, websockets))
    }

    /// Backends of another release of the app, with the same state folder. What its releases share while
    /// one follows the other is taken over: queues, WebSockets and, if `config` is as it was, stores,
    /// databases and connections, so that what is kept in memory stays.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn after(
        former: &Self,
        app: &App,
        variables: Variables,
        config: RuntimeConfig,
    ) -> Result<Self, BackendError> {
        let kept = (former.queues.clone(), former.websockets.clone());
        let made = Self::with(app, variables, (former.state.clone(), config), kept)?;
        if made.config != former.config {
            return Ok(made);
        }
        Ok(Self {
            key_value: former.key_value.clone(),
            sqlite: former.sqlite.clone(),
            llm: former.llm.clone(),
            connections: former.connections.clone(),
            blobs: former.blobs.clone(),
            ..made
        })
    }

    fn with(
        app: &App,
        variables: Variables,
        (state, config): (PathBuf, RuntimeConfig),
        (queues, websockets): (Arc<queue::Store>, Arc<Hub>),
    ) -> Result<Self, BackendError> {
        let tls = tls::Settings::load(&config)?;
        let connections = Arc::new(Connections::new(&config));
        let key_value = Arc::new(Stores::new(&config, &state));
        let sqlite = Databases::new(&config, &state);
        let llm = config.llm_compute.clone().map(llm::Backend::new).map(Arc::new);
        let (variables, internal) = (Arc::new(variables), Arc::default());
        let blobs = Arc::new(Containers::new(&config, &state, &app.name)?);
        let messaging = messaging::Clients::new(&config, app, queues.clone());
        Ok(Self {
            queues,
            messaging,
            websockets,
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
            account: None,
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
