//! Outbound HTTP: what is granted is reached, everything else is refused, after names are resolved.

use std::time::Duration;

use dayfly_testing::{App, Body, Certificate, Pattern, Running, Upstream};
use http::Method;

use crate::dayfly;

/// A guest that may reach `hosts`.
async fn granted(guest: &str, hosts: &[&str]) -> (App, Running) {
    let app = App::granted(guest, &format!("allowed_outbound_hosts = {hosts:?}"));
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

async fn fetch(server: &Running, url: &str) -> Result<String, String> {
    let answer = server.get(&format!("/fetch?url={url}")).await;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// Checks that a request is refused with the interface's own error.
async fn refused(server: &Running, url: &str, error: &str) {
    let text = fetch(server, url).await.expect_err(url);
    assert!(text.contains(error), "{url}: no {error} in {text}");
}

#[tokio::test]
async fn a_granted_host_is_reached() {
    let upstream = Upstream::start().await;
    let (_app, server) = granted("rust-http", &[&upstream.url()]).await;
    let url = format!("{}/path?a=b%26c=d&header=x-one:1", upstream.url());
    let text = fetch(&server, &url).await.unwrap();
    assert!(text.starts_with("status 200\nGET /path?a=b&c=d HTTP/1.1\n"), "{text}");
    assert!(text.contains("x-one: 1\n"), "{text}");
    assert!(text.contains(&format!("host: 127.0.0.1:{}\n", upstream.port())), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_sent_and_comes_back() {
    const BYTES: u64 = 8 << 20;
    let upstream = Upstream::start().await;
    let (_app, server) = granted("rust-http", &[&upstream.url()]).await;
    let path = format!("/fetch?method=POST&url={}/", upstream.url());
    let request = server.request(Method::POST, &path);
    let answer = server.send(request.body(Body::stream(Pattern::stream(BYTES)))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let at = answer.body.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
    let mut pattern = Pattern::new();
    pattern.check(&answer.body[at..]);
    assert_eq!(pattern.checked(), BYTES);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_granted_may_lead_to_this_machine() {
    let upstream = Upstream::start().await;
    let (_app, server) = granted("rust-http", &[&upstream.named_url()]).await;
    assert!(fetch(&server, &upstream.named_url()).await.is_ok());
    refused(&server, &upstream.url(), "HttpRequestDenied").await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let (_app, server) = granted("rust-http", &[&upstream.url()]).await;
    refused(&server, &other.url(), "HttpRequestDenied").await;
    let https = format!("https://127.0.0.1:{}", upstream.port());
    refused(&server, &https, "HttpRequestDenied").await;
    server.stderr().containing("allowed_outbound_hosts").await;
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_granted_by_default() {
    let upstream = Upstream::start().await;
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    refused(&server, &upstream.url(), "HttpRequestDenied").await;
    server.stop().await;
}

#[tokio::test]
async fn a_wildcard_reaches_no_private_address() {
    let upstream = Upstream::start().await;
    let (_app, server) = granted("rust-http", &["*://*:*"]).await;
    refused(&server, &upstream.url(), "Prohibited").await;
    refused(&server, &upstream.named_url(), "Prohibited").await;
    let mapped = format!("http://[::ffff:127.0.0.1]:{}", upstream.port());
    refused(&server, &mapped, "Prohibited").await;
    for address in ["169.254.169.254", "10.0.0.1", "192.168.0.1", "0.0.0.0", "[::1]", "[fe80::1]"] {
        refused(&server, &format!("http://{address}/"), "Prohibited").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_granted_host_may_come_from_a_variable() {
    let upstream = Upstream::start().await;
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n[variables]\nport = { required = true }\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-http\"\n\
         allowed_outbound_hosts = [\"http://127.0.0.1:{{ port }}\"]\n",
    );
    let server =
        dayfly().env("DAYFLY_VARIABLE_PORT", upstream.port().to_string()).up(app.folder()).await;
    assert!(fetch(&server, &upstream.url()).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn one_component_does_not_use_the_grant_of_another() {
    let upstream = Upstream::start().await;
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"poor\"\n\
         [[trigger.http]]\nroute = \"/fetch\"\ncomponent = \"rich\"\n\
         [[trigger.http]]\nroute = \"/sub/...\"\ncomponent = \"poor\"\n\
         [component.rich]\nsource = \"guest:rust-http\"\nallowed_outbound_hosts = [\"{}\"]\n\
         [component.poor]\nsource = \"guest:js-componentize\"\n",
        upstream.url()
    ));
    let server = dayfly().up(app.folder()).await;
    assert!(fetch(&server, &upstream.url()).await.is_ok());
    // Spelled otherwise, the path leads to the other component, which reads it all the same.
    let poor = server.get(&format!("/sub/../fetch?url={}", upstream.url())).await;
    assert_ne!(poor.status, 200, "{}", poor.text());
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_fails_by_the_guests_own_limit() {
    let upstream = Upstream::start().await;
    let (_app, server) = granted("rust-http", &[&upstream.url()]).await;
    let url = format!("{}/slow&ms=200", upstream.url());
    refused(&server, &url, "ConnectionReadTimeout").await;
    server.stop().await;
}

#[tokio::test]
async fn a_host_that_does_not_listen_refuses() {
    let (_app, server) = granted("rust-http", &["http://127.0.0.1:1"]).await;
    refused(&server, "http://127.0.0.1:1/", "ConnectionRefused").await;
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let certificate = Certificate::new();
    let upstream = Upstream::start_tls(&certificate).await;
    let (_app, server) = granted("rust-http", &[&upstream.named_url()]).await;
    refused(&server, &upstream.named_url(), "TlsCertificateError").await;
    server.stop().await;
}

#[tokio::test]
async fn https_speaks_http_2_where_the_host_does() {
    let certificate = Certificate::new();
    let upstream = Upstream::start_tls(&certificate).await;
    for guest in ["rust-http", "rust-spin-7"] {
        let app = App::granted(
            guest,
            &format!("allowed_outbound_hosts = [\"{}\"]", upstream.named_url()),
        );
        // The platform's roots, where rustls looks for them.
        let server = dayfly().env("SSL_CERT_FILE", certificate.authority()).up(app.folder()).await;
        let text = fetch(&server, &format!("{}/secure", upstream.named_url())).await.unwrap();
        assert!(text.contains("GET /secure HTTP/2.0\n"), "{guest}: {text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_guest_on_wasi_0_3_is_refused_alike() {
    let upstream = Upstream::start().await;
    let app = App::of("rust-spin-7");
    let server = dayfly().up(app.folder()).await;
    refused(&server, &upstream.url(), "HttpRequestDenied").await;
    server.stop().await;
}

/// Answers each request soon after its head is there, each a little later than the last one, and
/// closes the connection.
async fn hasty() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.windows(4).any(|four| four == b"\r\n\r\n") {
                    if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n").await;
                tokio::time::sleep(Duration::from_micros(number % 20 * 100)).await;
                let _ = stream.write_all(b"ok").await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_answers_before_it_has_read_all_is_no_error() {
    let url = hasty().await;
    let (_app, server) = granted("python-spin-3", &[&url]).await;
    for number in 0..100 {
        let text = fetch(&server, &format!("{url}/{number}")).await.expect("an answer");
        assert_eq!(text, "status 200\nok");
    }
    server.stop().await;
}
