//! The first step: an app's build commands.

use anyhow::{Result, anyhow, bail};
use dayfly_model::App;

use crate::commands::build::commands;
use crate::report;

/// Runs the build commands of an app, if it has any, and tells what failed.
///
/// # Errors
/// If one failed.
pub(super) fn build(app: &App) -> Result<()> {
    let ran = commands::run(app, |_| true, None, false)?;
    if ran.interrupted {
        bail!("the build was interrupted");
    }
    if ran.works.iter().any(|(_, built)| !built.is_done()) {
        let error = anyhow!("a build failed, so nothing was deployed");
        return Err(report::hint(error, Some("`--no-build` takes what is there")));
    }
    Ok(())
}
