//! HTTPS: certificates from files, HTTP/2 by ALPN.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Certificate, Running, program, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dayfly;

async fn up(app: &App, certificate: &Certificate) -> Running {
    dayfly()
        .args(["up", "--tls-cert"])
        .arg(certificate.chain())
        .arg("--tls-key")
        .arg(certificate.key())
        .arg(app.folder())
        .serve()
        .await
}

/// What curl prints for a path, asked with further flags and the authority's certificate.
async fn curl(server: &Running, certificate: &Certificate, flags: &[&str], path: &str) -> String {
    let mut curl = program("curl");
    curl.arg("-sS").arg("--cacert").arg(certificate.authority()).args(flags);
    run(curl.arg(format!("{}{path}", server.base()))).await
}

#[tokio::test]
async fn http_2_is_negotiated_by_alpn() {
    let (app, certificate) = (App::of("rust-p3-echo"), Certificate::new());
    let server = up(&app, &certificate).await;
    assert!(server.base().starts_with("https://"), "{}", server.base());
    let written = ["-w", "\n%{http_version}"];
    let http2 = [&written[..], &["--http2"]].concat();
    assert_eq!(curl(&server, &certificate, &http2, "/hello").await, "hello world\n2");
    let http1 = [&written[..], &["--http1.1"]].concat();
    assert_eq!(curl(&server, &certificate, &http1, "/hello").await, "hello world\n1.1");
    server.stop().await;
}

#[tokio::test]
async fn guests_know_that_they_are_asked_by_https() {
    let (app, certificate) = (App::of("rust-p3-echo"), Certificate::new());
    let server = up(&app, &certificate).await;
    let text = curl(&server, &certificate, &[], "/headers").await;
    let url = format!("spin-full-url: {}/headers", server.base());
    assert!(text.contains(&url) && text.contains("Scheme::Https"), "{text}");
    server.stop().await;

    let app = App::of("rust-command");
    let server = up(&app, &certificate).await;
    let text = curl(&server, &certificate, &[], "/x").await;
    assert!(text.contains("\nHTTPS=on\n"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_is_named() {
    let (app, certificate) = (App::of("rust-hello"), Certificate::new());
    let other = Certificate::new();
    for (chain, key, named) in [
        (certificate.key(), certificate.key(), certificate.key()),
        (certificate.chain(), app.path("nowhere.pem"), app.path("nowhere.pem")),
        (certificate.chain(), other.key(), other.key()),
    ] {
        let command = dayfly().args(["up", "--tls-cert"]).arg(&chain).arg("--tls-key").arg(&key);
        let stderr = command.arg(app.folder()).ends().await.with(1);
        assert!(stderr.contains(&named.display().to_string()), "{stderr}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() {
    let (app, certificate) = (App::of("rust-hello"), Certificate::new());
    let command = dayfly().args(["up", "--handshake-timeout", "300ms", "--tls-cert"]);
    let command = command.arg(certificate.chain()).arg("--tls-key").arg(certificate.key());
    let server = command.arg(app.folder()).serve().await;
    // Nothing at all, and the first bytes of a handshake.
    for begun in [&b""[..], &[22, 3, 1]] {
        let began = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(begun).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    assert_eq!(curl(&server, &certificate, &[], "/").await, "hello world");
    server.stop().await;
}
