//! `dayfly audit`: who changed what on a platform.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_api::AuditEntry;

use crate::logging;
use crate::platform::{PlatformArgs, failed, time};

/// Show what was changed on a platform, by whom and from where, the newest first
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly audit --most 50\n  dayfly audit --all --json")]
pub(crate) struct Audit {
    /// How many changes at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    most: usize,

    /// Of all tenants, which only the operator sees
    #[arg(long, conflicts_with = "tenant")]
    all: bool,

    #[command(flatten)]
    platform: PlatformArgs,
}

impl Audit {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let tenant = Some(&session.tenant).filter(|_| !self.all);
        let found = session.client.audit(tenant, self.most);
        let found = found.map_err(|error| failed(error, "show what was changed"))?;
        let head = ["AT", "BY", "FROM", "TENANT", "ACTION", "OBJECT", "DETAIL"];
        self.platform.list(&found, head, row)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(entry: &AuditEntry) -> [String; 7] {
    let or_platform = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        time(&entry.at),
        or_platform(&entry.token_name),
        or_platform(&entry.from),
        entry.tenant.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        entry.action.clone(),
        entry.object.clone(),
        entry.detail.clone().unwrap_or_default(),
    ]
}
