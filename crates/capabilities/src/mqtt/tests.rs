//! Connections to real brokers, and to servers that are none.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::outbound::OutboundHosts;
use dayfly_testing::Mosquitto;
use rumqttc::mqttbytes::QoS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Version;
use super::broker::{Broker, Outgoing, Received};
use super::link::{Error, Link, Login};
use crate::dial::Dialer;
use crate::names::Names;
use crate::stream::Opener;
use crate::supply::Share;
use crate::tls::Clients;

fn opener() -> Opener {
    let hosts = OutboundHosts::parse(["mqtt://127.0.0.1:*"]).unwrap();
    let dialer = Dialer::new(Arc::new(Names::new(Arc::new(hosts))), Share::unbounded());
    Opener::new(dialer, Clients::default())
}

fn message(data: Vec<u8>) -> Outgoing<'static> {
    Outgoing { data: data.into(), ..Outgoing::default() }
}

fn login(port: u16, username: &str, password: &str) -> Login {
    let (username, password) = (username.to_owned(), password.to_owned());
    let host = "127.0.0.1".to_owned();
    Login { secure: false, host, port, username, password, keep_alive: 30 }
}

#[tokio::test]
async fn messages_of_every_quality_arrive_by_either_version() {
    for version in [Version::Three, Version::Five] {
        arrive_by(version).await;
    }
}

async fn arrive_by(version: Version) {
    let broker = Mosquitto::start().await;
    let subscriber = broker.subscribe("t/#").await;
    let login = login(broker.port(), "", "");
    let mut link = Link::open(&opener(), &login, ("one", version)).await.unwrap();
    for (number, quality) in
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate()
    {
        let payload = format!("payload {number}").into_bytes();
        link.publish((&format!("t/{number}"), quality), &message(payload)).await.unwrap();
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
    let open = async |version, username, password| {
        let login = login(broker.port(), username, password);
        Link::open(&opener(), &login, ("one", version)).await
    };
    for version in [Version::Three, Version::Five] {
        assert!(open(version, "me", "opensesame").await.is_ok());
        for (username, password) in [("me", "wrong"), ("me", ""), ("", ""), ("you", "opensesame")] {
            let error = open(version, username, password).await.err().expect("refused");
            assert!(matches!(error, Error::Refused(_)), "{error}");
        }
    }
}

#[tokio::test]
async fn a_broker_that_went_away_is_noticed() {
    let mut broker = Mosquitto::start().await;
    let login = login(broker.port(), "", "");
    let mut link = Link::open(&opener(), &login, ("one", Version::Three)).await.unwrap();
    let mut another = Link::open(&opener(), &login, ("two", Version::Three)).await.unwrap();
    broker.kill().await;
    assert!(!link.is_fresh().await);
    let error = another.publish(("t", QoS::AtLeastOnce), &message(vec![1])).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(matches!(
        Link::open(&opener(), &login, ("one", Version::Three)).await,
        Err(Error::Connect(_))
    ));
    broker.restart().await;
    let mut link = Link::open(&opener(), &login, ("one", Version::Three)).await.unwrap();
    link.publish(("t", QoS::ExactlyOnce), &message(vec![1])).await.unwrap();
}

/// A server that answers what comes first with these bytes, and then nothing.
async fn answering(version: Version, bytes: &[u8]) -> Result<Link, Error> {
    let bytes = bytes.to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut packet = [0; 1024];
        let _ = stream.read(&mut packet).await;
        let _ = stream.write_all(&bytes).await;
        std::future::pending::<()>().await;
    });
    Link::open(&opener(), &login(port, "", ""), ("one", version)).await
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
        let error = answering(Version::Three, bytes).await.err().expect("no broker");
        assert!(matches!(error, Error::Protocol), "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up() {
    let mut link = answering(Version::Three, CONNACK).await.unwrap();
    tokio::time::pause();
    let error = link.publish(("t", QoS::ExactlyOnce), &message(vec![1])).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error}");
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_that_was_silent_for_too_long_is_not_used() {
    let broker = Mosquitto::start().await;
    let login = Login { keep_alive: 1, ..login(broker.port(), "", "") };
    let mut link = Link::open(&opener(), &login, ("one", Version::Three)).await.unwrap();
    assert!(link.is_fresh().await);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(!link.is_fresh().await);
}

