//! `dayfly serve`: a platform of one's own, of this binary's processes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use dayfly_control::{AcmeConfig, ControlConfig};
use dayfly_engine::Engine;
use dayfly_host::Apps;
use dayfly_model::manifest::{parse_duration, parse_size};
use dayfly_model::platform::DomainName;
use dayfly_model::runtime_config::OutboundNetworking;
use dayfly_model::{Limits, RuntimeConfig};
use dayfly_telemetry::export::Service;

use crate::clients::ClientArgs;
use crate::descriptors::Served;
use crate::engine::EngineArgs;
use crate::harden::{Harden, Needs};
use crate::logging::LogArgs;
use crate::node::{NodeArgs, Purpose};
use crate::residency::ResidencyArgs;
use crate::serve::acme::AcmeArgs;
use crate::serve::own::Times;
use crate::serve::own::node as own;
use crate::serve::sockets::Sockets;
use crate::serve::supervisor::Supervisor;
use crate::serve::worker::{self, Bounds, Workers};
use crate::serve::{StoreArgs, control, make_private, node};
use crate::telemetry;

/// Serve the apps of many owners, who deploy them by `dayfly deploy`
///
/// A supervisor starts two processes, and starts one again that dies: the node serves apps, and the
/// control plane takes them by the admin API. Tenants for whom that is asked have processes of their own. What is uploaded is compiled in processes of their own,
/// which are bounded.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly serve\n  dayfly serve --listen :80 --tls-listen :443 --base-domain apps.example.com --state-dir /var/lib/dayfly \\\n    --acme-directory https://acme-v02.api.letsencrypt.org/directory --acme-contact ops@example.com"
)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    node: NodeArgs,

    /// Where the admin API listens: this machine itself, unless something in front of it encrypts
    #[arg(
        long,
        env = "DAYFLY_ADMIN_LISTEN",
        default_value = "127.0.0.1:3001",
        value_name = "ADDRESS"
    )]
    admin_listen: SocketAddr,

    /// The domain below which apps have their addresses: `APP.DOMAIN` those of tenant `default`,
    /// `APP.TENANT.DOMAIN` others'
    #[arg(
        long,
        env = "DAYFLY_BASE_DOMAIN",
        default_value = "localhost",
        value_name = "DOMAIN",
        value_parser = base_domain
    )]
    base_domain: String,

    /// How clients reach the node, where something stands in front of it [default: as it listens]
    #[arg(long, env = "DAYFLY_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    #[command(flatten)]
    acme: AcmeArgs,

    /// Let apps reach this machine and private networks, as far as their manifests name them; without
    /// it they reach public addresses only. For those who trust all their tenants: the admin API, and
    /// what a cloud tells its machines, are there too
    #[arg(long, env = "DAYFLY_ALLOW_PRIVATE_NETWORKS", value_parser = BoolishValueParser::new())]
    allow_private_networks: bool,

    #[command(flatten)]
    own: OwnArgs,

    /// How many uploads are compiled at once
    #[arg(long, env = "DAYFLY_WORKERS", default_value_t = 2, value_name = "N")]
    workers: usize,

    /// The memory that compiling one upload may take
    #[arg(long, env = "DAYFLY_WORKER_MEMORY", default_value = "4GiB", value_name = "SIZE",
          value_parser = parse_size)]
    worker_memory: u64,

    /// The CPU time that compiling one upload may take
    #[arg(long, env = "DAYFLY_WORKER_CPU", default_value = "5m", value_name = "TIME",
          value_parser = parse_duration)]
    worker_cpu: Duration,

    /// How long compiling one upload may take in all
    #[arg(long, env = "DAYFLY_WORKER_TIME", default_value = "10m", value_name = "TIME",
          value_parser = parse_duration)]
    worker_time: Duration,

    /// Whether the node and the workers give up everything that they do not need: new privileges,
    /// files (Landlock), system calls (seccomp)
    #[arg(long, env = "DAYFLY_HARDEN", value_enum, default_value_t = Harden::Auto, value_name = "WHEN")]
    harden: Harden,

    /// Print no addresses
    #[arg(short, long)]
    quiet: bool,

    /// Which of its processes this is.
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,

    /// How the node is reached, as it says itself.
    #[arg(long, hide = true)]
    reached_by: Option<String>,

    /// Whose process this is, if it is a tenant's own.
    #[arg(long, hide = true)]
    tenant_number: Option<u64>,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    residency: ResidencyArgs,

    #[command(flatten)]
    clients: ClientArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Node,
    Control,
    Own,
}

