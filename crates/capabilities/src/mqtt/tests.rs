//! Connections to real brokers, and to servers that are none.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::outbound::OutboundHosts;
use dayfly_testing::Mosquitto;
use rumqttc::mqttbytes::QoS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::link::{Error, Link, Login};
use crate::descriptors::Share;
use crate::dial::Dialer;
use crate::names::Names;
use crate::stream::Opener;
use crate::tls::Clients;

fn opener() -> Opener {
    let hosts = OutboundHosts::parse(["mqtt://127.0.0.1:*"]).unwrap();
    let dialer = Dialer::new(Arc::new(Names::new(Arc::new(hosts))), Share::unbounded());
    Opener::new(dialer, Clients::default())
}

fn login(port: u16, username: &str, password: &str) -> Login {
    let (username, password) = (username.to_owned(), password.to_owned());
    let host = "127.0.0.1".to_owned();
    Login { secure: false, host, port, username, password, keep_alive: 30 }
}

#[tokio::test]
async fn messages_of_every_quality_arrive() {
    let broker = Mosquitto::start().await;
    let subscriber = broker.subscribe("t/#").await;
    let mut link = Link::open(&opener(), &login(broker.port(), "", ""), "one").await.unwrap();
    for (number, quality) in
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate()
    {
        let payload = format!("payload {number}").into_bytes();
        link.publish(&format!("t/{number}"), payload, quality).await.unwrap();
        assert!(link.is_fresh().await);
    }
    for number in 0..3 {
        subscriber.message(&format!("t/{number} {number} payload {number}")).await;
    }
    link.close().await;
    assert_eq!(subscriber.messages().len(), 3);
}

#[tokio::test]
async fn a_broker_that_wants_a_password_gets_the_right_one() {
    let broker = Mosquitto::with_password("me", "opensesame").await;
    let open = async |username, password| {
        Link::open(&opener(), &login(broker.port(), username, password), "one").await
    };
    assert!(open("me", "opensesame").await.is_ok());
    for (username, password) in [("me", "wrong"), ("me", ""), ("", ""), ("you", "opensesame")] {
        let error = open(username, password).await.err().expect("refused");
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_went_away_is_noticed() {
    let mut broker = Mosquitto::start().await;
    let login = login(broker.port(), "", "");
    let mut link = Link::open(&opener(), &login, "one").await.unwrap();
    let mut another = Link::open(&opener(), &login, "two").await.unwrap();
    broker.kill().await;
    assert!(!link.is_fresh().await);
    let error = another.publish("t", vec![1], QoS::AtLeastOnce).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(matches!(Link::open(&opener(), &login, "one").await, Err(Error::Connect(_))));
    broker.restart().await;
    let mut link = Link::open(&opener(), &login, "one").await.unwrap();
    link.publish("t", vec![1], QoS::ExactlyOnce).await.unwrap();
}

/// A server that answers what comes first with these bytes, and then nothing.
async fn answering(bytes: &'static [u8]) -> Result<Link, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut packet = [0; 1024];
        let _ = stream.read(&mut packet).await;
        let _ = stream.write_all(bytes).await;
        std::future::pending::<()>().await;
    });
    Link::open(&opener(), &login(port, "", ""), "one").await
}

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

#[tokio::test]
async fn servers_that_are_no_brokers_are_refused() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0x20, 0xff, 0xff, 0xff, 0x7f],
        &[0x20, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x20, 0],
        &[0x20, 1, 0],
        &[0x20, 2, 0, 99],
        &[0x40, 2, 0, 1],
        &[0x00, 2, 0, 1],
    ] {
        let error = answering(bytes).await.err().expect("no broker");
        assert!(matches!(error, Error::Protocol), "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up() {
    let mut link = answering(CONNACK).await.unwrap();
    tokio::time::pause();
    let error = link.publish("t", vec![1], QoS::ExactlyOnce).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error}");
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_that_was_silent_for_too_long_is_not_used() {
    let broker = Mosquitto::start().await;
    let login = Login { keep_alive: 1, ..login(broker.port(), "", "") };
    let mut link = Link::open(&opener(), &login, "one").await.unwrap();
    assert!(link.is_fresh().await);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(!link.is_fresh().await);
}
