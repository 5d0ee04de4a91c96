//! What all commands share that talk to a platform: which one, by which token, and for which tenant.
//! What a flag says counts more than the environment, and that more than what `dayfly login` keeps.

mod kept;
pub(crate) mod rollout;
mod secret;

use std::fmt;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_api::{
    Activation, AppId, AppName, Client, ClientError, Code, DEFAULT_URL, ReleaseId, Secret,
    ServingState, TenantId,
};
use serde::Serialize;

pub(crate) use kept::{Kept, Login};
pub(crate) use secret::{from_stdin, from_stdin_or_prompt};

use crate::{output, report};

/// Where a token stands that no file keeps, for those who are not asked.
const TOKEN: &str = "DAYFLY_TOKEN";

/// How many of a release's digits people are shown, and how many releases are looked through for one
/// that is named by some.
const DIGITS: usize = 12;
const RELEASES: usize = 1000;

/// Which platform, and which tenant of it.
#[derive(Args, Clone)]
pub(crate) struct PlatformArgs {
    /// The platform's admin API [default: the one that `dayfly login` was told last]
    #[arg(long, env = "DAYFLY_PLATFORM", value_name = "URL", global = true)]
    platform: Option<String>,

    /// Whose apps [default: those of the token's tenant, or of `default`]
    #[arg(long, env = "DAYFLY_TENANT", value_name = "NAME", global = true)]
    tenant: Option<TenantId>,

    /// Print what comes of it as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A platform that is talked to for a tenant.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) tenant: TenantId,
}

impl PlatformArgs {
    /// Finds the platform and a token for it, and the tenant.
    ///
    /// # Errors
    /// If there is no token, or nobody says whose it is.
    pub(crate) fn open(&self) -> Result<Session> {
        let kept = Kept::load()?;
        let url = self.platform.as_deref().or(kept.current()).unwrap_or(DEFAULT_URL);
        let address = Client::new(url, None).map_err(|error| failed(error, "ask the platform"))?;
        let login = kept.find(address.url());
        let given = token();
        let token = given.clone().or_else(|| login.as_ref().map(|login| login.token.clone()));
        let token = token.ok_or_else(|| {
            let hint = format!("`dayfly login {url}`, or set DAYFLY_PLATFORM and DAYFLY_TOKEN");
            report::hint(anyhow!("there is no token for platform `{url}`"), Some(hint))
        })?;
        let client = Client::new(url, Some(token)).map_err(|error| failed(error, "ask it"))?;
        let known = login.filter(|_| given.is_none()).map(|login| login.tenant);
        let tenant = match self.tenant.clone().or(known) {
            Some(tenant) => tenant,
            None => {
                let whose = client.whoami();
                let whose = whose.map_err(|error| failed(error, "ask whose the token is"))?;
                whose.tenant.map_or_else(default_tenant, Ok)?
            }
        };
        Ok(Session { client, tenant })
    }

    /// Tells that something was done: as JSON to programs, in a line to people.
    ///
    /// # Errors
    /// If standard output takes nothing.
    pub(crate) fn tell(
        &self,
        value: &impl Serialize,
        verb: &str,
        text: impl fmt::Display,
    ) -> Result<()> {
        match self.json {
            true => self.print(value),
            false => {
                report::note(verb, text);
                Ok(())
            }
        }
    }

    /// Prints what was asked for: as JSON to programs, as a table to people.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub(crate) fn list<T: Serialize, const N: usize>(
        &self,
        items: &[T],
        head: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> Result<()> {
        if self.json {
            return self.print(&items);
        }
        let printable = |cell: String| dayfly_host::printable(&cell).into_owned();
        let rows: Vec<_> = items.iter().map(|item| row(item).map(printable)).collect();
        match rows.is_empty() {
            true => {
                report::note("Empty", "there is none");
                Ok(())
            }
            false => output::table(head, &rows),
        }
    }

    fn print(&self, value: &impl Serialize) -> Result<()> {
        output::json(&serde_json::to_value(value)?)
    }
}

impl Session {
    /// An app of the tenant.
    pub(crate) fn app(&self, name: &AppName) -> AppId {
        AppId { tenant: self.tenant.clone(), app: name.clone() }
    }

    /// The release that a user names by its digest, or by the first digits of that.
    ///
    /// # Errors
    /// If there is none, or several begin like this.
    pub(crate) fn release(&self, app: &AppId, text: &str) -> Result<ReleaseId> {
        if let Ok(release) = text.parse() {
            return Ok(release);
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let all = self.client.releases(app, RELEASES);
        let all = all.map_err(|error| failed(error, format!("list releases of `{}`", app.app)))?;
        let mut found = all
            .into_iter()
            .map(|it| it.id)
            .filter(|it| digits.len() >= 4 && it.digits().starts_with(digits));
        match (found.next(), found.next()) {
            (Some(release), None) => Ok(release),
            (None, _) => Err(report::hint(
                anyhow!("app `{}` has no release `{text}`", app.app),
                Some(format!("`dayfly releases {}` lists them; four digits are enough", app.app)),
            )),
            (Some(_), Some(_)) => Err(anyhow!("several releases begin with `{text}`")),
        }
    }
}

/// The tenant that a platform begins with.
pub(crate) fn default_tenant() -> Result<TenantId> {
    Ok(TenantId::DEFAULT.parse()?)
}

/// The token of the environment.
pub(crate) fn token() -> Option<Secret> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty()).map(Secret)
}

/// A platform's refusal, or why there is no answer, as an error of a command: what it could not do,
/// and how to mend that.
pub(crate) fn failed(error: ClientError, what: impl fmt::Display) -> anyhow::Error {
    let of_code = || {
        let text = match error.code()? {
            Code::Unauthenticated => "`dayfly login URL` with a token that is valid",
            Code::Forbidden => "`dayfly tokens make` makes tokens that allow more",
            Code::NotFound => "`dayfly apps` lists what is there; `--tenant` names whose it is",
            Code::Changed => "look at it again (`dayfly apps`), and then repeat this",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let hint = error.hint().or_else(of_code).map(|hint| report::harmless(&hint));
    report::hint(anyhow!(error).context(format!("failed to {what}")), hint)
}

/// A release, for people.
pub(crate) fn short(release: &ReleaseId) -> &str {
    release.digits().get(..DIGITS).unwrap_or_default()
}

/// What is active of an app, for people.
pub(crate) fn shares(active: &Activation) -> String {
    let shares = active.shares.iter().map(|share| match share.percent {
        100 => short(&share.release).to_owned(),
        percent => format!("{} {percent}%", short(&share.release)),
    });
    shares.collect::<Vec<_>>().join(", ")
}

/// How far the node is with what is active, for people.
pub(crate) fn state(active: &Activation) -> &'static str {
    match active.state {
        ServingState::Idle => "idle",
        ServingState::Pending => "pending",
        ServingState::Serving => "serving",
        ServingState::Failed => "failed",
    }
}

/// A time as the platform has it, for people: to the second.
pub(crate) fn time(text: &str) -> String {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map_or_else(|_| text.to_owned(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Reads how long something is there: days, or what durations are otherwise.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let Some(days) = text.strip_suffix('d') else {
        return dayfly_model::manifest::parse_duration(text);
    };
    let days: u64 = days.parse().map_err(|_| format!("`{text}` is no number of days"))?;
    Ok(Duration::from_secs(days.saturating_mul(86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_days_or_durations() {
        assert_eq!(lifetime("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(lifetime("12h"), dayfly_model::manifest::parse_duration("12h"));
        assert!(lifetime("xd").is_err() && lifetime("").is_err());
    }
}
