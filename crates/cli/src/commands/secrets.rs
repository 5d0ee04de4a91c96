//! `dayfly secrets`: what an app on a platform is told and nobody else.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_api::{AppName, ChangeSettings, Setting, SettingName};

use crate::logging;
use crate::platform::{self, PlatformArgs, failed, rollout, time};

/// Set, list and take away the secrets of an app on a platform
///
/// A secret is kept encrypted and never shown again. It is a variable that the app declares, or an
/// environment variable of each component, as with `dayfly env`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly secrets shop set API_KEY < key.txt\n  dayfly secrets shop list"
)]
pub(crate) struct Secrets {
    /// The app
    app: AppName,

    #[command(subcommand)]
    verb: Verb,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// Set one: its value comes by standard input, or is asked for on a terminal
    Set {
        /// What it is called
        name: SettingName,
    },
    /// List their names
    List,
    /// Take some away
    Unset {
        /// What they are called
        #[arg(required = true)]
        names: Vec<SettingName>,
    },
}

impl Secrets {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name) = (session.app(&self.app), &self.app);
        let (change, verb, text) = match self.verb {
            Verb::List => {
                let found = session.client.settings(&app);
                let found =
                    found.map_err(|error| failed(error, format!("list secrets of `{name}`")))?;
                let found: Vec<_> = found.into_iter().filter(|it| it.secret).collect();
                self.platform.list(&found, ["NAME", "SET"], row)?;
                return Ok(ExitCode::SUCCESS);
            }
            Verb::Set { name: secret } => {
                let value = platform::from_stdin_or_prompt("secret")?;
                let text = format!("secret `{secret}` of `{name}`");
                let value = Some(value.0.clone());
                let set = vec![Setting { name: secret, secret: true, value, set_at: None }];
                (ChangeSettings { set, unset: Vec::new() }, "Set", text)
            }
            Verb::Unset { names } => {
                let all: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
                let text = format!("{} of `{name}`", all.join(", "));
                (ChangeSettings { set: Vec::new(), unset: names }, "Took away", text)
            }
        };
        let active = session.client.change_settings(&app, &change);
        let active =
            active.map_err(|error| failed(error, format!("change secrets of `{name}`")))?;
        let active = rollout::settle(&session, &app, active)?;
        self.platform.tell(&active, verb, text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(setting: &Setting) -> [String; 2] {
    [setting.name.to_string(), setting.set_at.as_deref().map(time).unwrap_or_default()]
}