/// The processes of tenants that have one of their own.
#[derive(Args)]
struct OwnArgs {
    /// How many tenants may have a process of their own (`dayfly tenants change NAME --isolation
    /// own-process`)
    #[arg(long, env = "DAYFLY_OWN_PROCESSES", default_value_t = 8, value_name = "N")]
    own_processes: u32,

    /// What `--memory-budget` is for each of them [default: the node's, divided by their number]
    #[arg(long, env = "DAYFLY_OWN_MEMORY_BUDGET", value_name = "SIZE", value_parser = parse_size)]
    own_memory_budget: Option<u64>,

    /// How long such a process may not answer before it is ended, and another one started (1s at least)
    #[arg(long, env = "DAYFLY_OWN_TIMEOUT", default_value = "30s", value_name = "TIME",
          value_parser = parse_duration)]
    own_timeout: Duration,
}

/// How long who follows a log may take nothing.
const FOLLOWER_PATIENCE: Duration = Duration::from_secs(10);

/// Longer than anybody waits.
const FOR_GOOD: Duration = Duration::from_hours(24 * 365);

/// The stack of every guest, so that an interpreter's fits.
const STACK_BYTES: u64 = 8 << 20;

impl Serve {
    pub(crate) fn run(mut self) -> Result<ExitCode> {
        self.log.start()?;
        self.engine.keeps_code()?;
        self.engine.keep_in(&self.store.folder()?);
        match self.role {
            None => self.supervise(),
            Some(Role::Node) => {
                end_with_parent()?;
                self.serve()
            }
            Some(Role::Control) => {
                end_with_parent()?;
                self.control()
            }
            Some(Role::Own) => {
                end_with_parent()?;
                self.serve_own()
            }
        }
    }

