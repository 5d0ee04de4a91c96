//! `dayfly domains`: hosts that an app on a platform answers on beside its own.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use dayfly_api::{AppName, Certificate, CertificateSource, Domain, DomainName, NewCertificate};
use dayfly_host::printable;
use serde_json::json;

use crate::logging;
use crate::platform::{PlatformArgs, failed, time};

/// List, add and remove the domains of an app on a platform
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly domains shop add www.example.com\n  dayfly domains shop certificate www.example.com --cert chain.pem --key key.pem\n  dayfly domains shop list"
)]
pub(crate) struct Domains {
    /// The app
    app: AppName,

    #[command(subcommand)]
    verb: Verb,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// List them
    List,
    /// Have the app answer on one; its DNS leads to the platform
    Add {
        /// The host
        domain: DomainName,
    },
    /// Have one served with a certificate of your own, or again without it
    Certificate {
        /// The host
        domain: DomainName,

        /// The certificate chain, PEM: the host's own first
        #[arg(long, value_name = "FILE", requires = "key", required_unless_present = "remove")]
        cert: Option<PathBuf>,

        /// The certificate's private key, PEM; `-` reads standard input
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,

        /// Take the certificate away that was uploaded
        #[arg(long, conflicts_with_all = ["cert", "key"])]
        remove: bool,
    },
    /// Have the app answer on one no more
    Remove {
        /// The host
        domain: DomainName,
    },
}

impl Domains {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name, client) = (session.app(&self.app), &self.app, &session.client);
        match self.verb {
            Verb::List => {
                let found = client.domains(&app);
                let found =
                    found.map_err(|error| failed(error, format!("list domains of `{name}`")))?;
                self.platform.list(&found, ["DOMAIN", "SINCE", "CERTIFICATE"], |it: &Domain| {
                    [it.name.to_string(), time(&it.created_at), certificate(it)]
                })?;
            }
            Verb::Add { domain } => {
                let added = client.add_domain(&app, &domain);
                let added = added.map_err(|error| failed(error, format!("add `{domain}`")))?;
                let text = format!("`{domain}`, which `{name}` answers on");
                self.platform.tell(&added, "Added", text)?;
            }
            Verb::Certificate { domain, cert, key, .. } => match cert.zip(key) {
                Some((cert, key)) => {
                    let new = NewCertificate { chain: read(&cert)?, key: read(&key)? };
                    let kept = client.upload_certificate(&app, &domain, &new);
                    let failed = |error| failed(error, format!("keep a certificate of `{domain}`"));
                    let kept = kept.map_err(failed)?;
                    let text = format!("the certificate of `{domain}`: {}", certificate(&kept));
                    self.platform.tell(&kept, "Uploaded", text)?;
                }
                None => {
                    let removed = client.remove_certificate(&app, &domain);
                    let doing = || format!("remove the certificate of `{domain}`");
                    removed.map_err(|error| failed(error, doing()))?;
                    let told = json!({ "certificate_removed": domain });
                    let text = format_args!("the certificate of `{domain}`");
                    self.platform.tell(&told, "Removed", text)?;
                }
            },
            Verb::Remove { domain } => {
                let removed = client.remove_domain(&app, &domain);
                removed.map_err(|error| failed(error, format!("remove `{domain}`")))?;
                let told = json!({ "removed": domain });
                self.platform.tell(&told, "Removed", format_args!("`{domain}` from `{name}`"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The longest file that is read, in bytes.
const MOST: u64 = 1 << 20;

/// Reads a PEM file; `-` is standard input.
fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(MOST).read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|it| it.take(MOST).read_to_string(&mut text)),
    };
    read.with_context(|| format!("failed to read `{}`", file.display()))?;
    Ok(text)
}

/// How it stands with a domain's certificate, for people.
fn certificate(domain: &Domain) -> String {
    let has = domain.certificate.as_ref().map(|Certificate { source, expires_at, .. }| {
        let source = match source {
            CertificateSource::Upload => "uploaded",
            CertificateSource::Acme => "by ACME",
        };
        format!("{source}, until {}", time(expires_at))
    });
    let error =
        domain.order_error.as_deref().map(|it| format!("ordering failed: {}", printable(it)));
    match (has, error) {
        (None, None) => "-".to_owned(),
        (has, error) => has.into_iter().chain(error).collect::<Vec<_>>().join("; "),
    }
}
