//! MQTT: real guests, real brokers, a real subscriber.

use dayfly_testing::{App, Certificate, Dayfly, Mosquitto, Running};

use crate::dayfly;

/// The guests, each with a version of the interface.
const GUESTS: [&str; 4] = ["rust-spin-3", "rust-spin-5", "rust-spin-6", "rust-spin-7"];

async fn up_with(dayfly: Dayfly, guest: &str, host: &str, lines: &str) -> (App, Running) {
    let app = App::granted(guest, &format!("allowed_outbound_hosts = [\"{host}\"]\n{lines}"));
    let server = dayfly.up(app.folder()).await;
    (app, server)
}

/// The answer to a call that must fail with the interface's error.
async fn refused(server: &Running, path: &str, error: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    assert!(answer.text().contains(error), "{path}: no {error} in {}", answer.text());
}

fn publish(address: &str, rest: &str) -> String {
    format!("/mqtt/publish?address={address}&topic=home/door&{rest}")
}

#[tokio::test]
async fn messages_of_every_quality_reach_a_subscriber() {
    for guest in GUESTS {
        let broker = Mosquitto::start().await;
        let subscriber = broker.subscribe("home/#").await;
        let (_app, server) = up_with(dayfly(), guest, &broker.url(), "").await;
        let path = publish(&broker.url(), "payload=open&qos=012");
        assert_eq!(server.text(&path).await, "published", "{guest}");
        for quality in 0..3 {
            subscriber.message(&format!("home/door {quality} open")).await;
        }
        let path = publish(&broker.url(), "bytes=100000&qos=2");
        assert_eq!(server.text(&path).await, "published", "{guest}");
        subscriber.message(&format!("home/door 2 {}", "x".repeat(100_000))).await;
        assert_eq!(subscriber.messages().len(), 4, "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_wants_a_password_gets_the_guests() {
    let broker = Mosquitto::with_password("me", "opensesame").await;
    let subscriber = broker.subscribe("home/#").await;
    let (_app, server) = up_with(dayfly(), "rust-spin-7", &broker.url(), "").await;
    let with = |login: &str| publish(&broker.url(), &format!("payload=open&qos=1&{login}"));
    server.text(&with("username=me&password=opensesame")).await;
    subscriber.message("home/door 1 open").await;
    refused(&server, &with("username=me&password=secretword"), "ConnectionFailed(").await;
    refused(&server, &with(""), "ConnectionFailed(").await;
    refused(&server, &with("password=secretword"), "a password needs a username").await;
    let printed = server.stop().await;
    assert!(!printed.stderr.contains("secretword") && !printed.stderr.contains("opensesame"));
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let (broker, other) = (Mosquitto::start().await, Mosquitto::start().await);
    for guest in GUESTS {
        let path = |url: &str| publish(url, "payload=open&qos=1");
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        refused(&server, &path(&broker.url()), "ConnectionFailed(\"the broker is not granted")
            .await;
        server.stop().await;
        let (_app, server) = up_with(dayfly(), guest, &broker.url(), "").await;
        server.text(&path(&broker.url())).await;
        refused(&server, &path(&other.url()), "not granted").await;
        refused(&server, &path(&broker.url().replace("mqtt:", "mqtts:")), "not granted").await;
        refused(&server, &path("mqtt://localhost"), "not granted").await;
        refused(&server, &path("nothing"), "InvalidAddress").await;
        refused(&server, &path(&format!("{}/path", broker.url())), "InvalidAddress").await;
        server.stderr().containing("allowed_outbound_hosts").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_was_killed_is_an_error_and_works_once_it_is_back() {
    let mut broker = Mosquitto::start().await;
    for guest in GUESTS {
        let (_app, server) = up_with(dayfly(), guest, &broker.url(), "").await;
        let path = publish(&broker.url(), "payload=open&qos=12");
        server.text(&path).await;
        broker.kill().await;
        refused(&server, &path, "ConnectionFailed(").await;
        broker.restart().await;
        assert_eq!(server.text(&path).await, "published", "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_guest_that_was_silent_for_longer_than_it_may_be_publishes_all_the_same() {
    let broker = Mosquitto::start().await;
    let subscriber = broker.subscribe("home/#").await;
    let (_app, server) = up_with(dayfly(), "rust-spin-3", &broker.url(), "").await;
    let path = publish(&broker.url(), "payload=open&qos=01&keep-alive=1&ms=2500");
    assert_eq!(server.text(&path).await, "published");
    subscriber.message("home/door 0 open").await;
    subscriber.message("home/door 1 open").await;
    server.stop().await;
}

#[tokio::test]
async fn tls_is_spoken_with_a_broker_whose_certificate_is_trusted() {
    let certificate = Certificate::new();
    let broker = Mosquitto::with_tls(&certificate).await;
    let subscriber = broker.subscribe("home/#").await;
    let url = broker.url().replace("mqtt://127.0.0.1", "mqtts://localhost");
    let path = publish(&url, "payload=open&qos=0");
    let trusting = dayfly().env("SSL_CERT_FILE", certificate.authority());
    let (_app, server) = up_with(trusting, "rust-spin-7", &url, "").await;
    assert_eq!(server.text(&path).await, "published");
    subscriber.message("home/door 0 open").await;
    server.stop().await;
    let (_app, server) = up_with(dayfly(), "rust-spin-7", &url, "").await;
    refused(&server, &path, "TLS handshake failed").await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_a_limit_is_an_error() {
    let broker = Mosquitto::start().await;
    for guest in GUESTS {
        let limits = "limits = { outbound = 5 }";
        let (_app, server) = up_with(dayfly(), guest, &broker.url(), limits).await;
        let open = |times| format!("/mqtt/open?address={}&times={times}", broker.url());
        assert_eq!(server.text(&open(5)).await, "5 connections", "{guest}");
        refused(&server, &open(6), "TooManyConnections").await;
        let bytes = |bytes: u32| publish(&broker.url(), &format!("bytes={bytes}&qos=1"));
        assert_eq!(server.text(&bytes(4 << 20)).await, "published", "{guest}");
        refused(&server, &bytes((4 << 20) + 1), "a message may have 4194304 bytes").await;
        let wild = format!("/mqtt/publish?address={}&topic=home/%2B&qos=0", broker.url());
        let wild = wild.replace("%2B", "+");
        refused(&server, &wild, "a topic has").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn the_runtime_configuration_bounds_messages_and_says_whom_to_trust() {
    let certificate = Certificate::new();
    let broker = Mosquitto::with_tls(&certificate).await;
    let url = broker.url().replace("mqtt://127.0.0.1", "mqtts://localhost");
    let config = format!(
        "[outbound_mqtt]\nmax_payload_size_bytes = 100\n\
         [[client_tls]]\ncomponent_ids = [\"guest\"]\nhosts = [\"localhost\"]\nca_roots_file = {:?}\n",
        certificate.authority()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, config).unwrap();
    let told = dayfly().env("DAYFLY_RUNTIME_CONFIG_FILE", &file);
    let (_app, server) = up_with(told, "rust-spin-7", &url, "").await;
    assert_eq!(server.text(&publish(&url, "bytes=100&qos=1")).await, "published");
    refused(&server, &publish(&url, "bytes=101&qos=1"), "a message may have 100 bytes").await;
    server.stop().await;
}
