//! An app that is tested: the real host on a free port, with a state folder of its own, and a recorder around
//! it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_capabilities::key_value::Stores;
use dayfly_capabilities::queue::Store;
use dayfly_capabilities::sqlite::Databases;
use dayfly_capabilities::{Backends, Rehearsal};
use dayfly_engine::Engine;
use dayfly_forge::fetch::Fetched;
use dayfly_host::{
    Apps, Host, HostConfig, ListenAddr, Outcome, Release, ResidencyConfig, ServeError,
    ServerConfig, Shutdown,
};
use dayfly_model::runtime_config::{
    KeyValueStore, LlmApi, LlmCompute, Messaging, MessagingKind, Secret, SqliteDatabase,
};
use dayfly_model::test_file::{Content, Setup};
use dayfly_model::{App, FileGrant, OutboundHosts, RuntimeConfig, TriggerKind};
use tempfile::TempDir;

use super::content;
use super::recorder::{Lines, Recorder};
use crate::{app, report};

/// How many instances of one test's app may run at once.
pub(crate) const INSTANCES: u32 = 64;

/// The longest wait before an event is delivered again.
const RETRY: Duration = Duration::from_millis(10);

/// Longer than any test.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// What all tests of an app share.
pub(crate) struct Company {
    pub(crate) app: Arc<App>,
    pub(crate) fetched: Arc<Fetched>,
    pub(crate) config: RuntimeConfig,
    pub(crate) engine: Engine,
    /// Values of variables that the command line has.
    pub(crate) variables: BTreeMap<String, String>,
}

/// What one test has of its own.
pub(super) struct Scene<'s> {
    pub(super) company: &'s Company,
    pub(super) setup: &'s Setup,
    /// Where language models are asked, if the test says what they answer.
    pub(super) models: Option<SocketAddr>,
    state: TempDir,
}

/// The app of one test, which serves until this is dropped.
pub(super) struct Stage<'s> {
    pub(super) app: Arc<App>,
    pub(super) seen: Arc<Recorder>,
    /// What its routes are under, if it has any.
    pub(super) url: Option<String>,
    pub(super) key_values: Arc<Stores>,
    pub(super) queues: Arc<Store>,
    pub(super) sqlite: Databases,
    shutdown: Shutdown,
    serving: Option<JoinHandle<Result<Outcome, ServeError>>>,
    /// After the others: its folder goes when they are gone.
    pub(super) scene: Scene<'s>,
}

impl Company {
    /// The app without what is not to happen by itself.
    fn cast(&self, setup: &Setup, state: &Path) -> Result<App> {
        let mut app = App::clone(&self.app);
        for component in app.components.values_mut() {
            component.environment.extend(setup.environment.clone());
        }
        for (id, component) in &mut app.components {
            for (i, grant) in component.files.iter_mut().enumerate() {
                let FileGrant::Mount { source, writable: true, .. } = grant else { continue };
                let copy = state.join("written").join(&id.0).join(i.to_string());
                copy_folder(&app.root.join(&*source), &copy)
                    .with_context(|| format!("failed to copy `{}`", source.display()))?;
                *source = copy;
            }
        }
        // Steps begin them.
        app.triggers.retain(|trigger| !matches!(trigger.kind, TriggerKind::Command(_)));
        for trigger in &mut app.triggers {
            if let TriggerKind::Event(event) = &mut trigger.kind {
                let retry = &mut event.delivery.retry;
                (retry.delay, retry.max_delay) =
                    (retry.delay.min(RETRY), retry.max_delay.min(RETRY));
            }
        }
        Ok(app)
    }

    /// What stands behind the app's grants: whatever nothing says something of is in the state folder.
    fn surroundings(&self, models: Option<SocketAddr>) -> RuntimeConfig {
        let mut config = self.config.clone();
        for component in self.app.components.values() {
            for label in &component.key_value_stores {
                let stores = &mut config.key_value_stores;
                stores.entry(label.clone()).or_insert(KeyValueStore::Sqlite(None));
            }
            for label in &component.sqlite_databases {
                let databases = &mut config.sqlite_databases;
                databases.entry(label.clone()).or_insert(SqliteDatabase { path: None });
            }
            for name in &component.messaging {
                config.messaging.entry(name.clone()).or_insert(Messaging {
                    kind: MessagingKind::Queue,
                    url: Secret(String::new()),
                    topics: None,
                });
            }
        }
        if let Some(address) = models {
            config.llm_compute = Some(LlmCompute {
                api: LlmApi::OpenAi,
                url: Secret(format!("http://{address}")),
                auth_token: Secret(String::new()),
            });
        }
        config
    }

