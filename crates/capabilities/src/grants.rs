//! One component's share of every capability, made once and shared by all its instances.

use std::sync::Arc;

use dayfly_model::outbound::{OutboundError, OutboundHosts};
use dayfly_model::template::MissingVariable;
use dayfly_model::{App, Component, Limits};
use dayfly_telemetry::{ComponentMetrics, UsageCounters};
use thiserror::Error;

use crate::account::Account;
use crate::backends::Backends;
use crate::connections::{Connections, Leave};
use crate::dial::Dialer;
use crate::key_value::UnknownStore;
use crate::messaging::UnknownClient;
use crate::names::Names;
use crate::rdbms::bounds::Bounds;
use crate::refusals::{Refusal, Refusals};
use crate::sqlite::UndefinedDatabase;
use crate::supply::{Part as Descriptor, Share};
use crate::wasi::limited::Limited;
use crate::wasi::rate::Rate;
use crate::wasi::stdio::LogSink;
use crate::{
    blobstore, http, key_value, llm, messaging, mqtt, mysql, postgres, redis, sqlite, tls,
    variables, wasi, websocket,
};

/// Why a component's grants could not be honoured.
#[derive(Debug, Error)]
pub enum GrantError {
    /// Its files.
    #[error("failed to grant the files of component `{component}`")]
    Files {
        /// The component.
        component: String,
        /// What went wrong.
        source: wasi::FilesError,
    },
    /// Its outbound hosts.
    #[error("failed to grant the outbound hosts of component `{component}`")]
    Hosts {
        /// The component.
        component: String,
        /// What went wrong.
        source: OutboundError,
    },
    /// Its variables.
    #[error("failed to fill the variables of component `{component}`")]
    Variables {
        /// The component.
        component: String,
        /// What went wrong.
        source: MissingVariable,
    },
    /// Its key-value stores.
    #[error("failed to grant the key-value stores of component `{component}`")]
    KeyValue {
        /// The component.
        component: String,
        /// What went wrong.
        source: UnknownStore,
    },
    /// Its messaging clients.
    #[error("failed to grant the messaging clients of component `{component}`")]
    Messaging {
        /// The component.
        component: String,
        /// What went wrong.
        source: UnknownClient,
    },
    /// Its SQL databases.
    #[error("failed to grant the SQL databases of component `{component}`")]
    Sqlite {
        /// The component.
        component: String,
        /// What went wrong.
        source: UndefinedDatabase,
    },
}

/// One component's shares of what the guests of a process use up together. All of its instances need the
/// same, or a clone of it.
#[derive(Clone)]
pub struct Shares {
    /// Files, sockets and connections.
    pub descriptors: Share,
    /// Bytes of bodies that the host holds whole.
    pub whole: Share,
}

/// What one component may use, and how much of it.
pub struct Grants {
    /// The component's id, for logs.
    pub component: Arc<str>,
    /// Its bounds.
    pub limits: Limits,
    /// What is counted of it.
    pub metrics: Arc<ComponentMetrics>,
    /// Where what it uses is counted by release, if that is.
    pub usage: Option<Arc<UsageCounters>>,
    /// Where its lines of output go.
    pub log: Arc<dyn LogSink>,
    /// Its share of WASI.
    pub wasi: wasi::Grant,
    /// Its share of outbound HTTP.
    pub http: http::Grant,
    /// Its containers of blobs.
    pub blobs: blobstore::Grant,
    /// Its messaging clients.
    pub messaging: messaging::Grant,
    /// Its share of the app's WebSockets.
    pub websocket: websocket::Grant,
    /// Its share of MQTT.
    pub mqtt: mqtt::Grant,
    /// Its share of Redis.
    pub redis: redis::Grant,
    /// Its share of MySQL.
    pub mysql: mysql::Grant,
    /// Its share of PostgreSQL.
    pub postgres: postgres::Grant,
    /// The hosts that it may reach, and the names of them.
    pub(crate) names: Arc<Names>,
    /// Its variables.
    pub variables: variables::Grant,
    /// Its key-value stores.
    pub key_value: key_value::Grant,
    /// The language models that it may ask.
    pub llm: llm::Grant,
    /// How many connections the app may have open.
    connections: Arc<Connections>,
    /// Its SQL databases.
    pub sqlite: sqlite::Grant,
    /// Its share of what all guests may hold open, and whole.
    shares: Shares,
    /// What the log says of what it was refused.
    pub(crate) refusals: Refusals,
    /// What its tenant may take, all apps together.
    pub(crate) account: Option<Arc<Account>>,
}

impl Shares {
    /// For a guest that has its process for itself, such as that of a one-shot command.
    pub fn unbounded() -> Self {
        Self { descriptors: Share::unbounded(), whole: Share::unbounded() }
    }
}

