//! From a tree that was checked to a [`RuntimeConfig`]: defaults, paths, and what spans several
//! keys. What the checker reported is passed over here in silence.

use std::path::{Path, PathBuf};

use super::formats::parse_network;
use super::{
    BlobStore, ClientTls, ConnectionLimits, KeyValueStore, LlmApi, LlmCompute, Messaging,
    MessagingKind, OutboundHttp, OutboundNetworking, RuntimeConfig, S3Credentials, Secret,
    SqliteDatabase, VariablesProvider,
};
use crate::manifest::error::ManifestError;
use crate::manifest::text::Source;
use crate::manifest::value::{Entry, Node};

/// Makes the configuration of a checked tree. It is only good if nothing was reported.
pub(super) fn lower(
    source: &Source<'_>,
    root: &Node,
    folder: &Path,
    errors: &mut Vec<ManifestError>,
) -> RuntimeConfig {
    let mut lowering = Lowering { source, folder, errors };
    let stores = entries(root, "key_value_store").iter();
    let databases = entries(root, "sqlite_database").iter();
    let blobs = entries(root, "blob_store").iter();
    RuntimeConfig {
        state_dir: lowering.path(root, "state_dir"),
        log_dir: lowering.path(root, "log_dir"),
        max_instance_memory: root.integer("max_instance_memory").and_then(|n| n.try_into().ok()),
        key_value_stores: stores.map(|entry| lowering.store(entry)).collect(),
        sqlite_databases: databases
            .map(|entry| {
                let path = lowering.path(&entry.node, "path");
                (entry.key.clone(), SqliteDatabase { path })
            })
            .collect(),
        blob_stores: blobs.map(|entry| lowering.blob_store(entry)).collect(),
        messaging: entries(root, "messaging").iter().map(messaging).collect(),
        variables_providers: lowering.providers(root),
        llm_compute: root.get("llm_compute").map(llm_compute),
        client_tls: root.list("client_tls").iter().map(|node| lowering.client_tls(node)).collect(),
        outbound_http: lowering.outbound_http(root),
        outbound_networking: outbound_networking(root),
        connection_limits: ConnectionLimits {
            redis: count_in(root, "outbound_redis", "max_connections"),
            mqtt: count_in(root, "outbound_mqtt", "max_connections"),
            postgres: count_in(root, "outbound_pg", "max_connections"),
            mysql: count_in(root, "outbound_mysql", "max_connections"),
        },
        mqtt_payload_bytes: count_in(root, "outbound_mqtt", "max_payload_size_bytes"),
        postgres_root_certificates: root
            .get("postgres")
            .map(|postgres| postgres.texts("root_certificates"))
            .unwrap_or_default()
            .iter()
            .map(|path| folder.join(path))
            .collect(),
    }
}

struct Lowering<'l, 't> {
    source: &'l Source<'t>,
    folder: &'l Path,
    errors: &'l mut Vec<ManifestError>,
}

impl Lowering<'_, '_> {
    fn report(&mut self, entry: &Entry, message: &str, hint: &str) {
        self.errors.push(self.source.error(&entry.key_span, message).hint(hint));
    }

    fn path(&self, node: &Node, key: &str) -> Option<PathBuf> {
        node.text(key).map(|path| self.folder.join(path))
    }

    fn store(&mut self, entry: &Entry) -> (String, KeyValueStore) {
        let node = &entry.node;
        let store = match node.text("type") {
            Some("redis") => KeyValueStore::Redis(secret(node, "url")),
            Some("memory") => KeyValueStore::Memory,
            _ => KeyValueStore::Sqlite(self.path(node, "path")),
        };
        (entry.key.clone(), store)
    }