    /// Loads every component once, as a test finds it, so that no test waits for a compiler.
    ///
    /// # Errors
    /// All that cannot be loaded.
    pub(crate) fn load(&self, setup: &Setup, starting: impl FnMut(&str)) -> Result<()> {
        let scene = Scene { company: self, setup, models: None, state: tempfile::tempdir()? };
        let seen = |real| Recorder::new(real, &[]);
        let (release, _) = scene.release(seen)?;
        let config = config(&release.app);
        let host = Host::activate(&self.engine, release, &config).map_err(report::hinted)?;
        let loaded = host.preload(starting).into_iter();
        report::all(loaded.map(|loaded| loaded.map(drop).map_err(report::hinted))).map(drop)
    }
}

impl Scene<'_> {
    /// The app as the test has it, around which `recorder` makes what sees it; that is given the servers
    /// that are real.
    ///
    /// # Errors
    /// If something that the app needs is not there.
    pub(super) fn release<R: Into<Arc<Recorder>>>(
        &self,
        recorder: impl FnOnce(OutboundHosts) -> Result<R>,
    ) -> Result<(Release, Arc<Recorder>)> {
        let Self { company, setup, models, state } = self;
        let state = state.path();
        let app = Arc::new(company.cast(setup, state)?);
        let config = company.surroundings(*models);
        let mut given = company.variables.clone();
        given.extend(setup.variables.clone());
        let values = app::values(&app, &config, given)?;
        let real = OutboundHosts::parse(&setup.real)?.resolve(&values.of_hosts())?;
        let seen: Arc<Recorder> = recorder(real)?.into();
        let lines = |id: &dayfly_model::ComponentId| Lines {
            component: id.to_string(),
            seen: seen.clone(),
        };
        // What is made of the app's files does not depend on the test.
        let kept = company.app.root.join(".dayfly");
        let images = app::images(&company.app, &company.fetched, (&kept, None), lines)?;
        let mut backends = Backends::new(&app, values, state.to_owned(), config)?;
        let rehearsal: Arc<dyn Rehearsal> = seen.clone();
        backends.rehearsal = Some(rehearsal);
        Ok((Release { app, images, backends: Arc::new(backends), usage: None }, seen))
    }
}

impl<'s> Stage<'s> {
    /// Prepares an app as a test says, and lets it serve.
    ///
    /// # Errors
    /// If it does not start, or what it is to find cannot be stored.
    pub(super) fn set(
        company: &'s Company,
        setup: &'s Setup,
        models: Option<SocketAddr>,
    ) -> Result<Self> {
        let state = tempfile::tempdir().context("failed to make a state folder")?;
        let scene = Scene { company, setup, models, state };
        let (release, seen) = scene.release(|real| Recorder::new(real, &setup.http))?;
        let backends = &release.backends;
        let (key_values, queues) = (backends.key_value.clone(), backends.queues.clone());
        let sqlite = Databases::new(&backends.config, scene.state.path());
        let starting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        starting.block_on(super::store(setup, &key_values))?;
        for (label, statements) in &setup.sqlite {
            for statement in statements {
                run_sql(&sqlite, label, statement)?;
            }
        }
        let app = release.app.clone();
        let host =
            Host::activate(&company.engine, release, &config(&app)).map_err(report::hinted)?;
        let (url, shutdown) = (host.url(), Shutdown::new());
        let thread = thread::Builder::new().name("tested".to_owned());
        let serving = thread.spawn({
            let shutdown = shutdown.clone();
            move || host.run(&shutdown)
        })?;
        let serving = Some(serving);
        Ok(Self { app, seen, url, key_values, queues, sqlite, shutdown, serving, scene })
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.shutdown.now();
        if let Some(serving) = self.serving.take() {
            match serving.join() {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the tested app ended badly"),
                Err(_) => tracing::warn!("the tested app panicked"),
            }
        }
    }
}

fn run_sql(databases: &Databases, label: &str, statement: &Content) -> Result<()> {
    let sql = String::from_utf8(content::bytes(statement)?).context("SQL is UTF-8")?;
    Ok(databases.run(label, &sql)?)
}

/// How the host of a test serves: for one client, on one thread.
fn config(app: &App) -> HostConfig {
    let http = ServerConfig {
        listen: vec![ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
        threads: 1,
        grace: Duration::from_secs(1),
        // A machine that is busy with other tests does not refuse requests.
        max_lag: Duration::from_secs(600),
        ..ServerConfig::default()
    };
    HostConfig {
        http,
        metrics_listen: Vec::new(),
        telemetry: None,
        max_instances: INSTANCES,
        max_descriptors: 4096,
        max_onward: 0,
        body_bytes: 256 << 20,
        arguments: Vec::new(),
        residency: ResidencyConfig {
            bytes: u64::MAX,
            count: usize::MAX,
            idle: IDLE,
            stand_in: Duration::ZERO,
        },
        apps: Apps::one(app),
    }
}

/// Copies what a folder holds, so that a test may change it. Links and other files are left out.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
