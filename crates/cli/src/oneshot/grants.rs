//! What a one-shot command grants its guest, by flags: nothing, unless a flag says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use dayfly_capabilities::Grants;
use dayfly_capabilities::wasi::Folder;
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind};
use dayfly_host::printable;
use dayfly_model::{Limits, OutboundHosts};

use crate::app::{limit, pair, set_limits};
use crate::harden::{Harden, Needs};

/// What the guest may use.
#[derive(Args, Clone)]
#[command(next_help_heading = "Grants and limits")]
pub(crate) struct GrantArgs {
    /// Let the guest read the folder HOST, which it sees as GUEST (as HOST when left out)
    #[arg(long = "dir", value_name = "HOST[::GUEST]", value_parser = folder)]
    readable: Vec<(PathBuf, String)>,

    /// Let the guest read and write the folder HOST
    #[arg(long = "dir-rw", value_name = "HOST[::GUEST]", value_parser = folder)]
    writable: Vec<(PathBuf, String)>,

    /// Set an environment variable; the guest sees no other
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,

    /// Let the guest reach a host, as `allowed_outbound_hosts` spells it: `https://example.com`
    #[arg(long = "allow", value_name = "HOST", value_parser = host)]
    hosts: Vec<String>,

    /// Bound the guest, such as `--limit memory=64MiB --limit cpu=500ms`; a manifest's `limits` has
    /// the names [default: 4 GiB of memory, no bound on time]
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit)]
    limits: Vec<(String, String)>,

    /// Give up what the guest needs none of before it runs, should it ever break out of its sandbox:
    /// other files, other programs, and connections if no host is granted
    #[arg(long, env = "DAYFLY_HARDEN", value_enum, default_value_t = Harden::Auto, value_name = "WHEN")]
    harden: Harden,
}

/// Reads `HOST` or `HOST::GUEST`.
pub(crate) fn folder(text: &str) -> Result<(PathBuf, String), String> {
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err(format!("`{text}` is not of the form HOST or HOST::GUEST"));
    }
    Ok((host.into(), guest.to_owned()))
}

fn host(text: &str) -> Result<String, String> {
    // There are no variables that a template could name.
    OutboundHosts::parse([text])
        .and_then(|hosts| hosts.resolve(&BTreeMap::new()))
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

impl GrantArgs {
    /// The bounds of the guest.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits {
            memory_bytes: 4 << 30,
            cpu: Duration::MAX,
            time: Duration::MAX,
            ..Limits::default()
        };
        set_limits(&mut limits, &self.limits);
        limits
    }

    /// Gives up what the guest needs none of, for this thread and all that it starts.
    ///
    /// # Errors
    /// If the user insists, and a part of it cannot be had.
    pub(crate) fn harden(&self) -> Result<()> {
        let paths = |places: &[(PathBuf, String)]| {
            places.iter().map(|(host, _)| host.clone()).collect::<Vec<_>>()
        };
        self.harden.apply_quietly(&Needs {
            read: paths(&self.readable),
            write: paths(&self.writable),
            outbound: !self.hosts.is_empty(),
            ..Needs::default()
        })
    }

    /// Opens what the guest is granted.
    ///
    /// # Errors
    /// If a folder cannot be opened.
    pub(crate) fn open(&self, file: &Path) -> Result<Arc<Grants>> {
        let folders: Vec<Folder> = [(&self.readable, false), (&self.writable, true)]
            .into_iter()
            .flat_map(|(places, writable)| places.iter().map(move |place| (place, writable)))
            .map(|((host, guest), writable)| Folder {
                host: host.clone(),
                guest: guest.clone(),
                writable,
            })
            .collect();
        let hosts = OutboundHosts::parse(&self.hosts)?;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let log = Arc::new(StderrLog);
        let environment = self.environment.clone();
        let grants = Grants::for_command(&name, self.limits(), environment, &folders, hosts, log)?;
        Ok(Arc::new(grants))
    }
}

/// Lines of a guest's output go to standard error, so that standard output is the result's.
pub(crate) struct StderrLog;

impl LogSink for StderrLog {
    fn line(&self, _: OutputKind, line: &str) {
        anstream::eprintln!("{}", printable(line));
    }

    /// Nothing: the log has it, and goes to standard error, too.
    fn host(&self, _: &str) {}
}
