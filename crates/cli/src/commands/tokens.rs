//! `dayfly tokens`: who may do what on a platform.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_api::{NewToken, Scope, TenantId, Token};
use serde_json::json;

use crate::platform::{PlatformArgs, Session, failed, lifetime, time};
use crate::{logging, output, report};

/// List, make and revoke tokens of a platform
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly tokens make ci --scope deploy --expires 90d\n  dayfly tokens list"
)]
pub(crate) struct Tokens {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// The operator's tokens, which are for all tenants
    #[arg(long, global = true, conflicts_with = "tenant")]
    operator: bool,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// List them: id, name, scope, when they were used last
    List,
    /// Make one, and print its text, which is shown nowhere again
    Make {
        /// What it is for, for people
        name: String,
        /// What it allows: `read`, `deploy` (and read), or `admin` (and both)
        #[arg(long, default_value = "deploy")]
        scope: Scope,
        /// After how long it expires, such as `90d` or `12h` [default: never]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<Duration>,
    },
    /// Revoke one: from now on nobody can use it
    Revoke {
        /// Its id
        id: String,
    },
}

impl Tokens {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let Session { client, tenant } = &session;
        let owner: Option<&TenantId> = Some(tenant).filter(|_| !self.operator);
        match self.verb.unwrap_or(Verb::List) {
            Verb::List => {
                let found = client.tokens(owner);
                let found = found.map_err(|error| failed(error, "list tokens"))?;
                self.platform.list(&found, ["ID", "NAME", "SCOPE", "USED", "EXPIRES"], row)?;
            }
            Verb::Make { name, scope, expires } => {
                let expires_in_seconds = expires.map(|time| time.as_secs());
                let new = NewToken { name, scope, expires_in_seconds };
                let made = client.make_token(owner, &new);
                let made = made.map_err(|error| failed(error, "make a token"))?;
                if self.platform.json {
                    return output::json(&serde_json::to_value(&made)?).map(|()| ExitCode::SUCCESS);
                }
                let whose = owner.map_or_else(
                    || "the operator".to_owned(),
                    |tenant| format!("tenant `{tenant}`"),
                );
                report::note(
                    "Made",
                    format_args!("token `{}` of {whose} ({scope})", made.token.id),
                );
                output::line(&made.text)?;
            }
            Verb::Revoke { id } => {
                let revoked = client.remove_token(owner, &id);
                revoked.map_err(|error| failed(error, format!("revoke token `{id}`")))?;
                self.platform.tell(
                    &json!({ "revoked": id }),
                    "Revoked",
                    format_args!("token `{id}`"),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &Token) -> [String; 5] {
    let or_never = |at: &Option<String>| at.as_deref().map_or_else(|| "never".to_owned(), time);
    [
        token.id.clone(),
        token.name.clone(),
        token.scope.to_string(),
        or_never(&token.last_used_at),
        or_never(&token.expires_at),
    ]
}