    fn blob_store(&mut self, entry: &Entry) -> (String, BlobStore) {
        let node = &entry.node;
        let text = |key| node.text(key).map(str::to_owned);
        let secret = |key| text(key).map(Secret);
        let (id, key) = (secret("access_key_id"), secret("secret_access_key"));
        let names = ["access_key_id", "secret_access_key"];
        for (stated, missing) in [(names[0], names[1]), (names[1], names[0])] {
            if let (Some(stands), None) = (node.entry(stated), node.entry(missing)) {
                let message = format!("`{stated}` stands without `{missing}`");
                self.report(stands, &message, "state both, or leave both to the environment");
            }
        }
        if let (Some(stands), None) = (node.entry("session_token"), &id) {
            let message = "`session_token` stands without `access_key_id`";
            self.report(stands, message, "it belongs to one key: state that as well");
        }
        let endpoint = secret("endpoint");
        if let Some(stands) = node.entry("endpoint")
            && endpoint.as_ref().is_some_and(|endpoint| !is_bare(&endpoint.0))
        {
            let message = "`endpoint` is more than a scheme, a host and a port";
            self.report(stands, message, "write `https://HOST` or `http://HOST:PORT`");
        }
        let credentials = id.zip(key).map(|(access_key_id, secret_access_key)| S3Credentials {
            access_key_id,
            secret_access_key,
            session_token: secret("session_token"),
        });
        let store = BlobStore {
            bucket: text("bucket").unwrap_or_default(),
            prefix: text("prefix"),
            endpoint,
            region: text("region"),
            path_style: node.bool("path_style"),
            credentials,
        };
        (entry.key.clone(), store)
    }

    fn providers(&mut self, root: &Node) -> Vec<VariablesProvider> {
        let named = root.entry("variables_provider").zip(root.entry("config_provider"));
        if let Some((_, old)) = named {
            let message = "both `variables_provider` and `config_provider` name providers";
            self.report(old, message, "name all of them `variables_provider`");
        }
        let nodes = root.list("variables_provider").iter().chain(root.list("config_provider"));
        nodes.map(|node| self.provider(node)).collect()
    }

    fn provider(&self, node: &Node) -> VariablesProvider {
        let text = |key| node.text(key).unwrap_or_default().to_owned();
        match node.text("type") {
            Some("vault" | "open_bao") => VariablesProvider::Vault {
                url: secret(node, "url"),
                token: secret(node, "token"),
                mount: text("mount"),
                prefix: node.text("prefix").map(str::to_owned),
            },
            Some("env") => VariablesProvider::Environment {
                prefix: node.text("prefix").map(str::to_owned),
                dotenv: self.path(node, "dotenv_path"),
            },
            _ => VariablesProvider::Static(
                entries(node, "values")
                    .iter()
                    .filter_map(|entry| {
                        Some((entry.key.clone(), Secret(entry.node.as_text()?.to_owned())))
                    })
                    .collect(),
            ),
        }
    }

    fn client_tls(&mut self, node: &Node) -> ClientTls {
        for key in ["component_ids", "hosts"] {
            if let Some(entry) = node.entry(key).filter(|entry| is_empty_list(&entry.node)) {
                let message = format!("`client_tls.{key}` is empty, so the entry holds for nobody");
                self.report(entry, &message, "name at least one, or remove the entry");
            }
        }
        let roots = self.path(node, "ca_roots_file");
        let platform = node.bool("ca_use_platform_roots");
        let webpki = node.bool("ca_use_webpki_roots");
        let tls = ClientTls {
            components: node.texts("component_ids"),
            hosts: node.texts("hosts").iter().map(|host| canonical_host(host)).collect(),
            // Spin's rule: whoever says something of the authorities says all of it.
            platform_roots: platform.unwrap_or(webpki.is_none() && roots.is_none()),
            webpki_roots: webpki.unwrap_or(false),
            roots,
            certificate: self
                .path(node, "client_cert_file")
                .zip(self.path(node, "client_private_key_file")),
        };
        self.check_client_tls(node, &tls);
        tls
    }

