//! Logging in to a platform.

use std::process::ExitCode;

use anyhow::{Result, bail};
use dayfly_api::{Client, TenantId};
use dayfly_host::printable;

use crate::platform::{self, Kept, failed};
use crate::report;

/// Keeps a token for a platform that accepts it.
pub(super) fn log_in(url: &str, tenant: Option<TenantId>, is_on_stdin: bool) -> Result<ExitCode> {
    // A wrong address is said before anybody enters a token for it.
    Client::new(url, None).map_err(|error| failed(error, format!("log in to `{url}`")))?;
    let token = match platform::token() {
        Some(token) if !is_on_stdin => token,
        _ if is_on_stdin => platform::from_stdin("token")?,
        _ => platform::from_stdin_or_prompt("token")?,
    };
    let client = Client::new(url, Some(token.clone()));
    let asked = client.and_then(|client| Ok((client.whoami()?, client)));
    let (who, client) = asked.map_err(|error| failed(error, format!("log in to `{url}`")))?;
    if let (Some(own), Some(asked)) = (&who.tenant, &tenant)
        && own != asked
    {
        bail!("the token is tenant `{own}`'s, and not `{asked}`'s");
    }
    let of_all = who.tenant.is_none();
    let tenant = tenant.or(who.tenant).map_or_else(platform::default_tenant, Ok)?;
    let whose = match of_all {
        true => format!("the operator's, for apps of tenant `{tenant}`"),
        false => format!("for tenant `{tenant}`"),
    };
    Kept::load()?.keep(client.url(), platform::Login { token, tenant })?;
    let (name, scope) = (printable(&who.token.name), who.token.scope);
    report::note("Logged in", format_args!("to {url} by token `{name}` ({scope}, {whose})"));
    Ok(ExitCode::SUCCESS)
}