impl Grants {
    /// Opens what a component's manifest grants it. `backends` are the app's; `shares` is what
    /// the component may hold, `metrics` what is counted of it.
    ///
    /// # Errors
    /// If something that is granted is not there.
    pub fn prepare(
        app: &App,
        component: &Component,
        backends: &Backends,
        log: Arc<dyn LogSink>,
        shares: Shares,
        metrics: Arc<ComponentMetrics>,
    ) -> Result<Self, GrantError> {
        let name = &component.id.0;
        let Backends { variables: values, state, config, .. } = backends;
        let hosts = component
            .allowed_outbound_hosts
            .resolve(&values.of_hosts())
            .map_err(|source| GrantError::Hosts { component: name.clone(), source })?;
        let names = Names::new(Arc::new(hosts)).within(config.outbound_networking.clone());
        let names = names.rehearsed(metrics.component(), backends.rehearsal.clone());
        let names = Arc::new(names);
        let connections = backends.connections.clone();
        let dialer =
            Dialer::new(names.clone(), shares.descriptors.clone()).within(connections.clone());
        let tls = backends.tls.of(name);
        let bounds = Bounds::of(&component.limits);
        let wasi = wasi::Grant::prepare(component, names.clone(), &app.root, state)
            .map_err(|source| GrantError::Files { component: name.clone(), source })?;
        let key_value = key_value::Grant::prepare(component, &backends.key_value)
            .map_err(|source| GrantError::KeyValue { component: name.clone(), source })?;
        let messaging = messaging::Grant::prepare(component, &backends.messaging)
            .map_err(|source| GrantError::Messaging { component: name.clone(), source })?;
        let variables = variables::Grant::prepare(component, values)
            .map_err(|source| GrantError::Variables { component: name.clone(), source })?;
        let sqlite = backends
            .sqlite
            .grant(component)
            .map_err(|source| GrantError::Sqlite { component: name.clone(), source })?;
        Ok(Self {
            component: metrics.component().clone(),
            metrics,
            usage: None,
            log: logged(log, component, backends.account.as_ref()),
            limits: component.limits.clone(),
            wasi,
            mqtt: mqtt::Grant::new(dialer.clone(), tls.clone()).within(config.mqtt_payload_bytes),
            redis: redis::Grant::new(dialer.clone(), tls.clone()),
            mysql: mysql::Grant::new(dialer.clone(), bounds, tls.clone()),
            postgres: postgres::Grant::new(dialer.clone(), bounds, tls.clone()),
            http: http::Grant::new(
                dialer,
                backends.internal.clone(),
                tls,
                config.outbound_http.pooling,
            ),
            names,
            variables,
            key_value,
            llm: llm::Grant::prepare(component, backends.llm.clone()),
            connections,
            blobs: blobstore::Grant::prepare(component, &backends.blobs),
            messaging,
            websocket: websocket::Grant::prepare(component, &backends.websockets),
            sqlite,
            shares,
            refusals: Refusals::default(),
            account: backends.account.clone(),
        })
    }

    /// The share of a one-shot command that is part of no app: its own environment, folders and
    /// hosts.
    ///
    /// # Errors
    /// If a folder cannot be opened.
    pub fn for_command(
        name: &str,
        limits: Limits,
        environment: Vec<(String, String)>,
        folders: &[wasi::Folder],
        hosts: OutboundHosts,
        log: Arc<dyn LogSink>,
    ) -> Result<Self, wasi::FilesError> {
        let names = Arc::new(Names::new(Arc::new(hosts)));
        let shares = Shares::unbounded();
        let dialer = Dialer::new(names.clone(), shares.descriptors.clone());
        let bounds = Bounds::of(&limits);
        Ok(Self {
            component: name.into(),
            metrics: Arc::new(ComponentMetrics::new(name)),
            usage: None,
            limits,
            log,
            wasi: wasi::Grant::for_command(environment, folders, names.clone())?,
            mqtt: mqtt::Grant::new(dialer.clone(), tls::Clients::default()),
            redis: redis::Grant::new(dialer.clone(), tls::Clients::default()),
            mysql: mysql::Grant::new(dialer.clone(), bounds, tls::Clients::default()),
            postgres: postgres::Grant::new(dialer.clone(), bounds, tls::Clients::default()),
            http: http::Grant::new(dialer, Arc::default(), tls::Clients::default(), true),
            names,
            variables: variables::Grant::default(),
            key_value: key_value::Grant::default(),
            llm: llm::Grant::default(),
            connections: Arc::default(),
            blobs: blobstore::Grant::default(),
            messaging: messaging::Grant::default(),
            websocket: websocket::Grant::default(),
            sqlite: sqlite::Grant::default(),
            shares,
            refusals: Refusals::default(),
            account: None,
        })
    }

    /// The component's share of the bytes that are held whole.
    pub fn whole(&self) -> &Share {
        &self.shares.whole
    }

    /// Leave to hold one more socket, of those that the operator lets the app have.
    pub(crate) fn leave_for_socket(&self) -> Option<Leave> {
        let leave = self.connections.socket();
        if leave.is_none() {
            self.refusals.note(Refusal::Connection, |unsaid| {
                let component = &self.component;
                tracing::warn!(
                    %component, unsaid,
                    "refused: as many sockets are open as may be (`outbound_networking` of the \
                     runtime configuration)"
                );
            });
        }
        leave
    }

    /// Leave to hold one more file, socket or connection open.
    pub(crate) fn take_descriptor(&self) -> Option<Descriptor> {
        let taken = self.shares.descriptors.take();
        if taken.is_none() {
            self.refusals.note(Refusal::Descriptor, |unsaid| {
                let component = &self.component;
                tracing::warn!(
                    %component, unsaid,
                    "refused: guests hold as many files, sockets and connections as they may \
                     (`--max-descriptors`)"
                );
            });
        }
        taken
    }
}

/// Where a component's lines go, as far as they may be logged.
fn logged(
    log: Arc<dyn LogSink>,
    component: &Component,
    account: Option<&Arc<Account>>,
) -> Arc<dyn LogSink> {
    let log = match account {
        Some(account) => Arc::new(Limited::new(log, account.clone())),
        None => log,
    };
    Arc::new(Limited::new(log, Rate::new(component.limits.log_rate_bytes)))
}
