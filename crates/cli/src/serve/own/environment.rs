//! What of the supervisor's environment a tenant's process gets, by name.

/// Flags that it serves by, or that go with such. Neither tokens nor where the platform's key is are among
/// them, nor anything else that the operator's programs are told.
const FLAGS: [&str; 41] = [
    "ACCESS_LOG",
    "ACME_DIRECTORY",
    "ALLOW_PRIVATE_NETWORKS",
    "BASE_DOMAIN",
    "BODY_MEMORY",
    "BODY_TIMEOUT",
    "CACHE_DIR",
    "CACHE_SIZE",
    "CHECK",
    "CONNECTION_WINDOW",
    "ENGINE",
    "EVICT_AFTER",
    "GRACE",
    "HANDSHAKE_TIMEOUT",
    "HARDEN",
    "HEADER_TIMEOUT",
    "IDLE_TIMEOUT",
    "LOG",
    "LOG_FORMAT",
    "MAX_CONNECTIONS",
    "MAX_DESCRIPTORS",
    "MAX_HEADERS",
    "MAX_HEADER_SIZE",
    "MAX_INSTANCES",
    "MAX_LAG",
    "MAX_STREAMS",
    "MAX_STREAM_ERRORS",
    "MAX_STREAM_RESETS",
    "MAX_URI_SIZE",
    "MAX_WEBSOCKETS",
    "MEMORY_BUDGET",
    "MIN_RATE",
    "OWN_MEMORY_BUDGET",
    "OWN_PROCESSES",
    "STACK",
    "STATE_DIR",
    "STREAM_WINDOW",
    "THREADS",
    "TLS_CERT",
    "TLS_KEY",
    "WRITE_TIMEOUT",
];

/// How it exports and checks certificates, and what it finds things by.
const BEGINNINGS: [&str; 3] = ["OTEL_", "SSL_CERT_", "LC_"];
const OTHERS: [&str; 11] = [
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "NO_COLOR",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// Whether a tenant's process gets a variable of the environment.
pub(super) fn is_for_tenants(name: &str) -> bool {
    match name.strip_prefix("DAYFLY_") {
        Some(flag) => FLAGS.contains(&flag),
        None => OTHERS.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    /// Flags of `dayfly serve` that do nothing for a tenant's process, or that it must not know.
    const NOT_FOR_TENANTS: [&str; 14] = [
        "ACME_CA",
        "ACME_CONTACT",
        "ADMIN_LISTEN",
        "LISTEN",
        "METRICS_LISTEN",
        "OWN_TIMEOUT",
        "PUBLIC_URL",
        "SECRETS_KEY_COMMAND",
        "SECRETS_KEY_FILE",
        "TLS_LISTEN",
        "WORKERS",
        "WORKER_CPU",
        "WORKER_MEMORY",
        "WORKER_TIME",
    ];

    #[test]
    fn a_tenant_s_process_is_told_no_secret_of_the_operator_s() {
        for name in ["DAYFLY_MAX_INSTANCES", "OTEL_EXPORTER_OTLP_ENDPOINT", "HOME", "RUST_LOG"] {
            assert!(is_for_tenants(name), "{name}");
        }
        for name in [
            "DAYFLY_SECRETS_KEY_FILE",
            "DAYFLY_SECRETS_KEY_COMMAND",
            "DAYFLY_TOKEN",
            "DAYFLY_VARIABLE_PASSWORD",
            "DAYFLY_",
            "VAULT_TOKEN",
            "HOMES",
            "",
        ] {
            assert!(!is_for_tenants(name), "{name}");
        }
    }

    #[test]
    fn each_flag_is_for_a_tenant_s_process_or_not() {
        let all = crate::Cli::command();
        let serve = all.find_subcommand("serve").unwrap();
        let names = serve.get_arguments().filter_map(|flag| flag.get_env()?.to_str());
        let flags: BTreeSet<_> = names.filter_map(|name| name.strip_prefix("DAYFLY_")).collect();
        let decided: BTreeSet<_> = FLAGS.into_iter().chain(NOT_FOR_TENANTS).collect();
        assert_eq!(flags, decided);
        assert_eq!(decided.len(), FLAGS.len() + NOT_FOR_TENANTS.len());
    }
}