    fn supervise(self) -> Result<ExitCode> {
        let sockets = Sockets::open(&self.node, &self.clients, self.admin_listen)?;
        self.acme.check(sockets.has_tls())?;
        let times = Times { grace: self.node.grace(), hung: self.own.own_timeout };
        let supervisor = Supervisor::new(sockets, times, self.own.own_processes)?;
        self.give_up(&supervisor)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let quiet = self.quiet;
        runtime.block_on(supervisor.run(|said| {
            if !quiet {
                tell(said);
            }
        }))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Gives up what neither the supervisor needs nor any of the processes that it starts, which have no more.
    /// What an operator's command for the key needs nobody knows: beside that the supervisor keeps all.
    fn give_up(&self, supervisor: &Supervisor) -> Result<()> {
        if self.store.has_key_command() {
            tracing::info!(
                "the supervisor is not hardened, because it has `--secrets-key-command` run"
            );
            return Ok(());
        }
        let mut needs = Needs { reads_all: true, start: supervisor.starts(), ..Needs::default() };
        self.node.needs(&mut needs);
        needs.read.extend(self.store.key_file().map(ToOwned::to_owned));
        needs.write.push(self.store.folder()?);
        needs.write.extend(self.engine.cache_folder());
        needs.write.iter().try_for_each(|folder| make_private(folder))?;
        self.harden.apply(&needs)
    }

    fn serve(self) -> Result<ExitCode> {
        let store = self.store.open()?;
        let engine = self.build()?;
        let mut needs = Needs::default();
        self.node.needs(&mut needs);
        let telemetry = telemetry::build_for(service(), &mut needs)?;
        let config = self.node.config(
            (&self.clients, &self.residency),
            Purpose {
                apps: Apps::Many,
                leads: true,
                components: Served::Many,
                telemetry,
                arguments: &[],
            },
        );
        let surroundings = surroundings(self.allow_private_networks);
        let (harden, base_domain) = (self.harden, self.base_domain);
        let own_processes = self.own.own_processes;
        let status = node::run(node::Parts {
            store,
            engine,
            config,
            needs,
            harden,
            base_domain,
            surroundings,
            own_processes,
        })?;
        Ok(ExitCode::from(status))
    }

    /// Serves one tenant's apps, to those clients alone that the node sends.
    fn serve_own(mut self) -> Result<ExitCode> {
        let number = self.tenant_number.context("a tenant's process needs its number")?;
        let engine = self.build()?;
        let mut needs = Needs::default();
        let telemetry = telemetry::build_for(service(), &mut needs)?;
        self.residency.share(self.own.own_memory_budget, self.own.own_processes);
        let mut config = self.node.config(
            (&self.clients, &self.residency),
            Purpose {
                apps: Apps::Many,
                leads: false,
                components: Served::Many,
                telemetry,
                arguments: &[],
            },
        );
        (config.http.tls, config.http.certificates) = (None, None);
        // The node closes what is idle.
        config.http.idle_timeout = FOR_GOOD;
        let surroundings = surroundings(self.allow_private_networks);
        let (harden, base_domain) = (self.harden, self.base_domain);
        let parts = own::Parts { number, engine, config, needs, harden, base_domain, surroundings };
        let status = own::run(parts)?;
        Ok(ExitCode::from(status))
    }

    /// What loads the code that workers make.
    fn build(&self) -> Result<Engine> {
        let limits = Limits { stack_bytes: STACK_BYTES, ..Limits::default() };
        self.engine.build_loader(self.node.max_instances, self.node.kept(true), &limits)
    }

    fn control(self) -> Result<ExitCode> {
        let store = self.store.open()?;
        let reached_by = self.public_url.as_deref().or(self.reached_by.as_deref());
        let config = ControlConfig {
            base_domain: self.base_domain.clone(),
            reached_by: reached_by.and_then(reached),
            workers: self.workers,
            own_processes: self.own.own_processes,
            acme: self.acme(),
            follower_patience: FOLLOWER_PATIENCE,
        };
        let workers = Workers {
            program: worker::program().context("failed to find this program")?,
            state: store.folder().to_owned(),
            flags: self.worker_flags(),
            bounds: Bounds {
                memory_bytes: self.worker_memory,
                cpu_seconds: self.worker_cpu.as_secs().max(1),
                wall: self.worker_time,
            },
        };
        let mut needs = Needs::default();
        needs.write.extend(self.engine.cache_folder());
        control::run(store, config, workers, control::Rights { needs, harden: self.harden })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where certificates are ordered. Those of the apps' own addresses are, unless there is one in files.
    fn acme(&self) -> Option<AcmeConfig> {
        let own_hosts = !self.node.has_certificate() && self.base_domain != "localhost";
        self.acme.config(own_hosts)
    }

    /// What makes a worker's code the node's.
    fn worker_flags(&self) -> Vec<OsString> {
        let mut flags = self.engine.flags(STACK_BYTES);
        let harden = self.harden.to_possible_value();
        let harden = harden.map(|value| value.get_name().to_owned()).unwrap_or_default();
        flags.extend(["--harden".into(), harden.into()]);
        flags
    }
}

/// What stands behind every app's grants.
fn surroundings(allows_private_networks: bool) -> RuntimeConfig {
    let block_private = !allows_private_networks;
    let outbound_networking = OutboundNetworking { block_private, ..OutboundNetworking::default() };
    RuntimeConfig { outbound_networking, ..RuntimeConfig::default() }
}

/// What exports call a node.
fn service() -> Service {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Service { name: "dayfly".to_owned(), version }
}

fn tell(said: &[String]) {
    let [node @ .., admin, token] = said else { return };
    for url in node {
        anstream::println!("Apps        {url}");
    }
    anstream::println!("Admin API   {admin}");
    if std::path::Path::new(token).exists() {
        anstream::println!("Token       in {token}");
    }
}

/// Ends this process where whoever started it ends, however that is.
fn end_with_parent() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(())
}

/// The scheme and the port of a URL.
fn reached(url: &str) -> Option<(String, Option<u16>)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let usual = if scheme == "https" { 443 } else { 80 };
    Some((scheme.to_owned(), port.filter(|port| *port != usual)))
}

fn base_domain(text: &str) -> Result<String, String> {
    if text == "localhost" {
        return Ok(text.to_owned());
    }
    let domain: DomainName = text.parse().map_err(|error| format!("{error}"))?;
    Ok(domain.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_reach_public_addresses_only() {
        let blocks = |allows, address: &str| {
            surroundings(allows).outbound_networking.blocks(address.parse().unwrap())
        };
        for private in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:192.168.0.1"] {
            assert!(blocks(false, private) && !blocks(true, private), "{private}");
        }
        assert!(!blocks(false, "1.1.1.1"));
    }

    #[test]
    fn a_url_says_how_apps_are_reached() {
        let of = |text| reached(text).unwrap();
        assert_eq!(of("http://127.0.0.1:3000"), ("http".to_owned(), Some(3000)));
        assert_eq!(of("https://apps.example.com/"), ("https".to_owned(), None));
        assert_eq!(of("https://[::1]:443"), ("https".to_owned(), None));
        assert!(reached("unix:/x").is_none());
    }
}
