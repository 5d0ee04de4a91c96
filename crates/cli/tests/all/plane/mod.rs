//! The apps of one node in this process: real guests, real clients, and releases that follow one another.

mod events;
mod hosts;
mod sleep;
mod swap;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dayfly_capabilities::variables::Providers;
use dayfly_capabilities::{Backends, opened_by};
use dayfly_engine::{Digest, Engine, EngineConfig, Mode, Stamp};
use dayfly_forge::Job;
use dayfly_host::{
    AppKey, Apps, BoxError, GuestLog, HostConfig, Image, ImageSource, Made, Node, Outcome, Part,
    Plane, Prepared, Release, ResidencyConfig, Rollout, ServeError, ServerConfig, Shutdown,
    TlsConfig,
};
use dayfly_model::{App as Model, ComponentId, Executor, Manifest, RuntimeConfig};
use dayfly_testing::{App, Certificate, Client, shared_cache};
use tempfile::TempDir;

/// How long what runs in a former release may take.
const GRACE: Duration = Duration::from_secs(3);

/// A node of many apps that runs until this is dropped.
struct Served {
    plane: Plane,
    base: String,
    shutdown: Shutdown,
    state: TempDir,
    thread: Option<JoinHandle<Result<Outcome, ServeError>>>,
}

impl Served {
    fn start() -> Self {
        Self::with(None)
    }

    fn with(certificate: Option<&Certificate>) -> Self {
        let engine = Engine::new(EngineConfig {
            mode: Mode::Aot,
            cache_dir: Some(shared_cache()),
            ..EngineConfig::default()
        });
        let http = ServerConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            tls: certificate.map(|it| TlsConfig::new(it.chain(), it.key())),
            threads: 2,
            grace: GRACE,
            ..ServerConfig::default()
        };
        let config = HostConfig {
            http,
            metrics_listen: Vec::new(),
            telemetry: None,
            max_instances: 1000,
            max_descriptors: 8000,
            max_onward: 0,
            body_bytes: 256 << 20,
            residency: ResidencyConfig {
                bytes: 1 << 30,
                count: 1000,
                idle: GRACE * 100,
                stand_in: Duration::ZERO,
            },
            arguments: Vec::new(),
            apps: Apps::Many,
        };
        let node = Node::bind(&engine.unwrap(), &config).unwrap();
        let (plane, base) = (node.plane().clone(), node.urls().remove(0));
        let shutdown = Shutdown::new();
        let end = shutdown.clone();
        let thread = Some(std::thread::spawn(move || node.run(&end)));
        Self { plane, base, shutdown, state: tempfile::tempdir().unwrap(), thread }
    }

    /// Serves a release of an app, alone, under the host that has the app's name.
    async fn put(&self, name: &str, id: &str, app: &App) {
        self.try_put(name, &[(id, 100, Some(app))]).await.unwrap();
    }

    /// Serves releases of an app with their parts in percent.
    async fn try_put(
        &self,
        name: &str,
        releases: &[(&str, u32, Option<&App>)],
    ) -> Result<(), String> {
        let key = key(name);
        let former = self.plane.backends(&key);
        let part = |(id, percent, app): &(&str, u32, Option<&App>)| {
            let state = self.state.path().join(name);
            let release = app.map(|app| release(app, &state, former.as_deref()));
            Part { id: (*id).into(), percent: *percent, release, health_path: None, recipe: None }
        };
        let releases = releases.iter().map(part).collect();
        let rollout =
            Rollout { hosts: vec![host(name)], releases, preload: true, takes_events: true };
        let plane = self.plane.clone();
        let put = tokio::task::spawn_blocking(move || plane.put(&key, rollout));
        put.await.unwrap().map(drop).map_err(|error| error.to_string())
    }

    async fn remove(&self, name: &str) -> bool {
        let (plane, key) = (self.plane.clone(), key(name));
        tokio::task::spawn_blocking(move || plane.remove(&key)).await.unwrap().unwrap()
    }

    fn client(&self) -> Client {
        Client::http1(&self.base)
    }

    /// The text of an app's answer, which must be 200.
    async fn text(&self, app: &str, path: &str) -> String {
        let answer = self.client().get_with(path, &[("host", &host(app))]).await;
        assert_eq!(answer.status, 200, "{app}{path}: {}", answer.text());
        answer.text()
    }

    /// The folder of an app's state.
    fn state(&self, app: &str) -> std::path::PathBuf {
        self.state.path().join(app)
    }

    /// Waits until no former release is left.
    async fn drained(&self) {
        let drained = async {
            while self.plane.draining() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(GRACE * 10, drained).await.expect("all former releases end");
    }

    /// Ends it; how many requests and events were not done.
    async fn stop(mut self) -> usize {
        self.shutdown.start();
        let thread = self.thread.take().unwrap();
        let outcome = tokio::task::spawn_blocking(move || thread.join().unwrap().unwrap());
        outcome.await.unwrap().unfinished
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn key(name: &str) -> AppKey {
    AppKey::new("tests", name)
}

/// The host of an app.
fn host(name: &str) -> String {
    format!("{name}.test")
}

/// A handler that tells which release it is of at `/env`.
fn numbered(number: usize) -> App {
    App::granted("rust-http", &format!("environment = {{ RELEASE = \"{number}\" }}"))
}

/// The number that such a release tells.
fn number(text: &str) -> usize {
    let line = text.lines().find_map(|line| line.strip_prefix("RELEASE="));
    line.unwrap_or_else(|| panic!("no release in {text}")).parse().unwrap()
}

/// A release of an app, as the command line makes it.
fn release(app: &App, state: &Path, former: Option<&Backends>) -> Release {
    release_of(app.manifest(), state, former)
}

/// The same of its manifest.
fn release_of(manifest: &Path, state: &Path, former: Option<&Backends>) -> Release {
    std::fs::create_dir_all(state).unwrap();
    let app = Arc::new(Manifest::load(manifest, None).unwrap());
    let variables = Providers::from_process(Default::default()).resolve(&app).unwrap();
    let config = RuntimeConfig::default();
    let backends = match former {
        Some(former) => Backends::after(former, &app, variables, config),
        None => Backends::new(&app, variables, state.to_owned(), config),
    };
    let images = app.components.keys().map(|component| Image {
        component: component.clone(),
        executor: Executor::Detected,
        middleware: Vec::new(),
        source: Box::new(Source { app: app.clone(), component: component.clone() }),
        log: Arc::new(GuestLog::new(&component.0, Some(&state.join("logs")))),
        usage: None,
    });
    let images = images.collect();
    Release { images, backends: Arc::new(backends.unwrap()), app, usage: None }
}

/// A component's file.
struct Source {
    app: Arc<Model>,
    component: ComponentId,
}

impl Source {
    fn file(&self) -> &Path {
        match &self.app.components[&self.component].source {
            dayfly_model::Source::File(file) => file,
            other => panic!("{other:?}"),
        }
    }
}

impl ImageSource for Source {
    fn stamp(&self) -> std::io::Result<Stamp> {
        self.app.root.join(self.file()).metadata().map(|it| Stamp::of(&it))
    }

    fn recipe(&self) -> Option<Digest> {
        None
    }

    fn prepare(&self, _: &Engine) -> Result<Prepared, BoxError> {
        let component = &self.app.components[&self.component];
        let job = Job::new(&self.app, component, &Executor::Detected, &[], opened_by);
        let dayfly_forge::Prepared { wasm, shape, .. } = dayfly_forge::prepare(&job)?;
        Ok(Prepared { made: Made::Wasm(wasm), shape })
    }
}
