//! `dayfly usage`: what apps of a platform used.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use dayfly_api::{AppName, UsageBy, UsageGroup, UsageQuery};

use crate::output::{Micros, Size};
use crate::platform::{PlatformArgs, failed, parse_since, short, time};
use crate::{logging, output, report};

/// Show what apps used: requests, CPU time, memory, bytes, cold starts, and how long requests took
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly usage\n  dayfly usage shop --since 90d --by release")]
pub(crate) struct Usage {
    /// The app [default: all apps, those that were removed since as well]
    app: Option<AppName>,

    /// From when: a span before now such as `24h` or `90d`, or a time (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_since)]
    since: String,

    /// Until when, likewise [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    until: Option<String>,

    /// What has a row of its own [default: apps, or components of the app]
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Total,
    App,
    Component,
    Release,
}

const HEAD: [&str; 14] = [
    "", "REQUESTS", "4XX", "5XX", "ERRORS", "EVENTS", "COLD", "CPU", "MEMORY", "IN", "OUT", "P50",
    "P99", "MAX",
];

impl Usage {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let by = match (self.by, &self.app) {
            (Some(By::Total), _) => UsageBy::Total,
            (Some(By::Release), _) => UsageBy::Release,
            (Some(By::Component), _) | (None, Some(_)) => UsageBy::Component,
            (Some(By::App), _) | (None, None) => UsageBy::App,
        };
        let (from, to) = (Some(self.since), self.until);
        let query = UsageQuery { from, to, by: Some(by), step: None };
        let found = session.client.usage(&session.tenant, self.app.as_ref(), &query);
        let found = found.map_err(|error| failed(error, "ask for usage"))?;
        if self.platform.json {
            output::json(&serde_json::to_value(&found)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        report::note("Used", format_args!("{} to {}", time(&found.from), time(&found.to)));
        let mut head = HEAD;
        head[0] = match by {
            UsageBy::Total => "ALL",
            UsageBy::App => "APP",
            UsageBy::Component => "COMPONENT",
            UsageBy::Release => "RELEASE",
        };
        self.platform.list(&found.groups, head, |group| row(group, by))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a group is called.
fn name(group: &UsageGroup, by: UsageBy) -> String {
    let app = group.app.as_ref().map(ToString::to_string);
    let app = || if group.others { "(others)".to_owned() } else { app.unwrap_or_default() };
    match by {
        UsageBy::Total => "all".to_owned(),
        UsageBy::App => app(),
        UsageBy::Component => {
            format!("{} {}", app(), group.component.as_deref().unwrap_or("(none)"))
        }
        UsageBy::Release => format!("{} {}", app(), group.release.as_ref().map_or("-", short)),
    }
}

fn row(group: &UsageGroup, by: UsageBy) -> [String; 14] {
    let used = &group.total;
    let (status, took) = (&used.status, &used.duration);
    [
        name(group, by),
        used.requests.to_string(),
        status.client_error.to_string(),
        status.server_error.to_string(),
        used.errors.to_string(),
        used.events.to_string(),
        used.cold_starts.to_string(),
        Micros(used.cpu_us).to_string(),
        Size(used.memory_peak_bytes).to_string(),
        Size(used.bytes_in).to_string(),
        Size(used.bytes_out).to_string(),
        Micros(took.p50_us).to_string(),
        Micros(took.p99_us).to_string(),
        Micros(took.max_us).to_string(),
    ]
}
