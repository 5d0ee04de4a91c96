//! Certificates for this machine, signed by an authority that nobody knows unless told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate, as files: for `localhost` and `127.0.0.1`, unless for other names.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// A new certificate of a new authority.
    ///
    /// # Panics
    /// If a key cannot be made or a file not be written.
    pub fn new() -> Self {
        Self::of(&["localhost", "127.0.0.1"])
    }

    /// The same for other names.
    ///
    /// # Panics
    /// If a key cannot be made or a file not be written.
    pub fn of(names: &[&str]) -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new([]).expect("parameters");
        // Who is called like its issuer would be taken for its own.
        authority.distinguished_name.push(DnType::CommonName, "an authority of tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).expect("a root");
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = CertificateParams::new(names).expect("parameters");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");

        let folder = tempfile::tempdir().expect("a temporary folder");
        let write =
            |name, text| std::fs::write(folder.path().join(name), text).expect("a new file");
        write("authority.pem", root.pem());
        write("certificate.pem", leaf.pem());
        write("key.pem", key.serialize_pem());
        Self { folder }
    }

    /// The certificate of the authority, PEM.
    pub fn authority(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// The certificate, PEM.
    pub fn chain(&self) -> PathBuf {
        self.file("certificate.pem")
    }

    /// The certificate's private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.file("key.pem")
    }

    /// Speaks TLS on a connection to a server of this certificate, as one who trusts the authority alone.
    ///
    /// # Errors
    /// If the server is another.
    ///
    /// # Panics
    /// If the authority's file is gone.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(self.authority()).expect("a file of ours");
        roots.add(root).expect("a certificate of ours");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(client)).connect(name, stream).await
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}