/// What stands before a broker and, as those of 3.1.1 do, refuses clients of another version.
async fn of_old(broker: &Mosquitto) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), broker.port());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // The version stands behind the head, and the name of the protocol.
                let mut first = [0; 9];
                client.read_exact(&mut first).await.unwrap();
                if first[8] != 4 {
                    let _ = client.write_all(&[0x20, 2, 0, 1]).await;
                    return;
                }
                let mut server = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                server.write_all(&first).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// What a message is that was published with a media type and attributes, and heard at a port.
async fn heard(port: u16) -> Received {
    let address = format!("mqtt://127.0.0.1:{port}");
    let (credentials, networking) = Default::default();
    let broker = Broker::new(&address, credentials, 30, &networking).unwrap();
    let mut subscription = broker.subscribe(("listener", false), "t/#", 1).await.unwrap();
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let message = Outgoing {
        data: "x".into(),
        content_type: Some("a/b"),
        attributes: vec![
            attribute("id", "größer"),
            attribute("nul", "\0"),
            attribute("long", &"x".repeat(70_000)),
        ],
    };
    for _ in 0..2 {
        broker.publish("t/a", &message).await.unwrap();
        subscription.next().await.unwrap();
    }
    broker.publish("t/b", &message).await.unwrap();
    subscription.next().await.unwrap()
}

#[tokio::test]
async fn a_message_says_of_itself_what_the_broker_carries() {
    let broker = Mosquitto::start().await;
    let new = heard(broker.port()).await;
    assert_eq!(
        (&*new.topic, &*new.data, new.content_type.as_deref()),
        ("t/b", &b"x"[..], Some("a/b"))
    );
    assert_eq!(new.attributes, [("id".to_owned(), "größer".to_owned())]);
    let old = heard(of_old(&broker).await).await;
    assert_eq!((&*old.topic, &*old.data, old.content_type), ("t/b", &b"x"[..], None));
    assert_eq!(old.attributes, []);
}

#[tokio::test]
async fn what_a_broker_does_not_take_is_an_error() {
    // It takes nothing above quality 1, no packet above 64 bytes, and no message to a topic that we may not.
    let connack = &[0x20, 10, 0, 0, 7, 36, 1, 39, 0, 0, 0, 64][..];
    let refused = &[0x40, 3, 0, 2, 0x87][..];
    let mut link = answering(Version::Five, &[connack, refused].concat()).await.unwrap();
    let large = Outgoing { data: vec![1; 64].into(), ..Outgoing::default() };
    let error = link.publish(("t", QoS::AtLeastOnce), &large).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge), "{error}");
    let mut link = answering(Version::Five, &[connack, refused].concat()).await.unwrap();
    let error = link.publish(("t", QoS::ExactlyOnce), &message(vec![1])).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_broker_of_version_5_says_why_it_lets_nobody_in() {
    for (code, told) in
        [(0x86, "wrong"), (0x87, "suffice"), (0x88, "available"), (0x97, "let us in")]
    {
        let error = answering(Version::Five, &[0x20, 3, 0, code, 0]).await.err().expect("refused");
        assert!(error.to_string().contains(told), "{code}: {error}");
    }
    for answer in [&[0x20, 2, 0, 0][..], &[0x20, 2, 0, 1], &[0x20, 3, 0, 0x84, 0]] {
        let error = answering(Version::Five, answer).await.err().expect("refused");
        assert!(matches!(error, Error::Version), "{answer:?}: {error}");
    }
}
