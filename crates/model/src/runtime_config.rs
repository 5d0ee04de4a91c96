//! What an operator says of an app's surroundings: where stores and databases are, which providers
//! have its variables, whom its clients trust. In Spin's words: `runtime-config.toml`.

mod formats;
mod keys;
mod lower;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use zeroize::Zeroize as _;

use crate::manifest::form::Dialect;
use crate::manifest::text::Source;
use crate::manifest::{MAX_BYTES, ManifestErrors, check, read, reference, too_long, value};
use crate::outbound::{AddressClass, canonical};

/// What stands behind an app's capabilities; the default is what needs no configuration. Paths are
/// absolute, or relative to the process's working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Where Dayfly keeps what the app stores; the command line is asked first.
    pub state_dir: Option<PathBuf>,
    /// Where components' log files are; the command line is asked first.
    pub log_dir: Option<PathBuf>,
    /// The most linear memory of an instance, in bytes; the command line is asked first.
    pub max_instance_memory: Option<u64>,
    /// What is behind key-value stores, by label. `default` needs no entry.
    pub key_value_stores: BTreeMap<String, KeyValueStore>,
    /// What is behind SQL databases, by label. `default` needs no entry.
    pub sqlite_databases: BTreeMap<String, SqliteDatabase>,
    /// What is behind containers of blobs, by name; `default` is behind those that have no entry of
    /// their own, and where it is not there, a folder each.
    pub blob_stores: BTreeMap<String, BlobStore>,
    /// What is behind messaging clients, by name.
    pub messaging: BTreeMap<String, Messaging>,
    /// Who is asked for the values of variables, first answer wins; the command line is asked
    /// before them, the process environment after them.
    pub variables_providers: Vec<VariablesProvider>,
    /// Who answers language models' prompts.
    pub llm_compute: Option<LlmCompute>,
    /// What clients of components trust and show.
    pub client_tls: Vec<ClientTls>,
    /// Bounds of outbound HTTP.
    pub outbound_http: OutboundHttp,
    /// Bounds of all that goes out.
    pub outbound_networking: OutboundNetworking,
    /// Bounds of connections of other kinds.
    pub connection_limits: ConnectionLimits,
    /// The longest message that a guest may publish by MQTT, in bytes.
    pub mqtt_payload_bytes: Option<usize>,
    /// PEM files of further authorities that PostgreSQL servers' certificates may come from.
    pub postgres_root_certificates: Vec<PathBuf>,
}

/// What is behind a key-value store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValueStore {
    /// An embedded SQLite file; `None` for one in the app's state folder, named by the label.
    Sqlite(Option<PathBuf>),
    /// A Redis server.
    Redis(Secret),
    /// The process's memory; gone when it ends.
    Memory,
}

/// What is behind an SQL database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SqliteDatabase {
    /// The file; `None` for one in the app's state folder, named by the label.
    pub path: Option<PathBuf>,
}

/// What is behind containers of blobs: a bucket of a server that speaks S3. What is not stated is
/// asked of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStore {
    /// The bucket, which exists.
    pub bucket: String,
    /// What stands before the containers' names, segments joined by `/`; nothing if it is empty,
    /// the app's name if none is stated.
    pub prefix: Option<String>,
    /// The server; `None` for AWS.
    pub endpoint: Option<Secret>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket is part of the path rather than of the host's name.
    pub path_style: Option<bool>,
    /// Who asks.
    pub credentials: Option<S3Credentials>,
}

/// By which an S3 server knows who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The name of the key.
    pub access_key_id: Secret,
    /// The key.
    pub secret_access_key: Secret,
    /// What temporary keys have besides.
    pub session_token: Option<Secret>,
}

/// What is behind a messaging client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messaging {
    /// What the server speaks.
    pub kind: MessagingKind,
    /// The server, and how to log in to it.
    pub url: Secret,
    /// The topics that messages may be sent to, a `*` at the end standing for whatever follows; if
    /// none are stated, all but those that servers keep for themselves, and of queues those that the
    /// app's manifest names.
    pub topics: Option<Vec<String>>,
}

/// What a server of messages speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagingKind {
    /// NATS.
    Nats,
    /// Redis, whose channels are the topics.
    Redis,
    /// MQTT.
    Mqtt,
    /// Nothing: messages go into queues of the app's own, whose names are the topics.
    Queue,
}

/// Who has values of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariablesProvider {
    /// The process environment under another prefix, and a dotenv file.
    Environment {
        /// What stands before the name in capitals, without its underscore; `SPIN_VARIABLE` if
        /// none is stated, nothing if it is empty.
        prefix: Option<String>,
        /// A file of `NAME=VALUE` lines, asked after the environment.
        dotenv: Option<PathBuf>,
    },
    /// These values.
    Static(BTreeMap<String, Secret>),
    /// HashiCorp Vault or OpenBao, the key-value engine's version 2.
    Vault {
        /// The server, `https://host:8200`.
        url: Secret,
        /// The token that opens it.
        token: Secret,
        /// Where the engine is mounted, `secret`.
        mount: String,
        /// What stands before the names of secrets.
        prefix: Option<String>,
    },
}

