//! `dayfly up`: serves one app on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_engine::{Engine, Origin};
use dayfly_forge::fetch::Fetched;
use dayfly_host::{Host, HostConfig, ListenAddr, ServerConfig, Shutdown, TlsConfig};
use dayfly_model::{App, RuntimeConfig};
use dayfly_telemetry::Telemetry;

use crate::app::{AppArgs, folder_of};
use crate::clients::ClientArgs;
use crate::descriptors::Descriptors;
use crate::engine::EngineArgs;
use crate::harden::{Harden, Needs};
use crate::logging::LogArgs;
use crate::residency::ResidencyArgs;
use crate::{report, serving, telemetry};

/// Instances that may wait for another request, where components are reused.
const KEPT_INSTANCES: u32 = 256;

/// What guests may hold open, for each instance that may run: few have any files, some have many.
const DESCRIPTORS_PER_INSTANCE: u32 = 8;

/// Serve an app, each request in a fresh instance.
#[derive(Args)]
#[command(
    // It is moved behind the others by this, and is the first of the words all the same.
    mut_arg("path", |path| path.index(1).value_name("PATH|REF").help(
        "A folder with a `dayfly.toml` or `spin.toml`, a manifest, one `.wasm` or `.wat` file or a script, \
         or a package of a registry (`REGISTRY/NAME:TAG`)"
    )),
    after_help = "Example:\n  dayfly up examples/hello\n  dayfly up handler.wasm --listen 127.0.0.1:8080\n  dayfly up ghcr.io/me/hello:1.0.0"
)]
pub(crate) struct Up {
    #[command(flatten)]
    app: AppArgs,

    /// Where to listen: HOST:PORT, :PORT (every interface), or unix:PATH; may be repeated
    #[arg(
        long,
        env = "DAYFLY_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    listen: Vec<ListenAddr>,

    /// The certificate chain for HTTPS, PEM; read again when the file changes
    #[arg(long, env = "DAYFLY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, env = "DAYFLY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Where to listen for those that ask for metrics (Prometheus, `/metrics`), as `--listen`; in
    /// the clear, and for nobody's eyes but the operator's
    #[arg(long, env = "DAYFLY_METRICS_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    metrics_listen: Vec<ListenAddr>,

    /// How many threads serve; 0 means one a core
    #[arg(long, env = "DAYFLY_THREADS", default_value_t = 0, value_name = "N")]
    threads: usize,

    /// How many instances may run at once
    #[arg(long, env = "DAYFLY_MAX_INSTANCES", default_value_t = 1000, value_name = "N")]
    max_instances: u32,

    /// How many files, sockets and connections all guests may hold open together; a component leaves
    /// a quarter of it to the others [default: 8 for each instance, or what clients leave]
    #[arg(long, env = "DAYFLY_MAX_DESCRIPTORS", value_name = "N")]
    max_descriptors: Option<u32>,

    /// How many seconds running requests may take to finish after the first SIGINT or SIGTERM
    #[arg(long, env = "DAYFLY_GRACE", default_value_t = 30, value_name = "SECONDS")]
    grace: u64,

    /// Whether the process gives up everything but serving before it serves: new privileges, files
    /// (Landlock), system calls (seccomp)
    #[arg(long, env = "DAYFLY_HARDEN", value_enum, default_value_t = Harden::Auto, value_name = "WHEN")]
    harden: Harden,

    /// Print no progress and no routes
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    log: LogArgs,

    // Those with a heading of their own come last: it would hold for what follows.
    #[command(flatten)]
    residency: ResidencyArgs,

    #[command(flatten)]
    clients: ClientArgs,

