//! The flags of certificates by ACME.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_control::AcmeConfig;
use url::Url;

use crate::report;

/// Where certificates are ordered.
#[derive(Args)]
pub(crate) struct AcmeArgs {
    /// Order certificates for apps' domains from this ACME server, by the URL of its directory, such as
    /// https://acme-v02.api.letsencrypt.org/directory; with it you accept its terms of service
    #[arg(long, env = "DAYFLY_ACME_DIRECTORY", value_name = "URL")]
    acme_directory: Option<Url>,

    /// Who the ACME server may write to about the account, an address of email; may be repeated
    #[arg(
        long,
        env = "DAYFLY_ACME_CONTACT",
        value_name = "EMAIL",
        value_delimiter = ',',
        requires = "acme_directory"
    )]
    acme_contact: Vec<String>,

    /// Who has signed the ACME server's own certificate, PEM [default: whom this machine trusts]
    #[arg(long, env = "DAYFLY_ACME_CA", value_name = "FILE", requires = "acme_directory")]
    acme_ca: Option<PathBuf>,
}

impl AcmeArgs {
    /// Checks the flags. `speaks_tls` is whether the node does.
    ///
    /// # Errors
    /// If they make no sense.
    pub(crate) fn check(&self, speaks_tls: bool) -> Result<()> {
        let Some(directory) = &self.acme_directory else { return Ok(()) };
        if directory.scheme() != "https" {
            let error = anyhow!("the ACME server `{directory}` is not asked without encryption");
            return Err(report::hint(error, Some("its URL begins with `https://`")));
        }
        if !speaks_tls {
            let error = anyhow!("certificates would be ordered, and nothing speaks TLS");
            let hint = "say where by `--tls-listen`, and leave `--listen` to HTTP on port 80";
            return Err(report::hint(error, Some(hint)));
        }
        Ok(())
    }

    /// What the control plane is told; nothing, if none are ordered. `own_hosts` is whether apps' own
    /// addresses have certificates as well.
    pub(crate) fn config(&self, own_hosts: bool) -> Option<AcmeConfig> {
        let directory = self.acme_directory.as_ref()?;
        let contact = self.acme_contact.iter().map(|it| match it.contains(':') {
            true => it.clone(),
            false => format!("mailto:{it}"),
        });
        Some(AcmeConfig {
            directory: directory.to_string(),
            contact: contact.collect(),
            roots: self.acme_ca.clone(),
            own_hosts,
        })
    }
}
