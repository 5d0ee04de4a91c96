//! TLS: both protocols by ALPN, key formats, clear errors, reloading.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_host::{ServeError, Server, ServerConfig, TlsConfig, TlsError};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{LONG, Running, block_on, config, eventually, is_closed, log_lines};

/// A folder with a certificate for `localhost` and its key.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        let certificate = files.renew();
        (files, certificate)
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Replaces both files.
    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.certificate(), cert.pem()).unwrap();
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn config(&self) -> ServerConfig {
        let mut tls = TlsConfig::new(self.certificate(), self.key());
        tls.reload_interval = Duration::from_millis(50);
        ServerConfig { tls: Some(tls), ..config() }
    }
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect(server.addr()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, tcp).await
}

async fn who_http1(tls: TlsStream<TcpStream>) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/who").header("host", "localhost").body(Empty::<Bytes>::new());
    text(sender.send_request(request.unwrap()).await.unwrap()).await
}

async fn who_http2(tls: TlsStream<TcpStream>) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/who").body(Empty::<Bytes>::new());
    text(sender.send_request(request.unwrap()).await.unwrap()).await
}

async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn both_protocols_are_agreed_on() {
    let (files, certificate) = Files::new();
    let server = Running::with(files.config());
    block_on(async {
        for protocols in [&["http/1.1"][..], &[]] {
            let tls = connect(&server, &certificate, protocols).await.unwrap();
            let answer = who_http1(tls).await;
            assert!(answer.ends_with(" https http/1"), "{answer}");
        }
        let tls = connect(&server, &certificate, &["h2", "http/1.1"]).await.unwrap();
        let answer = who_http2(tls).await;
        assert!(answer.ends_with(" https http/2"), "{answer}");
        // By prior knowledge, inside TLS.
        let tls = connect(&server, &certificate, &[]).await.unwrap();
        let answer = who_http2(tls).await;
        assert!(answer.ends_with(" https http/2"), "{answer}");
    });
    assert!(server.stop().is_clean());
}

#[test]
fn curl_agrees_on_http2() {
    let (files, _) = Files::new();
    let server = Running::with(files.config());
    let port = server.addr().port();
    let output = Command::new("curl")
        .args(["-sS", "-m", "60", "-w", " %{http_version}", "--cacert"])
        .arg(files.certificate())
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/"))
        .output();
    match output {
        Ok(output) => {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n 2", "{output:?}");
        }
        Err(error) => eprintln!("curl is not installed, skipped: {error}"),
    }
}

