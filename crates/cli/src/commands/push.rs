//! `dayfly push`: an app as a package of a registry.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_forge::fetch::{Fetching, Reference};
use dayfly_forge::package::{self, Pushed};
use serde_json::json;

use crate::app::AppSource;
use crate::engine::EngineArgs;
use crate::fetching::{self, Teller};
use crate::output::{self, Size};
use crate::{logging, packing, report};

const PUSHING: [&str; 2] = ["Pushing", "Pushed"];

/// Publish an app in a registry, for `dayfly up REF` and for Spin
///
/// What the registry has already is not sent again. Scripts, and components with `build.freeze`, are
/// pushed frozen: whoever pulls them needs nothing of what they were made with. Not pushed are state,
/// histories, `.env` files, runtime configurations, and the defaults of secret variables.
#[derive(Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Example:\n  dayfly push ghcr.io/me/hello:1.0.0\n  dayfly push examples/hello localhost:5000/hello"
)]
pub(crate) struct Push {
    #[command(flatten)]
    source: AppSource,

    /// What the package is to be called: `REGISTRY/NAME:TAG`
    #[arg(value_name = "REF", required = true)]
    reference: Reference,

    /// Compress no component, for hosts that know only plain ones, as Spin
    #[arg(long)]
    plain: bool,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,

    /// Print what was pushed as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

impl Push {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let stated = self.source.read_stated()?;
        let config = fetching::config(self.source.fetched_folder()?)?;
        let fetched = self.source.fetch(&stated.app, self.quiet)?;
        let scratch = tempfile::tempdir()?;
        let packed = packing::pack(&stated, &fetched, &self.engine, self.plain, scratch.path());
        let packed = packed.map_err(|error| failed(error, &self.reference, "pack"))?;
        packing::warn(&stated.app, &packed.package, "pushed", "whoever serves the package sets it");
        let mut teller = Teller::new(PUSHING, self.quiet);
        let tell = |word: Fetching<'_>| teller.tell(word);
        let pushed = package::push(&packed.package, &self.reference, &config, tell);
        let pushed = pushed.map_err(packing::hinted);
        let pushed = pushed.map_err(|error| failed(error, &self.reference, "push"))?;
        self.tell(&pushed)?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, pushed: &Pushed) -> Result<()> {
        let Pushed { digest, blobs, sent, sent_bytes } = pushed;
        let reference = &self.reference;
        if self.json {
            let (registry, repository) = (&reference.registry, &reference.repository);
            return output::json(&json!({
                "reference": reference.to_string(),
                "pinned": format!("{registry}/{repository}@{digest}"),
                "digest": digest,
                "blobs": blobs,
                "sent": sent,
                "sent_bytes": sent_bytes,
            }));
        }
        if !self.quiet {
            let sent =
                format_args!("{sent} of {blobs} blobs sent, {}", Size(*sent_bytes)).to_string();
            report::note("Pushed", format_args!("{reference} ({sent})"));
        }
        output::line(digest)
    }
}

fn failed(error: anyhow::Error, reference: &Reference, verb: &str) -> anyhow::Error {
    error.context(format!("failed to {verb} `{reference}`"))
}
