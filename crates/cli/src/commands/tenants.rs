//! `dayfly tenants`: who owns apps on a platform, and how much each may take. Only its operator makes
//! and changes them.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use dayfly_api::{
    ChangeTenant, Client, Code, DomainPattern, GrantPolicy, Isolation, NewTenant, Quotas, Tenant,
    TenantId,
};
use dayfly_model::manifest::parse_size;
use serde_json::{Value, json};

use crate::output::{self, Size};
use crate::platform::{PlatformArgs, failed, time};
use crate::{logging, report};

/// List, make, change and remove tenants of a platform
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly tenants make acme --quota apps=10 --quota storage_bytes=1GiB --domain '*.acme.example'\n  dayfly tenants change acme --isolation own-process\n  dayfly tenants show acme"
)]
pub(crate) struct Tenants {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// List them: name, apps, storage
    List,
    /// Show one with its quotas, and what it has taken of them
    Show {
        /// What it is called
        name: TenantId,
    },
    /// Make one
    Make {
        /// What it is called: part of its apps' hosts
        name: TenantId,
        #[command(flatten)]
        terms: Terms,
    },
    /// Change its quotas, its domains, what happens to releases that ask for more, or where its guests run
    Change {
        /// What it is called
        name: TenantId,
        #[command(flatten)]
        terms: Terms,

        /// A domain, or a pattern of domains, that it may add no more; those that its apps have stay
        #[arg(long = "no-domain", value_name = "DOMAIN")]
        no_domains: Vec<DomainPattern>,
    },
    /// Remove one that has no apps
    Remove {
        /// What it is called
        name: TenantId,
    },
}

#[derive(Args, Default)]
struct Terms {
    /// A quota, such as `apps=10` or `storage_bytes=1GiB`; docs/serve.md has the names
    #[arg(long = "quota", value_name = "NAME=VALUE", value_parser = quota)]
    quotas: Vec<(String, u64)>,

    /// A domain that its apps may have: one by its name, `*.` and a name for all below that, or `*` for all
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainPattern>,

    /// Whether a release that asks for more than the active one is refused unless that is accepted
    #[arg(long, value_name = "WHAT")]
    grants: Option<Policy>,

    /// Whether its guests run in the process that all tenants share, or in one of their own
    #[arg(long, value_name = "WHERE")]
    isolation: Option<Process>,
}

/// How often a tenant is read and changed again that somebody else has changed in between.
const ATTEMPTS: u32 = 4;

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    Ask,
    Accept,
}

#[derive(Clone, Copy, ValueEnum)]
enum Process {
    Shared,
    OwnProcess,
}

fn quota(text: &str) -> Result<(String, u64), String> {
    let (name, value) = crate::app::pair(text)?;
    let count = value.parse().or_else(|_| parse_size(&value));
    Ok((name, count.map_err(|_| format!("`{value}` is neither a number nor a size"))?))
}

impl Terms {
    /// Quotas with those that the user named instead of what they were.
    fn over(&self, quotas: Quotas) -> Result<Option<Quotas>> {
        if self.quotas.is_empty() {
            return Ok(None);
        }
        let mut all = serde_json::to_value(quotas)?;
        for (name, value) in &self.quotas {
            let Some(place) = all.get_mut(name) else {
                let known: Vec<_> =
                    all.as_object().into_iter().flatten().map(|it| &**it.0).collect();
                let hint = format!("there are {}", known.join(", "));
                return Err(report::hint(anyhow!("there is no quota `{name}`"), Some(hint)));
            };
            *place = (*value).into();
        }
        Ok(Some(serde_json::from_value(all)?))
    }

    /// Domains with those that the user named, and without others.
    fn with(
        &self,
        mut domains: Vec<DomainPattern>,
        without: &[DomainPattern],
    ) -> Result<Option<Vec<DomainPattern>>> {
        if self.domains.is_empty() && without.is_empty() {
            return Ok(None);
        }
        if let Some(unknown) = without.iter().find(|it| !domains.contains(it)) {
            let hint = format!("there are {}", listed(&domains));
            return Err(report::hint(anyhow!("it was not given `{unknown}`"), Some(hint)));
        }
        domains.retain(|it| !without.contains(it));
        for domain in &self.domains {
            if !domains.contains(domain) {
                domains.push(domain.clone());
            }
        }
        Ok(Some(domains))
    }

    fn policy(&self) -> Option<GrantPolicy> {
        self.grants.map(|policy| match policy {
            Policy::Ask => GrantPolicy::Ask,
            Policy::Accept => GrantPolicy::Accept,
        })
    }

    fn isolation(&self) -> Option<Isolation> {
        self.isolation.map(|process| match process {
            Process::Shared => Isolation::Shared,
            Process::OwnProcess => Isolation::OwnProcess,
        })
    }
}

