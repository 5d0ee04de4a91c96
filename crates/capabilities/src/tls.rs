//! TLS towards servers: what the clients of a component trust and show, host by host. Every
//! capability that speaks TLS asks [`Clients::config`] for a host's settings. What a server's name
//! in its certificate must be is the caller's to say.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use dayfly_model::RuntimeConfig;
use dayfly_model::runtime_config::ClientTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// Why the settings of a runtime configuration cannot be had.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file of certificates.
    #[error("failed to read certificates from `{}`", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: PemError,
    },
    /// A certificate that is no authority's.
    #[error("`{}` holds a certificate that cannot be trusted", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A file of a private key. Nothing is told of what stands in it.
    #[error("failed to read a private key from `{}`", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why it could not be read; none if it could, and holds no key.
        source: Option<io::Error>,
    },
    /// A certificate and a key that do not belong together.
    #[error("certificate `{}` and its private key cannot be shown", .path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// The platform's authorities.
    #[error("the platform's certificate roots cannot be read")]
    Platform(#[source] rustls::Error),
}

/// What stands in a runtime configuration, read once.
#[derive(Default)]
pub struct Settings {
    components: BTreeMap<String, Hosts>,
    postgres: Option<Arc<ClientConfig>>,
}

type Hosts = Arc<BTreeMap<String, Arc<ClientConfig>>>;

/// The settings of one component's clients.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    hosts: Hosts,
    postgres: Option<Arc<ClientConfig>>,
}

/// The settings where nothing is said of a host, made with the first use: reading the platform's
/// roots takes milliseconds.
static USUAL: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let config = platform(Vec::new()).unwrap_or_else(|error| {
        tracing::error!(error = %error, "{}", TlsError::Platform(error.clone()));
        trusting(RootCertStore::empty())
    });
    Arc::new(config)
});

impl Settings {
    /// Reads the files that a runtime configuration names.
    ///
    /// # Errors
    /// If one of them cannot be read, or is not what it should be.
    pub fn load(config: &RuntimeConfig) -> Result<Self, TlsError> {
        let mut components: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        for entry in &config.client_tls {
            let config = Arc::new(configured(entry)?);
            for component in &entry.components {
                let hosts = components.entry(component.clone()).or_default();
                for host in &entry.hosts {
                    hosts.entry(host.clone()).or_insert_with(|| config.clone());
                }
            }
        }
        let components = components.into_iter().map(|(name, hosts)| (name, Arc::new(hosts)));
        let postgres = match config.postgres_root_certificates.as_slice() {
            [] => None,
            files => Some(Arc::new(beside_the_platform(files)?)),
        };
        Ok(Self { components: components.collect(), postgres })
    }

    /// The share of one component.
    pub(crate) fn of(&self, component: &str) -> Clients {
        let hosts = self.components.get(component).cloned().unwrap_or_default();
        Clients { hosts, postgres: self.postgres.clone() }
    }
}

impl Clients {
    /// How to speak TLS with a host, a name or an address, with or without brackets. No protocol
    /// (ALPN) is asked for.
    pub(crate) fn config(&self, host: &str) -> Arc<ClientConfig> {
        self.hosts.get(&canonical(host)).unwrap_or_else(|| LazyLock::force(&USUAL)).clone()
    }

    /// The same for a PostgreSQL server, which `[postgres]` may say something of.
    pub(crate) fn postgres_config(&self, host: &str) -> Arc<ClientConfig> {
        let said = self.hosts.get(&canonical(host)).or(self.postgres.as_ref());
        said.unwrap_or_else(|| LazyLock::force(&USUAL)).clone()
    }

    /// The hosts of which something is said.
    pub(crate) fn special(&self) -> impl Iterator<Item = (&str, &Arc<ClientConfig>)> {
        self.hosts.iter().map(|(host, config)| (host.as_str(), config))
    }
}

/// How to speak TLS with a server that no component asked for.
pub(crate) fn usual() -> Arc<ClientConfig> {
    LazyLock::force(&USUAL).clone()
}

/// How to speak TLS with a server that the platform's authorities or `others` vouch for.
pub(crate) fn trusting_also(
    others: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    platform(others).map(Arc::new).map_err(TlsError::Platform)
}

/// How to speak TLS with whoever answers, where no TLS at all would do as well.
pub(crate) fn unverified() -> Arc<ClientConfig> {
    static UNVERIFIED: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let builder = builder();
        let anyone = Arc::new(Anyone(builder.crypto_provider().clone()));
        let builder = builder.dangerous().with_custom_certificate_verifier(anyone);
        Arc::new(builder.with_no_client_auth())
    });
    UNVERIFIED.clone()
}

/// A host as settings name it: in lower case, without brackets and final dot.
pub(crate) fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

type Builder<S> = rustls::ConfigBuilder<ClientConfig, S>;

fn builder() -> Builder<rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Wrong only for a provider that has no suite for a version.
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring serves the default versions")
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    builder().with_root_certificates(roots).with_no_client_auth()
}

/// Trusts the platform's authorities and `others`.
fn platform(others: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    Ok(verified_by_platform(others)?.with_no_client_auth())
}

fn verified_by_platform(
    others: Vec<CertificateDer<'static>>,
) -> Result<Builder<rustls::client::WantsClientCert>, rustls::Error> {
    let builder = builder();
    let verifier = Verifier::new_with_extra_roots(others, builder.crypto_provider().clone())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

fn beside_the_platform(files: &[PathBuf]) -> Result<ClientConfig, TlsError> {
    let mut others = Vec::new();
    for file in files {
        others.extend(authorities(file)?);
    }
    platform(others).map_err(TlsError::Platform)
}

fn configured(entry: &ClientTls) -> Result<ClientConfig, TlsError> {
    let mut trusted = match &entry.roots {
        Some(file) => authorities(file)?,
        None => Vec::new(),
    };
    if entry.webpki_roots {
        trusted.extend(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    let builder = if entry.platform_roots {
        verified_by_platform(trusted).map_err(TlsError::Platform)?
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted);
        builder().with_root_certificates(roots)
    };
    match &entry.certificate {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(certificates(chain)?, private_key(key)?)
            .map_err(|source| TlsError::Pair { path: chain.clone(), source }),
    }
}

/// The certificates of a file, each of which can be trusted.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = certificates(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    }
    Ok(found)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificates { path: path.to_owned(), source };
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found.map_err(failed)? {
        none if none.is_empty() => Err(failed(PemError::NoItemsFound)),
        some => Ok(some),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::Key {
        path: path.to_owned(),
        source: match error {
            PemError::Io(error) => Some(error),
            _ => None,
        },
    })
}

/// Trusts whoever answers, which keeps those out who only listen. Who answers in the server's place
/// could as well say that it has no TLS.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