/// Who answers language models' prompts: a server with OpenAI's interface, or Spin's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmCompute {
    /// Which interface the server has.
    pub api: LlmApi,
    /// The server.
    pub url: Secret,
    /// The token that opens it.
    pub auth_token: Secret,
}

/// The interface of a server of language models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlmApi {
    /// `/v1/chat/completions` and `/v1/embeddings`.
    OpenAi,
    /// `/infer` and `/embed`, as Spin's `cloud-gpu` has them.
    Spin,
}

/// What clients of some components trust and show at some hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The components.
    pub components: Vec<String>,
    /// The hosts, names in lower case or addresses, without ports and brackets.
    pub hosts: Vec<String>,
    /// Whether the platform's authorities are trusted.
    pub platform_roots: bool,
    /// Whether Mozilla's are.
    pub webpki_roots: bool,
    /// A PEM file of further authorities.
    pub roots: Option<PathBuf>,
    /// A certificate chain and its private key, PEM files, that the client shows.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Bounds of outbound HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundHttp {
    /// Whether connections are kept for later requests.
    pub pooling: bool,
    /// How many connections may be open, of all components together.
    pub max_connections: Option<usize>,
}

/// Bounds of all that goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundNetworking {
    /// Networks that nobody reaches, whatever a manifest grants.
    pub blocked: Vec<IpNet>,
    /// Whether private networks are among them.
    pub block_private: bool,
    /// How many sockets of guests may be open.
    pub max_sockets: Option<usize>,
    /// How many connections of all kinds may be open.
    pub max_connections: Option<usize>,
}

/// How many connections of a kind may be open, of all components together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// To Redis servers.
    pub redis: Option<usize>,
    /// To MQTT brokers.
    pub mqtt: Option<usize>,
    /// To PostgreSQL servers.
    pub postgres: Option<usize>,
    /// To MySQL servers.
    pub mysql: Option<usize>,
}

/// A text that is never shown, and overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// What messages call such a file.
const KIND: &str = "runtime configuration";

impl RuntimeConfig {
    /// Reads a `runtime-config.toml`. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// All its mistakes, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ManifestErrors> {
        let name = path.display().to_string();
        let text =
            read(path).map_err(|problem| ManifestErrors::unread_as(KIND, &name, &problem))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Self::parse(&text, &name, folder)
    }

    /// Parses a runtime configuration. `file` is how messages name it, `folder` what its paths are
    /// relative to, which is not touched. No message shows a value of a key that holds a secret.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Self, ManifestErrors> {
        if text.len() as u64 > MAX_BYTES {
            return Err(ManifestErrors::unread_as(KIND, file, &too_long(KIND)));
        }
        let source = Source::secret(file, text);
        let mut errors = Vec::new();
        let root = value::parse(&source, &mut errors);
        if errors.is_empty() {
            // Nothing in it is only Dayfly's that a dialect could forbid.
            let table = &keys::RUNTIME_CONFIG;
            check::check_table(&source, Dialect::Dayfly, &root, table, &mut errors);
            let config = lower::lower(&source, &root, folder, &mut errors);
            if errors.is_empty() {
                return Ok(config);
            }
        }
        Err(ManifestErrors::new(errors))
    }

    /// The reference page of runtime configurations, in Markdown.
    #[must_use]
    pub fn reference() -> String {
        reference::page(HEAD, &[&keys::RUNTIME_CONFIG])
    }
}

const HEAD: &str = "\
<!-- Generated from crates/model/src/runtime_config/keys.rs by `UPDATE_GOLDEN=1 cargo test -p dayfly-model`. -->
# Runtime configuration reference

Every table and key of the file that `dayfly up --runtime-config-file FILE` reads: what stands
behind an app's grants on this machine. It is Spin's `runtime-config.toml`. Unknown keys are
errors, and so are types that Dayfly does not serve. Relative paths are relative to the file's
folder. What a key that may hold a secret says is never shown.
";

impl OutboundNetworking {
    /// Whether nobody reaches an address, whatever a manifest grants.
    #[must_use]
    pub fn blocks(&self, address: IpAddr) -> bool {
        let real = canonical(address);
        (self.block_private && AddressClass::of(real) != AddressClass::Public)
            || self.blocked.iter().any(|net| net.contains(&real) || net.contains(&address))
    }
}

impl Default for OutboundHttp {
    fn default() -> Self {
        Self { pooling: true, max_connections: None }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