impl Tenants {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let (client, platform) = (self.platform.open()?.client, &self.platform);
        match self.verb.unwrap_or(Verb::List) {
            Verb::List => {
                let found = client.tenants().map_err(|error| failed(error, "list tenants"))?;
                platform.list(&found, ["TENANT", "APPS", "STORAGE", "SINCE"], row)?;
            }
            Verb::Show { name } => show(&found(&client, &name)?, platform.json)?,
            Verb::Make { name, terms } => {
                let quotas = terms.over(Quotas::default())?;
                let grants = terms.policy().unwrap_or_default();
                let domains = terms.with(Vec::new(), &[])?.unwrap_or_default();
                let isolation = terms.isolation().unwrap_or_default();
                let new = NewTenant { name: name.clone(), quotas, grants, domains, isolation };
                let made = client.make_tenant(&new);
                let made = made.map_err(|error| failed(error, format!("make tenant `{name}`")))?;
                platform.tell(&made, "Made", format_args!("tenant `{name}`"))?;
            }
            Verb::Change { name, terms, no_domains } => {
                let changed = change(&client, &name, &terms, &no_domains)?;
                platform.tell(&changed, "Changed", format_args!("tenant `{name}`"))?;
            }
            Verb::Remove { name } => {
                let removed = client.remove_tenant(&name);
                removed.map_err(|error| failed(error, format!("remove tenant `{name}`")))?;
                platform.tell(
                    &json!({ "removed": name }),
                    "Removed",
                    format_args!("tenant `{name}`"),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Changes what the user named of a tenant's terms, and nothing that somebody else changes meanwhile.
fn change(
    client: &Client,
    name: &TenantId,
    terms: &Terms,
    no_domains: &[DomainPattern],
) -> Result<Tenant> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let Tenant { quotas, domains, version, .. } = found(client, name)?;
        let (quotas, domains) = (terms.over(quotas)?, terms.with(domains, no_domains)?);
        let (grants, isolation) = (terms.policy(), terms.isolation());
        let change = ChangeTenant { quotas, grants, domains, isolation };
        // A platform that is older says none.
        let seen = Some(&*version).filter(|it| !it.is_empty());
        match client.change_tenant(name, &change, seen) {
            Err(error) if error.code() == Some(Code::Changed) && attempts.next().is_some() => {}
            changed => {
                return changed.map_err(|error| failed(error, format!("change tenant `{name}`")));
            }
        }
    }
}

fn found(client: &Client, name: &TenantId) -> Result<Tenant> {
    client.tenant(name).map_err(|error| failed(error, format!("show tenant `{name}`")))
}

fn show(tenant: &Tenant, json: bool) -> Result<()> {
    let all = serde_json::to_value(tenant)?;
    if json {
        return output::json(&all);
    }
    let grants = match tenant.grants {
        GrantPolicy::Ask => "ask",
        GrantPolicy::Accept => "accept",
    };
    for (name, text) in [
        ("name", tenant.name.to_string()),
        ("since", time(&tenant.created_at)),
        ("grants", grants.to_owned()),
        ("domains", listed(&tenant.domains)),
    ] {
        output::line(format_args!("{name:<7}  {text}"))?;
    }
    let of =
        |key: &str, name: &str| all.get(key).and_then(|it| it.get(name)).map(|it| cell(name, it));
    let names = all.get("quotas").and_then(Value::as_object).into_iter().flatten();
    // Of what is bounded for a moment, or a request, nothing is ever used up.
    let rows: Vec<_> = names
        .map(|(name, most)| {
            let used = of("used", name).unwrap_or_else(|| "-".to_owned());
            [name.clone(), used, cell(name, most)]
        })
        .collect();
    output::line("")?;
    output::table(["QUOTA", "USED", "OF"], &rows)
}

/// A number of a quota's, for people.
fn cell(quota: &str, value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(bytes), _) if quota.ends_with("_bytes") => Size(bytes).to_string(),
        (None, Some(number)) => format!("{number:.1}"),
        _ => value.to_string(),
    }
}

fn listed(domains: &[DomainPattern]) -> String {
    match domains.is_empty() {
        true => "none".to_owned(),
        false => domains.iter().map(DomainPattern::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn row(tenant: &Tenant) -> [String; 4] {
    let (name, apps) = (tenant.name.to_string(), tenant.apps.to_string());
    [name, apps, Size(tenant.storage_bytes).to_string(), time(&tenant.created_at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_numbers_or_sizes_and_have_names() {
        assert_eq!(quota("apps=10"), Ok(("apps".to_owned(), 10)));
        assert_eq!(quota("storage_bytes=1GiB"), Ok(("storage_bytes".to_owned(), 1 << 30)));
        assert!(quota("apps").is_err() && quota("apps=many").is_err());
        let terms = |name: &str| Terms { quotas: vec![(name.to_owned(), 3)], ..Terms::default() };
        let quotas = terms("apps").over(Quotas::default()).unwrap().unwrap();
        assert_eq!(quotas, Quotas { apps: 3, ..Quotas::default() });
        let error = crate::report::text(&terms("appz").over(Quotas::default()).unwrap_err());
        assert!(error.contains("`appz`") && error.contains("storage_bytes"), "{error}");
    }

    #[test]
    fn domains_are_added_and_taken_back() {
        let all = |names: &[&str]| -> Vec<DomainPattern> {
            names.iter().map(|it| it.parse().unwrap()).collect()
        };
        let with = |more: &[&str], before: &[&str], without: &[&str]| {
            let terms = Terms { domains: all(more), ..Terms::default() };
            terms.with(all(before), &all(without))
        };
        assert_eq!(with(&[], &["a.b"], &[]).unwrap(), None, "what is not stated stays");
        let some = with(&["*.c.d", "a.b"], &["a.b", "e.f"], &["e.f"]).unwrap();
        assert_eq!(some, Some(all(&["a.b", "*.c.d"])));
        assert_eq!(with(&[], &["a.b"], &["a.b"]).unwrap(), Some(Vec::new()));
        let error = crate::report::text(&with(&[], &["a.b"], &["*.b.c"]).unwrap_err());
        assert!(error.contains("not given `*.b.c`") && error.contains("are a.b"), "{error}");
    }
}
