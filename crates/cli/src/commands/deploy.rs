//! `dayfly deploy`: from an app's folder to its URL on a platform.

mod activating;
mod build;
mod sending;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_api::{Activation, AppId, AppName, Code, PreviewName, Release};
use dayfly_model::App;
use dayfly_model::manifest::parse_duration;
use serde_json::json;

use crate::app::AppSource;
use crate::engine::EngineArgs;
use crate::platform::{PlatformArgs, Session, failed, parse_span, short};
use crate::{logging, output, packing, report};
use sending::Sent;

/// Put an app on a platform, and print its URL once it is served there
///
/// Builds it, sends what the platform has not, has it compiled there, makes it active, and waits until
/// it is served. What cannot be served is rolled back, and the former release goes on answering. Not
/// sent are state, `.env` files, runtime configurations, and the defaults of secret variables.
#[derive(Args)]
#[command(
    mut_arg("path", |path| path.help(
        "A folder with a `dayfly.toml` or `spin.toml`, a manifest, one `.wasm` or `.wat` file or a script"
    )),
    after_help = "Example:\n  dayfly deploy\n  dayfly deploy examples/hello --app shop --percent 10\n  dayfly deploy --preview pr-12 --expires 2d"
)]
pub(crate) struct Deploy {
    #[command(flatten)]
    source: AppSource,

    /// What the app is called on the platform [default: as its manifest calls it]
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,

    /// Run no build commands: what they make is there
    #[arg(long, alias = "skip-build")]
    no_build: bool,

    /// Let the release have what it asks for beyond the one that is active
    #[arg(long)]
    accept: bool,

    /// Its share of the traffic in percent; the rest stays with the release that has most of it
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,

    /// Show it by a preview of this name, at an address of its own, and leave active what is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["percent", "no_activate"])]
    preview: Option<PreviewName>,

    /// After how long the preview goes, up to 90d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span,
          requires = "preview")]
    expires: Duration,

    /// Have it compiled, and leave active what is
    #[arg(long, conflicts_with_all = ["percent", "accept"])]
    no_activate: bool,

    /// A path that has to answer with a status from 200 to 399 before the release has any traffic [default:
    /// the manifest's `application.trigger.http.health`]
    #[arg(long, value_name = "PATH", conflicts_with = "no_activate")]
    health_path: Option<String>,

    /// How long it may take until it is served; then it is rolled back
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    platform: PlatformArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

/// When the steps were done.
struct Clock {
    began: Instant,
    last: Instant,
    steps: serde_json::Map<String, serde_json::Value>,
}

impl Deploy {
    pub(crate) fn run(mut self) -> Result<ExitCode> {
        logging::start_quietly();
        let mut clock = Clock::start();
        let session = self.platform.open()?;
        let stated = self.source.read_stated()?;
        self.health_path = self.health_path.or_else(|| stated.app.http_health.clone());
        let app = session.app(&self.name(&stated.app)?);
        let before = seen(&session, &app)?;
        if !self.no_build {
            build::build(&stated.app)?;
        }
        clock.done("build");
        let fetched = self.source.fetch(&stated.app, self.quiet)?;
        let scratch = tempfile::tempdir()?;
        let packed = packing::pack(&stated, &fetched, &self.engine, false, scratch.path());
        let packed =
            packed.map_err(|error| error.context(format!("failed to pack `{}`", app.app)))?;
        let set_it = format!("set it by `dayfly secrets {} set`", app.app);
        packing::warn(&stated.app, &packed.package, "sent", &set_it);
        clock.done("pack");
        let made = session.client.make_app(&app);
        let made = made.map_err(|error| failed(error, format!("make app `{}`", app.app)))?;
        // Nobody else has made it active since, or that would be seen.
        let before = before.unwrap_or(made.active);
        let (sent, release) = sending::send(&session, &app, &packed.package, self.quiet)?;
        clock.done("send");
        let (mut url, mut host) = (made.url, made.host);
        let active = match (&self.preview, self.no_activate) {
            (Some(name), _) => {
                let preview = self.show(&session, &app, &release, name)?;
                (url, host) = (preview.url, preview.host);
                preview.active
            }
            (None, true) => before,
            (None, false) => self.activate(&session, &app, &release, &before)?,
        };
        clock.done("activate");
        let url = url.unwrap_or_else(|| format!("http://{host}/"));
        self.tell(&Deployed { app: &app, release: &release, active: &active, sent, url }, &clock)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the app is called on the platform.
    fn name(&self, app: &App) -> Result<AppName> {
        if let Some(name) = &self.app {
            return Ok(name.clone());
        }
        app.name.parse().map_err(|error| {
            report::hint(anyhow!("{error}"), Some("name it another way there, by `--app NAME`"))
        })
    }

    fn tell(&self, deployed: &Deployed<'_>, clock: &Clock) -> Result<()> {
        let Deployed { app, release, active, sent, url } = deployed;
        if self.platform.json {
            return output::json(&json!({
                "app": app.app,
                "preview": self.preview,
                "tenant": app.tenant,
                "url": url,
                "release": release.id,
                "active": active,
                "blobs": sent.blobs,
                "sent": sent.sent,
                "sent_bytes": sent.bytes,
                "prepared": release.prepared,
                "took_ms": clock.steps,
            }));
        }
        if !self.quiet {
            let (verb, of) = match self.no_activate {
                true => ("Made", "not active"),
                false => ("Deployed", "served"),
            };
            let (id, took) = (short(&release.id), clock.began.elapsed());
            report::note(
                verb,
                format_args!("release {id} of `{}` ({of} after {took:.1?})", app.app),
            );
        }
        match self.no_activate {
            true => output::line(&release.id),
            false => output::line(url),
        }
    }
}

/// What was done.
struct Deployed<'a> {
    app: &'a AppId,
    release: &'a Release,
    active: &'a Activation,
    sent: Sent,
    url: String,
}

/// What is active of an app, if it is there.
fn seen(session: &Session, app: &AppId) -> Result<Option<Activation>> {
    match session.client.activation(app) {
        Ok(active) => Ok(Some(active)),
        Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
        Err(error) => Err(failed(error, format!("ask for app `{}`", app.app))),
    }
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, steps: serde_json::Map::new() }
    }

    fn done(&mut self, step: &str) {
        let took = self.last.elapsed();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.steps.insert(step.to_owned(), took_ms.into());
        self.last = Instant::now();
    }
}
