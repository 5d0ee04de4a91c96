//! `dayfly package`: an app in, a package in one file out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_forge::package;
use serde_json::json;

use crate::app::AppSource;
use crate::engine::EngineArgs;
use crate::output::{self, Size};
use crate::{logging, packing, report};

/// Put an app into one file: what `dayfly push` would publish, without a registry
///
/// The file is an OCI image layout in a tar archive (`oci-archive`), which tools for registries copy
/// to any of them, and which `dayfly up FILE` serves. The same app makes the same file. What is not in
/// it is what `dayfly push` leaves out.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly package examples/hello -o hello.tar && dayfly up hello.tar\n  skopeo copy oci-archive:hello.tar docker://ghcr.io/me/hello:1.0.0"
)]
pub(crate) struct Package {
    #[command(flatten)]
    source: AppSource,

    /// Where the package goes: a name that ends with `.tar`
    #[arg(short, long, value_name = "FILE", value_parser = archive)]
    output: PathBuf,

    /// Compress no component, for hosts that know only plain ones, as Spin
    #[arg(long)]
    plain: bool,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

/// By its name `dayfly up` knows what it is.
fn archive(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match package::is_archive(&path) {
        true => Ok(path),
        false => Err("a package is a file whose name ends with `.tar`".to_owned()),
    }
}

impl Package {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let stated = self.source.read_stated()?;
        let fetched = self.source.fetch(&stated.app, self.quiet || self.json)?;
        let scratch = tempfile::tempdir()?;
        let packed = packing::pack(&stated, &fetched, &self.engine, self.plain, scratch.path())?;
        packing::warn(&stated.app, &packed.package, "packed", "whoever serves the package sets it");
        let written = package::write(&packed.package, &self.output).map_err(packing::hinted)?;
        let package::Written { digest, blobs, bytes } = written;
        let output = self.output.display();
        if self.json {
            output::json(&json!({
                "output": output.to_string(),
                "digest": digest,
                "blobs": blobs,
                "bytes": bytes,
            }))?;
        } else {
            if !self.quiet {
                let size = Size(bytes);
                report::note("Packed", format_args!("`{output}` ({blobs} blobs, {size})"));
            }
            output::line(digest)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
