//! The flags of every command that serves: where it listens, and how much runs at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use dayfly_host::{
    Apps, Certificates, HostConfig, ListenAddr, ListenError, Listeners, ServerConfig, TlsConfig,
};
use dayfly_model::manifest::parse_size;
use dayfly_telemetry::Telemetry;

use crate::app::folder_of;
use crate::clients::ClientArgs;
use crate::descriptors::{Descriptors, Served};
use crate::harden::Needs;
use crate::residency::ResidencyArgs;

/// What guests may hold open, for each instance that may run: few have any files, some have many.
const DESCRIPTORS_PER_INSTANCE: u32 = 8;

/// Instances that may wait for another request, where components are reused.
const KEPT_INSTANCES: u32 = 256;

/// Where a node listens, and its bounds.
#[derive(Args)]
pub(crate) struct NodeArgs {
    /// Where to listen: HOST:PORT, :PORT (every interface), or unix:PATH; may be repeated
    #[arg(
        long,
        env = "DAYFLY_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    listen: Vec<ListenAddr>,

    /// Where to listen for HTTPS, as `--listen`, which then is for HTTP; without it `--listen` is for HTTPS
    /// if there is a certificate
    #[arg(long, env = "DAYFLY_TLS_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    tls_listen: Vec<ListenAddr>,

    /// The certificate chain for HTTPS, PEM; read again when the file changes
    #[arg(long, env = "DAYFLY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, env = "DAYFLY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Where to listen for those that ask for metrics (Prometheus, `/metrics`), as `--listen`; in
    /// the clear, and for nobody's eyes but the operator's
    #[arg(long, env = "DAYFLY_METRICS_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    metrics_listen: Vec<ListenAddr>,

    /// How many threads serve; 0 means one a core
    #[arg(long, env = "DAYFLY_THREADS", default_value_t = 0, value_name = "N")]
    threads: usize,

    /// How many instances may run at once
    #[arg(long, env = "DAYFLY_MAX_INSTANCES", default_value_t = 1000, value_name = "N")]
    pub(crate) max_instances: u32,

    /// How many files, sockets and connections all guests may hold open together; a component leaves
    /// a quarter of it to the others [default: 8 for each instance, or what clients leave]
    #[arg(long, env = "DAYFLY_MAX_DESCRIPTORS", value_name = "N")]
    max_descriptors: Option<u32>,

    /// How much memory all bodies together may take that the host holds whole for its guests; a component
    /// leaves a quarter of it to the others
    #[arg(long, env = "DAYFLY_BODY_MEMORY", default_value = "256MiB", value_name = "SIZE",
        value_parser = parse_size)]
    body_memory: u64,

    /// How many seconds running requests may take to finish after the first SIGINT or SIGTERM
    #[arg(long, env = "DAYFLY_GRACE", default_value_t = 30, value_name = "SECONDS")]
    grace: u64,
}

/// What a node is made for.
pub(crate) struct Purpose<'a> {
    pub(crate) apps: Apps,
    /// Whether it passes clients on to processes of tenants.
    pub(crate) leads: bool,
    pub(crate) components: Served,
    pub(crate) telemetry: Option<Arc<Telemetry>>,
    /// What commands that run once are called with.
    pub(crate) arguments: &'a [String],
}

impl NodeArgs {
    /// How many instances may wait for another request.
    pub(crate) fn kept(&self, reuses: bool) -> u32 {
        if reuses { KEPT_INSTANCES.min(self.max_instances) } else { 0 }
    }

    /// How long running requests may take to finish.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }

    /// Listens, for a node that gets the sockets later: for requests, for metrics, or for both; with no
    /// more sockets at one address than `most`.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub(crate) fn listen(
        &self,
        clients: &ClientArgs,
        most: usize,
        requests: bool,
        metrics: bool,
    ) -> Result<Listeners, ListenError> {
        let mut http = self.http(clients);
        if !requests {
            (http.listen, http.tls_listen) = (Vec::new(), Vec::new());
        }
        let metrics = if metrics { &*self.metrics_listen } else { &[] };
        Listeners::bind(&http, metrics, most)
    }

    /// How clients are served.
    fn http(&self, clients: &ClientArgs) -> ServerConfig {
        let tls = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let mut http = ServerConfig {
            listen: self.listen.clone(),
            tls_listen: self.tls_listen.clone(),
            tls: tls.map(|(certificate, key)| TlsConfig::new(certificate, key)),
            threads: self.threads,
            grace: self.grace(),
            ..ServerConfig::default()
        };
        clients.apply(&mut http);
        http
    }

    /// Whether there is a certificate in files.
    pub(crate) const fn has_certificate(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// What is opened while serving.
    pub(crate) fn needs(&self, needs: &mut Needs) {
        // A new certificate comes as a file beside the old one, and takes its name.
        let tls = [&self.tls_cert, &self.tls_key].into_iter().flatten();
        needs.read.extend(tls.map(|file| folder_of(file)));
        let listen = self.listen.iter().chain(&self.tls_listen).chain(&self.metrics_listen);
        needs.unlink.extend(listen.filter_map(|address| match address {
            ListenAddr::Unix { path, .. } => Some(folder_of(path)),
            _ => None,
        }));
    }

    /// What the host is told.
    pub(crate) fn config(
        &self,
        (clients, residency): (&ClientArgs, &ResidencyArgs),
        purpose: Purpose<'_>,
    ) -> HostConfig {
        let Purpose { apps, leads, components, telemetry, arguments } = purpose;
        let mut http = self.http(clients);
        http.certificates = (apps == Apps::Many).then(Certificates::default);
        let wanted = clients.wanted(&http);
        let onward = if leads { wanted / 2 } else { 0 };
        let Descriptors { connections, onward, guests, components: resident } =
            self.descriptors((wanted, onward), components);
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        http.max_connections = count(connections);
        HostConfig {
            http,
            metrics_listen: self.metrics_listen.clone(),
            telemetry,
            max_instances: self.max_instances,
            max_descriptors: guests,
            max_onward: count(onward),
            body_bytes: self.body_memory,
            arguments: arguments.to_vec(),
            residency: residency.config(components, resident, self.max_instances),
            apps,
        }
    }

    /// Who may have how many of the files that the process may open.
    fn descriptors(&self, (connections, onward): (u64, u64), components: Served) -> Descriptors {
        let each_instance = self.max_instances.saturating_mul(DESCRIPTORS_PER_INSTANCE);
        let wanted = Descriptors {
            connections,
            onward,
            guests: self.max_descriptors.unwrap_or(each_instance).into(),
            components: components.count(),
        };
        let possible = wanted.share_out(components);
        // Guests make do with less than their default; what was asked for is missed.
        let too_few_for_guests = self.max_descriptors.is_some() && possible.guests < wanted.guests;
        if possible.connections < wanted.connections || too_few_for_guests {
            tracing::warn!(
                connections = possible.connections,
                guests = possible.guests,
                "this process may not open enough files for {} connections and {} files and sockets \
                 of guests: raise its limit (`ulimit -Hn`, `LimitNOFILE=` of systemd)",
                wanted.connections,
                wanted.guests,
            );
        }
        possible
    }
}