    fn check_client_tls(&mut self, node: &Node, tls: &ClientTls) {
        let trusts_nobody = !tls.platform_roots && !tls.webpki_roots && tls.roots.is_none();
        let said = ["ca_use_platform_roots", "ca_use_webpki_roots"];
        if let (true, Some(entry)) = (trusts_nobody, said.iter().find_map(|key| node.entry(key))) {
            let message = "`client_tls` trusts no authority, so no server would be trusted";
            self.report(entry, message, "add `ca_roots_file`, or let one of the others be `true`");
        }
        let pair = ["client_cert_file", "client_private_key_file"];
        for (stated, missing) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            if let (Some(entry), None) = (node.entry(stated), node.entry(missing)) {
                let message = format!("`client_tls.{stated}` stands without `{missing}`");
                self.report(entry, &message, "a certificate is shown with its private key");
            }
        }
    }

    fn outbound_http(&mut self, root: &Node) -> OutboundHttp {
        let Some(node) = root.get("outbound_http") else { return OutboundHttp::default() };
        let max = count(node, "max_connections");
        let old = count(node, "max_concurrent_requests");
        if let (Some(_), Some(entry)) = (max, node.entry("max_concurrent_requests")) {
            let message = "both `max_connections` and `max_concurrent_requests` bound HTTP";
            self.report(entry, message, "keep `max_connections`");
        }
        OutboundHttp {
            pooling: node.bool("connection_pooling").unwrap_or(true),
            // The older key let one more through than it said, which apps rely on.
            max_connections: max.or(old.map(|max| max.saturating_add(1))),
        }
    }
}

/// Whether a URL names a server and nothing else.
fn is_bare(url: &str) -> bool {
    let server = url.split_once("://").map_or(url, |(_, rest)| rest);
    !server.strip_suffix('/').unwrap_or(server).contains(['/', '@', '?', '#', '\\'])
}

fn outbound_networking(root: &Node) -> OutboundNetworking {
    let Some(node) = root.get("outbound_networking") else { return OutboundNetworking::default() };
    let networks: Vec<_> = node
        .list("block_networks")
        .iter()
        .filter_map(Node::as_text)
        .filter_map(|text| parse_network(text).ok())
        .collect();
    OutboundNetworking {
        block_private: networks.contains(&None),
        blocked: networks.into_iter().flatten().collect(),
        max_sockets: count(node, "max_socket_connections"),
        max_connections: count(node, "max_total_connections"),
    }
}

fn messaging(entry: &Entry) -> (String, Messaging) {
    let node = &entry.node;
    let client = Messaging {
        kind: match node.text("type") {
            Some("redis") => MessagingKind::Redis,
            Some("mqtt") => MessagingKind::Mqtt,
            Some("queue") => MessagingKind::Queue,
            _ => MessagingKind::Nats,
        },
        url: secret(node, "url"),
        topics: node.get("topics").map(|_| node.texts("topics")),
    };
    (entry.key.clone(), client)
}

fn llm_compute(node: &Node) -> LlmCompute {
    LlmCompute {
        api: match node.text("api_type") {
            Some("open_ai") => LlmApi::OpenAi,
            _ => LlmApi::Spin,
        },
        url: secret(node, "url"),
        auth_token: secret(node, "auth_token"),
    }
}

fn entries<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    node.get(key).map_or(&[], Node::entries)
}

fn secret(node: &Node, key: &str) -> Secret {
    Secret(node.text(key).unwrap_or_default().to_owned())
}

fn count(node: &Node, key: &str) -> Option<usize> {
    node.integer(key).and_then(|number| number.try_into().ok())
}

fn count_in(root: &Node, table: &str, key: &str) -> Option<usize> {
    root.get(table).and_then(|node| count(node, key))
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, crate::manifest::value::Value::List(items) if items.is_empty())
}

/// A host as requests are compared with it: in lower case, without brackets and final dot.
fn canonical_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}
