//! `dayfly pull`: a package of a registry as an app's folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_forge::fetch::Reference;

use crate::{fetching, report};

/// Fetch an app from a registry, and lay it out in a folder that `dayfly up` serves
///
/// Packages of `dayfly push`, of `spin registry push`, and components that `wkg` published.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly pull ghcr.io/me/hello:1.0.0\n  dayfly pull ghcr.io/me/hello:1.0.0 -o app && dayfly up app"
)]
pub(crate) struct Pull {
    /// The package: `REGISTRY/NAME:TAG`, or `REGISTRY/NAME@sha256:…`
    #[arg(value_name = "REF")]
    reference: Reference,

    /// The folder, which must not be there or be empty [default: what the package is called]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    /// Folder that keeps what was fetched [default: in the user's cache folder]
    #[arg(long, env = "DAYFLY_SOURCE_CACHE_DIR", value_name = "DIR")]
    source_cache_dir: Option<PathBuf>,

    /// Take the package only if it is signed by this key (PEM), as `cosign sign --key` does
    #[arg(long, env = "DAYFLY_VERIFY_KEY", value_name = "FILE")]
    verify_key: Option<PathBuf>,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,
}

impl Pull {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Self { reference, output, source_cache_dir, verify_key, quiet } = self;
        let folder = output.unwrap_or_else(|| reference.name().into());
        let cache = fetching::folder(source_cache_dir)?;
        let folder =
            fetching::package(&reference, cache, Some(&folder), verify_key.as_deref(), quiet)?;
        if !quiet {
            let folder = folder.display();
            report::note("Pulled", format_args!("{reference} to `{folder}`"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
