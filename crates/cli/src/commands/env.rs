//! `dayfly env`: what an app on a platform is told, for everybody to see who may read there.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_api::{AppName, ChangeSettings, Setting, SettingName};

use crate::logging;
use crate::platform::{PlatformArgs, failed, rollout};

/// Show or change the variables of an app on a platform
///
/// A name that the app declares as a variable sets that; any other is an environment variable of each
/// component. All changes of one call are there at once, for requests that come after it. What nobody
/// may see belongs into `dayfly secrets`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly env shop\n  dayfly env shop LOG_LEVEL=debug GREETING='hello there' --unset OLD"
)]
pub(crate) struct Env {
    /// The app
    app: AppName,

    /// What is set; without any, what is set is shown
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(SettingName, String)>,

    /// What is taken away
    #[arg(long, value_name = "NAME")]
    unset: Vec<SettingName>,

    #[command(flatten)]
    platform: PlatformArgs,
}

fn pair(text: &str) -> Result<(SettingName, String), String> {
    let (name, value) = crate::app::pair(text)?;
    Ok((name.parse().map_err(|error| format!("{error}"))?, value))
}

impl Env {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name) = (session.app(&self.app), &self.app);
        if self.set.is_empty() && self.unset.is_empty() {
            let found = session.client.settings(&app);
            let found =
                found.map_err(|error| failed(error, format!("show variables of `{name}`")))?;
            self.platform.list(&found, ["NAME", "VALUE"], row)?;
            return Ok(ExitCode::SUCCESS);
        }
        let set = self.set.into_iter().map(|(name, value)| Setting {
            name,
            secret: false,
            value: Some(value),
            set_at: None,
        });
        let change = ChangeSettings { set: set.collect(), unset: self.unset };
        let active = session.client.change_settings(&app, &change);
        let active =
            active.map_err(|error| failed(error, format!("change variables of `{name}`")))?;
        let active = rollout::settle(&session, &app, active)?;
        let names = change.set.iter().map(|it| &it.name).chain(&change.unset);
        let names: Vec<_> = names.map(|it| format!("`{it}`")).collect();
        let text = format!("{} of `{name}`", names.join(", "));
        self.platform.tell(&active, "Changed", text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(setting: &Setting) -> [String; 2] {
    let value = match setting.secret {
        true => "(secret)".to_owned(),
        false => setting.value.clone().unwrap_or_default(),
    };
    [setting.name.to_string(), value]
}
