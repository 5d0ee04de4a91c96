//! An ACME server: Pebble, which is Let's Encrypt's own for tests, and the DNS that it asks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::Certificate;
use crate::daemon::{Daemon, Recipe, free_port};

/// A `pebble` on a free port of this machine, for which every name leads here. It looks at hosts on a port
/// that it is told, refuses some nonces, and has no answer ready at once, as real ones do.
pub struct Pebble {
    pebble: Daemon,
    _dns: Daemon,
    certificate: Certificate,
}

impl Pebble {
    /// The host that it issues nothing for.
    pub const BLOCKED: &str = "blocked.example";

    /// A server that finds the port 80 of every host on this port, and whose certificates live so long.
    pub async fn start(http_port: u16, lifetime: Duration) -> Self {
        let certificate = Certificate::new();
        let management = free_port();
        let dns = Daemon::start(Recipe {
            name: "pebble-challtestsrv".into(),
            ready: "DNS-01",
            arguments: Box::new(move |port: u16, _: &Path| {
                let words = [
                    "-dns01".to_owned(),
                    format!("127.0.0.1:{port}"),
                    "-defaultIPv6=".to_owned(),
                    "-http01=".to_owned(),
                    "-https01=".to_owned(),
                    "-tlsalpn01=".to_owned(),
                    "-management".to_owned(),
                    format!("127.0.0.1:{management}"),
                ];
                words.into_iter().map(OsString::from).collect()
            }),
        })
        .await;
        let server = format!("127.0.0.1:{}", dns.port());
        let (chain, key) = (certificate.chain(), certificate.key());
        let arguments = Box::new(move |port: u16, folder: &Path| {
            let config = json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{port}"),
                "managementListenAddress": "",
                "certificate": chain,
                "privateKey": key,
                "httpPort": http_port,
                "tlsPort": 1,
                "externalAccountBindingRequired": false,
                "domainBlocklist": [Self::BLOCKED],
                "certificateValidityPeriod": lifetime.as_secs(),
            } });
            let file = folder.join("config.json");
            std::fs::write(&file, config.to_string()).expect("a new file");
            vec!["-config".into(), file.into(), "-dnsserver".into(), server.clone().into()]
        });
        let ready = "ACME directory available at";
        let pebble = Daemon::start(Recipe { name: "pebble".into(), ready, arguments }).await;
        Self { pebble, _dns: dns, certificate }
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.pebble.port())
    }

    /// Who has signed its own certificate, PEM.
    pub fn authority(&self) -> PathBuf {
        self.certificate.authority()
    }
}
