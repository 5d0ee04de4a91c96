//! What a server shows to those who name a host by TLS, whoever has signed it.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection by TLS to a server at an address.
pub struct Https(TlsStream<TcpStream>);

impl Https {
    /// Names a host, and takes any certificate.
    ///
    /// # Errors
    /// If the server does not want to be that host, with the alert that it gives.
    ///
    /// # Panics
    /// If the host is none.
    pub async fn connect(authority: &str, host: &str) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let stream = TcpStream::connect(authority).await?;
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.map(Self)
    }

    /// The certificate that the server has shown, DER.
    ///
    /// # Panics
    /// If it has shown none.
    pub fn certificate(&self) -> Vec<u8> {
        let (_, connection) = self.0.get_ref();
        let shown = connection.peer_certificates().and_then(|all| all.first());
        shown.expect("a certificate").to_vec()
    }

    /// Whether the certificate is for a host.
    pub fn is_for(&self, host: &str) -> bool {
        let (der, name) = (self.certificate(), ServerName::try_from(host).expect("a name"));
        let der = CertificateDer::from(der);
        let parsed = rustls::server::ParsedCertificate::try_from(&der).expect("a certificate");
        rustls::client::verify_server_name(&parsed, &name).is_ok()
    }

    /// The status and the body of the answer to a GET; the connection stays.
    ///
    /// # Errors
    /// If it breaks.
    ///
    /// # Panics
    /// If the answer is none of HTTP/1.1.
    pub async fn get(&mut self, host: &str, path: &str) -> io::Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        self.0.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        let head = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.0.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
        let status = text.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: Option<usize> = length.and_then(|it| it.parse().ok());
        let is_whole = |read: &[u8]| match length {
            Some(length) => read.len() >= head + length,
            // The last chunk.
            None => read.ends_with(b"0\r\n\r\n"),
        };
        while !is_whole(&read) {
            if self.0.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((status, String::from_utf8_lossy(&read[head..]).into_owned()))
    }
}

/// Takes everybody for who they say they are.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
