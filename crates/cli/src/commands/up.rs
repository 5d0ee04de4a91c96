//! `dayfly up`: serves one app on this machine.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_engine::{Engine, Origin};
use dayfly_forge::fetch::Fetched;
use dayfly_host::{Apps, Host, Shutdown};
use dayfly_model::{App, RuntimeConfig};

use crate::app::AppArgs;
use crate::clients::ClientArgs;
use crate::descriptors::Served;
use crate::engine::EngineArgs;
use crate::harden::{Harden, Needs};
use crate::logging::LogArgs;
use crate::node::{NodeArgs, Purpose};
use crate::residency::ResidencyArgs;
use crate::{report, serving, telemetry};

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

    #[command(flatten)]
    node: NodeArgs,

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
        let limits = app.components.values().map(|component| &component.limits);
        let (most, kept) = (self.node.max_instances, self.node.kept(reuses));
        let engine = self.engine.build(most, kept, limits)?;
        let fetched = Arc::new(self.app.fetch(&app, !notes)?);
        let mut needs = self.needs(&app, &fetched, &config, &engine);
        let telemetry = telemetry::build(&app, &mut needs)?;
        let release = self.app.release(&app, &fetched, config, None)?;
        let state = release.backends.state.clone();
        let seeds = self.app.seeds(&release)?;
        let components = release.images.len();
        if !self.arguments.is_empty() && !app.runs_commands() {
            return Err(anyhow!(
                "arguments are for commands that run once, and app `{}` has no `[[trigger.command]]`",
                app.name
            ));
        }
        let config = self.node.config(
            (&self.clients, &self.residency),
            Purpose {
                apps: Apps::one(&app),
                leads: false,
                components: Served::Known(components),
                telemetry,
                arguments: &self.arguments,
            },
        );
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
        let outcome = host.run(&shutdown)?;
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
        self.node.needs(&mut needs);
        needs.write.extend(engine.config().cache_dir.clone());
        needs
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
