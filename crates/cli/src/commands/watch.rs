//! `dayfly watch`: serves one app as `up` does, and follows its sources.
//!
//! The process runs build commands, so it gives up nothing of what it may do (`--harden`): it serves who
//! works on the app, and `up` or `serve` everybody else.

mod inputs;
mod page;
mod watcher;
mod workshop;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_host::{AppKey, Apps, Node, Shutdown, has_routes};
use dayfly_model::manifest::parse_duration;

use crate::app::AppArgs;
use crate::clients::ClientArgs;
use crate::descriptors::Served;
use crate::engine::EngineArgs;
use crate::harden::Needs;
use crate::logging::LogArgs;
use crate::node::{NodeArgs, Purpose};
use crate::residency::ResidencyArgs;
use crate::telemetry;
use inputs::{Changes, Inputs};
use watcher::Watcher;
use workshop::{Workshop, manifest};

/// How often is looked whether the command is to end.
const LOOK: Duration = Duration::from_millis(200);

/// How long nothing has changed before code is made in full that others save again soon: until then it would
/// take the cores from what builds and makes the next.
const CALM: Duration = Duration::from_secs(5);

/// Serve an app, and its next release whenever its sources change.
#[derive(Args)]
#[command(
    mut_arg("path", |path| path.help(
        "A folder with a `dayfly.toml` or `spin.toml`, a manifest, one `.wasm` or `.wat` file or a script"
    )),
    after_help = "Example:\n  dayfly watch\n  dayfly watch examples/hello --listen 127.0.0.1:8080"
)]
pub(crate) struct Watch {
    #[command(flatten)]
    app: AppArgs,

    #[command(flatten)]
    node: NodeArgs,

    /// Run no build commands: others build, and what they make is served
    #[arg(long)]
    skip_build: bool,

    /// How long nothing more may change before what did is taken
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = parse_duration)]
    debounce: Duration,

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
}

impl Watch {
    pub(crate) fn run(self) -> Result<ExitCode> {
        self.log.start()?;
        let notes = !self.quiet && !self.log.is_json();
        let args = self.app.clone().drafting();
        if let Some(reference) = args.reference()? {
            return Err(anyhow!("`{reference}` is a package: nothing of it ever changes"));
        }
        let config = args.runtime_config()?;
        let app = Arc::new(args.load(&config)?);
        let limits = app.components.values().map(|component| &component.limits);
        let engine = self.engine.build(self.node.max_instances, self.node.kept(true), limits)?;
        let telemetry = telemetry::build(&app, &mut Needs::default())?;
        let mut host = self.node.config(
            (&self.clients, &self.residency),
            Purpose {
                leads: false,
                // Whether components call one another may change, and how many there are.
                apps: Apps::One { calls: true },
                components: Served::Many,
                telemetry,
                arguments: &[],
            },
        );
        host.residency.stand_in = CALM;
        let node = match has_routes(&app) {
            true => Node::bind(&engine, &host)?,
            false => Node::deaf(&engine, &host)?,
        };
        let shutdown = Shutdown::on_signals()?;
        let inputs = Inputs::of(&app, &manifest(args.path()), self.skip_build);
        let mut workshop = Workshop {
            args: &args,
            config: &config,
            plane: node.plane().clone(),
            key: AppKey::new("default", app.name.as_str()),
            shutdown: shutdown.clone(),
            skips_builds: self.skip_build,
            notes,
            is_unread: false,
            unbuilt: inputs.built(),
            inputs,
            app,
            backends: None,
            number: 0,
        };
        let mut watcher = Watcher::new()?;
        workshop.follow(&mut watcher)?;
        let urls = node.urls();
        thread::scope(|scope| {
            let serving = scope.spawn(|| node.run(&shutdown).inspect_err(|_| shutdown.start()));
            let watched = self.follow(&mut workshop, &mut watcher, &urls);
            shutdown.start();
            let outcome = serving.join().map_err(|_| anyhow!("a thread failed"))??;
            watched?;
            Ok(ExitCode::from(outcome.status))
        })
    }

    /// Makes the first release, and another one after each change, until the end is asked for.
    fn follow(
        &self,
        workshop: &mut Workshop<'_>,
        watcher: &mut Watcher,
        urls: &[String],
    ) -> Result<()> {
        let mut shown = Vec::new();
        let mut noted = None;
        let mut changes = Changes::default();
        loop {
            let is_served = workshop.take(&changes, |inputs| watcher.learn(inputs.sources()));
            if is_served {
                // Of two notes the later one would wait for the end of the other.
                drop(noted.take());
                noted = workshop.note(urls);
            }
            let lines = workshop.plane.describe(&workshop.key, urls);
            if !self.quiet && (lines != shown || changes == Changes::default()) {
                let places = if lines.is_empty() { urls } else { &lines };
                places.iter().for_each(|line| anstream::println!("{line}"));
                shown = lines;
            }
            workshop.follow(watcher)?;
            let paths = loop {
                if workshop.shutdown.is_started() {
                    return Ok(());
                }
                let inputs = &workshop.inputs;
                let paths = watcher.changed((LOOK, self.debounce), |path| inputs.matter(path))?;
                if !paths.is_empty() {
                    break paths;
                }
            };
            changes = workshop.inputs.changes(paths.iter().map(PathBuf::as_path));
            workshop.tell(&paths);
        }
    }
}