#[test]
fn changed_files_are_taken() {
    let (files, old) = Files::new();
    let server = Running::with(files.config());
    block_on(async {
        let open = connect(&server, &old, &[]).await.unwrap();
        let new = files.renew();
        while connect(&server, &new, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(connect(&server, &old, &[]).await.is_err());
        assert!(who_http1(open).await.ends_with("https http/1"), "open ones stay");
    });
}

#[test]
fn broken_files_leave_the_certificate_in_use() {
    let (files, certificate) = Files::new();
    let server = Running::with(files.config());
    std::fs::write(files.certificate(), "broken").unwrap();
    let path = files.certificate().display().to_string();
    let said = |what: &str| log_lines().lines().any(|l| l.contains(&path) && l.contains(what));
    eventually("the error", || said("failed to reload the certificate"));
    block_on(async {
        let tls = connect(&server, &certificate, &[]).await.unwrap();
        assert!(who_http1(tls).await.ends_with("https http/1"));
        let new = files.renew();
        while connect(&server, &new, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    eventually("the line", || said("reloaded the certificate"));
    let errors = log_lines().lines().filter(|l| l.contains(&path) && l.contains("ERROR")).count();
    assert_eq!(errors, 1, "once a change");
}

#[test]
fn tls_has_addresses_of_its_own_and_never_none_instead() {
    let (files, _) = Files::new();
    let tls = Some(TlsConfig::new(files.certificate(), files.key()));
    let tls_listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Running::with(ServerConfig { tls_listen: tls_listen.clone(), tls, ..config() });
    let clear = server.raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(clear.starts_with("HTTP/1.1 200"), "{clear}");
    let mut tcp = crate::harness::connect(server.addrs[1].tcp().unwrap());
    std::io::Write::write_all(&mut tcp, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut tcp, &mut answer);
    // An alert, or nothing.
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let without = Server::bind(ServerConfig { tls_listen, ..config() });
    assert!(matches!(without, Err(ServeError::Tls(TlsError::Missing))));
}

fn refused(certificate: &Path, key: &Path) -> TlsError {
    let config = ServerConfig { tls: Some(TlsConfig::new(certificate, key)), ..config() };
    match Server::bind(config) {
        Err(ServeError::Tls(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn files_that_cannot_be_served_say_why() {
    let (files, _) = Files::new();
    let (other, _) = Files::new();
    let (certificate, key) = (files.certificate(), files.key());
    let missing = files.dir.path().join("missing");
    let broken = files.dir.path().join("broken");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n")
        .unwrap();

    let error = refused(&missing, &key);
    assert_eq!(error.to_string(), format!("failed to read `{}`", missing.display()));
    let error = refused(&key, &key);
    assert_eq!(error.to_string(), format!("`{}` holds no certificate", key.display()));
    assert!(error.hint().unwrap().contains("BEGIN CERTIFICATE"));
    let error = refused(&certificate, &certificate);
    assert_eq!(error.to_string(), format!("`{}` holds no private key", certificate.display()));
    let error = refused(&broken, &key);
    assert_eq!(error.to_string(), format!("`{}` is not a valid PEM file", broken.display()));
    let error = refused(&certificate, &other.key());
    let (wrong, right) = (other.key(), certificate.display());
    assert_eq!(
        error.to_string(),
        format!("the key in `{}` does not belong to the certificate in `{right}`", wrong.display())
    );
}

#[test]
fn every_form_of_key_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    for (kind, header) in [
        ("openssl genrsa -traditional -out key.pem 2048", "RSA PRIVATE KEY"),
        ("openssl genrsa -out key.pem 2048", "PRIVATE KEY"),
        ("openssl ecparam -genkey -noout -name prime256v1 -out key.pem", "EC PRIVATE KEY"),
        ("openssl genpkey -algorithm ed25519 -out key.pem", "PRIVATE KEY"),
    ] {
        let sign = "openssl req -x509 -key key.pem -out cert.pem -days 2 -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost";
        let script =
            format!("command -v openssl >/dev/null || exit 42; {kind} 2>&1 && {sign} 2>&1");
        let output = Command::new("sh").args(["-c", &script]).current_dir(&dir).output().unwrap();
        if output.status.code() == Some(42) {
            eprintln!("openssl is not installed, skipped");
            return;
        }
        assert!(output.status.success(), "{output:?}");
        let begin = format!("-----BEGIN {header}-----");
        assert!(std::fs::read_to_string(&key).unwrap().contains(&begin), "{kind}");
        let tls = Some(TlsConfig::new(&certificate, &key));
        let server = Running::with(ServerConfig { tls, ..config() });
        let mut curl = Command::new("curl");
        curl.args(["-sSk", "-m", "60", &format!("https://{}/", server.addr())]);
        if let Ok(output) = curl.output() {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n", "{kind} {output:?}");
        }
    }
}

#[test]
fn a_handshake_that_does_not_end_holds_nobody_up_and_ends() {
    let (files, certificate) = Files::new();
    let handshake_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { handshake_timeout, threads: 1, ..files.config() });
    let mut silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    block_on(async {
        let tls = connect(&server, &certificate, &[]).await.unwrap();
        assert!(who_http1(tls).await.ends_with("https http/1"));
    });
    for tcp in &mut silent {
        tcp.set_read_timeout(Some(LONG)).unwrap();
        assert!(is_closed(tcp));
    }
}

#[test]
fn plain_http_to_a_tls_port_is_closed() {
    let (files, _) = Files::new();
    let server = Running::with(files.config());
    let answer = server.raw("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(!answer.starts_with("HTTP"), "{answer}");
}