    /// What commands that run once (`[[trigger.command]]`) are called with
    #[arg(index = 2, last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

impl Up {
    pub(crate) fn run(mut self) -> Result<ExitCode> {
        self.log.start()?;
        let notes = !self.quiet && !self.log.is_json();
        self.app.bring(!notes)?;
        let config = self.app.runtime_config()?;
        let app = Arc::new(self.app.load(&config)?);
        if app.triggers.is_empty() {
            return Err(anyhow!(
                "app `{}` has no trigger, so nothing would ever wake it",
                app.name
            ));
        }
        let reuses = app.components.values().any(|component| component.reuse.is_on());
        let kept = if reuses { KEPT_INSTANCES.min(self.max_instances) } else { 0 };
        let limits = app.components.values().map(|component| &component.limits);
        let engine = self.engine.build(self.max_instances, kept, limits)?;
        let fetched = Arc::new(self.app.fetch(&app, !notes)?);
        let mut needs = self.needs(&app, &fetched, &config, &engine);
        let telemetry = telemetry::build(&app, &mut needs)?;
        let release = self.app.release(&app, &fetched, config)?;
        let state = release.backends.state.clone();
        let seeds = self.app.seeds(&release)?;
        let components = release.images.len();
        if !self.arguments.is_empty() && !app.runs_commands() {
            return Err(anyhow!(
                "arguments are for commands that run once, and app `{}` has no `[[trigger.command]]`",
                app.name
            ));
        }
        let config = self.config(components, telemetry);
        let host = Host::activate(&engine, release, &config).map_err(report::hinted)?;
        if !host.is_woken() {
            return Err(anyhow!(
                "nothing would ever wake app `{}`: all of its routes are private",
                app.name
            ));
        }
        if self.residency.checks(components) {
            self.preload(&host)?;
        }
        // The threads that serve are started after this, and bound by it.
        self.harden.apply(&needs)?;
        let _noted = serving::note(&app, host.url(), &state);
        seeds.store()?;
        // Before anybody is told that it serves: a signal ends a start at once, but not a request.
        let shutdown = Shutdown::on_signals()?;
        if !self.quiet {
            for line in host.describe() {
                anstream::println!("{line}");
            }
        }
        let outcome = host.run(shutdown)?;
        if !outcome.is_clean() {
            tracing::warn!(unfinished = outcome.unfinished, "ended before every request was done");
        }
        Ok(ExitCode::from(outcome.status))
    }

    /// What is opened while serving.
    fn needs(
        &self,
        app: &App,
        fetched: &Fetched,
        config: &RuntimeConfig,
        engine: &Engine,
    ) -> Needs {
        let mut needs = Needs::default();
        self.app.needs(app, fetched, config, &mut needs);
        // A new certificate comes as a file beside the old one, and takes its name.
        let tls = [&self.tls_cert, &self.tls_key].into_iter().flatten();
        needs.read.extend(tls.map(|file| folder_of(file)));
        let listen = self.listen.iter().chain(&self.metrics_listen);
        needs.unlink.extend(listen.filter_map(|address| match address {
            ListenAddr::Unix { path, .. } => Some(folder_of(path)),
            _ => None,
        }));
        needs.write.extend(engine.config().cache_dir.clone());
        needs
    }

    fn config(&self, components: usize, telemetry: Option<Arc<Telemetry>>) -> HostConfig {
        let tls = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let mut http = ServerConfig {
            listen: self.listen.clone(),
            tls: tls.map(|(certificate, key)| TlsConfig::new(certificate, key)),
            threads: self.threads,
            grace: Duration::from_secs(self.grace),
            ..ServerConfig::default()
        };
        self.clients.apply(&mut http);
        let Descriptors { connections, guests, components: resident } =
            self.descriptors(&http, components);
        http.max_connections = usize::try_from(connections).unwrap_or(usize::MAX);
        HostConfig {
            http,
            metrics_listen: self.metrics_listen.clone(),
            telemetry,
            max_instances: self.max_instances,
            max_descriptors: guests,
            arguments: self.arguments.clone(),
            residency: self.residency.config(components, resident, self.max_instances),
        }
    }

    /// Who may have how many of the files that the process may open.
    fn descriptors(&self, http: &ServerConfig, components: usize) -> Descriptors {
        let each_instance = self.max_instances.saturating_mul(DESCRIPTORS_PER_INSTANCE);
        let wanted = Descriptors {
            connections: self.clients.wanted(http),
            guests: self.max_descriptors.unwrap_or(each_instance).into(),
            components: components as u64,
        };
        let possible = wanted.share_out();
        // Guests make do with less than their default; what was asked for is missed.
        let too_few_for_guests = self.max_descriptors.is_some() && possible.guests < wanted.guests;
        if possible.connections < wanted.connections || too_few_for_guests {
            tracing::warn!(
                connections = possible.connections,
                guests = possible.guests,
                "this process may not open enough files for {} connections and {} files and sockets \
                 of guests: raise its limit (`ulimit -Hn`, `LimitNOFILE=` of systemd)",
                wanted.connections,
                wanted.guests,
            );
        }
        possible
    }

    fn preload(&self, host: &Host) -> Result<()> {
        // Where machines read the log, notes for people would break it.
        let notes = !self.quiet && !self.log.is_json();
        let starting = |component: &str| {
            if notes {
                report::note("Loading", component);
            }
        };
        let loaded =
            host.preload(starting).into_iter().map(|loaded| loaded.map_err(report::hinted));
        for loaded in report::all(loaded)? {
            if let (Origin::Compiled(took), true) = (loaded.origin, notes) {
                report::note("Compiled", format!("{} in {took:.2?}", loaded.component));
            }
        }
        Ok(())
    }
}
