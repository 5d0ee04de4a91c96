//! `dayfly up`: serves one app on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_engine::Origin;
use dayfly_host::{Dispatcher, ListenAddr, Server, ServerConfig, Shutdown, TlsConfig};
use dayfly_model::{App, HttpTarget, TriggerKind};

use crate::app::AppArgs;
use crate::engine::EngineArgs;
use crate::logging::LogArgs;
use crate::report;

/// Serve an app, each request in a fresh instance.
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly up examples/hello\n  dayfly up handler.wasm --listen 127.0.0.1:8080")]
pub(crate) struct Up {
    #[command(flatten)]
    app: AppArgs,

    /// Where to listen: HOST:PORT, :PORT (every interface), or unix:PATH; may be repeated
    #[arg(long, env = "DAYFLY_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS",
          value_delimiter = ',')]
    listen: Vec<ListenAddr>,

    /// The certificate chain for HTTPS, PEM; read again when the file changes
    #[arg(long, env = "DAYFLY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, env = "DAYFLY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// How many threads serve; 0 means one a core
    #[arg(long, env = "DAYFLY_THREADS", default_value_t = 0, value_name = "N")]
    threads: usize,

    /// How many instances may run at once
    #[arg(long, env = "DAYFLY_MAX_INSTANCES", default_value_t = 1000, value_name = "N")]
    max_instances: u32,

    /// How many seconds running requests may take to finish after the first SIGINT or SIGTERM
    #[arg(long, env = "DAYFLY_GRACE", default_value_t = 30, value_name = "SECONDS")]
    grace: u64,

    /// Print no progress and no routes
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    log: LogArgs,
}

impl Up {
    pub(crate) fn run(self) -> Result<ExitCode> {
        self.log.start()?;
        let app = self.app.load()?;
        if app.triggers.is_empty() {
            return Err(anyhow!("app `{}` has no trigger, so nothing would ever wake it", app.name));
        }
        let engine = self.engine.build(self.max_instances)?;
        let release = self.app.release(app.clone())?;
        let server = self.bind()?;
        let dispatcher = Dispatcher::activate(&engine, release, self.max_instances)?;
        self.preload(&dispatcher)?;
        if !self.quiet {
            print_routes(&app, &server);
        }
        let outcome = server.run(Arc::new(dispatcher), Shutdown::on_signals())?;
        if !outcome.is_clean() {
            tracing::warn!(unfinished = outcome.unfinished, "ended before every request was done");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn bind(&self) -> Result<Server> {
        let tls = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let config = ServerConfig {
            listen: self.listen.clone(),
            tls: tls.map(|(certificate, key)| TlsConfig::new(certificate, key)),
            threads: self.threads,
            grace: Duration::from_secs(self.grace),
            ..ServerConfig::default()
        };
        Server::bind(config).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })
    }

    fn preload(&self, dispatcher: &Dispatcher) -> Result<()> {
        let starting = |component: &str| {
            if !self.quiet {
                report::note("Loading", component);
            }
        };
        for loaded in dispatcher.preload(starting)? {
            if let (Origin::Compiled(took), false) = (loaded.origin, self.quiet) {
                report::note("Compiled", format!("{} in {took:.2?}", loaded.component));
            }
        }
        Ok(())
    }
}

/// Tells each route with its URL.
fn print_routes(app: &App, server: &Server) {
    for url in server.urls() {
        for trigger in &app.triggers {
            let TriggerKind::Http(http) = &trigger.kind else { continue };
            let Some(route) = &http.route else { continue };
            let target = match &http.target {
                HttpTarget::Component { component, .. } => component.0.as_str(),
                HttpTarget::Static(_) => "(static response)",
            };
            let path = route.full();
            let path = if path.is_empty() { "/" } else { &path };
            anstream::println!("{url}{path}  {target}");
        }
    }
}
