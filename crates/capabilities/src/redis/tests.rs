//! The client, and real servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dayfly_model::outbound::OutboundHosts;
use dayfly_testing::Redis;
use redis::{Value, cmd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Grant;
use super::address::Address;
use super::client::{Bounds, Client, Error};
use super::commands::{Kind, kind};
use super::connection::Broken;
use super::frame::{FrameError, Largest};
use crate::dial::Dialer;
use crate::names::Names;
use crate::stream::Opener;
use crate::supply::Share;
use crate::tls::Clients;
use crate::under_way::UnderWay;

fn client(url: &str) -> Client {
    Client::of_operator(url).unwrap()
}

/// A server that answers the first command with these bytes, and reads on.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut command = [0; 1024];
            if stream.read(&mut command).await.is_ok_and(|length| length > 0) {
                let _ = stream.write_all(bytes).await;
                let _ = stream.read(&mut command).await;
            }
        }
    });
    url
}

#[tokio::test]
async fn commands_of_many_share_a_connection_and_get_their_own_replies() {
    let server = Redis::start().await;
    let client = client(&server.url());
    let asked = (0..500).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { client.query(cmd("ECHO").arg(number)).await })
    });
    for (number, reply) in asked.collect::<Vec<_>>().into_iter().enumerate() {
        let reply = reply.await.unwrap().unwrap();
        assert_eq!(reply, Value::BulkString(number.to_string().into_bytes()));
    }
    let Value::BulkString(clients) = client.query(cmd("CLIENT").arg("LIST")).await.unwrap() else {
        panic!("no list");
    };
    assert_eq!(String::from_utf8(clients).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn commands_pipelines_and_scripts_of_the_redis_crate_can_be_asked() {
    let server = Redis::start().await;
    let mut client = client(&format!("{}/5", server.url()));
    let () = cmd("SET").arg("key").arg(7).query_async(&mut client).await.unwrap();
    let mut both = redis::pipe();
    both.atomic().get("key").incr("key", 1);
    assert_eq!(both.query_async::<(i64, i64)>(&mut client).await.unwrap(), (7, 8));
    let mut plain = redis::pipe();
    plain.cmd("GET").arg("key").cmd("GET").arg("nothing");
    let values: (i64, Option<i64>) = plain.query_async(&mut client).await.unwrap();
    assert_eq!(values, (8, None));
    let script = redis::Script::new("return redis.call('GET', KEYS[1]) + ARGV[1]");
    let sum: i64 = script.key("key").arg(2).invoke_async(&mut client).await.unwrap();
    assert_eq!(sum, 10);
    let error = cmd("LPUSH").arg("key").arg(1).query_async::<i64>(&mut client).await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_said() {
    let server = Redis::with_password("opensesame").await;
    let authority = server.authority();
    let right = client(&format!("redis://:opensesame@{authority}"));
    assert!(right.query(&cmd("PING")).await.is_ok());
    let named = client(&format!("redis://default:opensesame@{authority}/1"));
    assert!(named.query(&cmd("PING")).await.is_ok());
    let wrong = client(&format!("redis://:secretword@{authority}"));
    let error = wrong.query(&cmd("PING")).await.unwrap_err();
    assert!(matches!(error, Error::Login(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("secretword"), "{error:?}");
    let none = client(&server.url()).query(&cmd("PING")).await.unwrap_err();
    assert!(none.to_string().starts_with("NOAUTH"), "{none}");
}

#[tokio::test]
async fn after_a_server_came_back_the_next_command_works() {
    let mut server = Redis::start().await;
    let client = client(&server.url());
    client.query(cmd("SET").arg("key").arg("kept")).await.unwrap();
    server.kill().await;
    let error = client.query(cmd("GET").arg("key")).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_) | Error::Broken(Broken::Closed)), "{error}");
    server.restart().await;
    let value = client.query(cmd("GET").arg("key")).await.unwrap();
    assert_eq!(value, Value::BulkString(b"kept".to_vec()));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("redis://{}", listener.local_addr().unwrap()));
    // Connecting needs the real clock; after it, time may fly.
    client.connect().await.unwrap();
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let error = client.query(&cmd("PING")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error}");
    assert!(start.elapsed() >= Duration::from_secs(10));
    tokio::time::resume();
    // The next command is asked on another connection.
    let asked = Instant::now();
    let query = tokio::spawn(async move { client.query(&cmd("PING")).await });
    let (_silent, _) = listener.accept().await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"+PONG\r\n").await.unwrap();
    assert_eq!(query.await.unwrap().unwrap(), Value::SimpleString("PONG".to_owned()));
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    let server = Redis::start().await;
    let operator = client(&server.url());
    operator.query(cmd("SET").arg("key").arg(vec![b'v'; 2 << 20])).await.unwrap();
    let bounds = Bounds {
        command_bytes: 4 << 20,
        reply: Largest { bytes: 8 << 20, parts: 64 << 10 },
        under_way: UnderWay::new(1 << 20),
    };
    let opener = Opener::new(dialer(&server.url()), Clients::default());
    let client = Client::new(Address::parse(&server.url()).unwrap(), opener, bounds);
    let busy = |error: Error| assert!(matches!(error, Error::Broken(Broken::Busy(_))), "{error}");
    busy(client.query(cmd("SET").arg("key").arg(vec![b'v'; 2 << 20])).await.unwrap_err());
    busy(client.query(cmd("GET").arg("key")).await.unwrap_err());
    // What is done with counts no more.
    for _ in 0..5 {
        client.query(cmd("SET").arg("other").arg(vec![b'v'; 600 << 10])).await.unwrap();
        client.query(cmd("GET").arg("other")).await.unwrap();
    }
}

fn dialer(url: &str) -> Dialer {
    let hosts = OutboundHosts::parse([url]).unwrap();
    Dialer::new(Arc::new(Names::new(Arc::new(hosts))), Share::unbounded())
}

/// A client with the bounds of a component's.
fn component(url: &str) -> Client {
    let address = Address::parse(url).unwrap();
    Grant::new(dialer(url), Clients::default()).client(address).unwrap()
}

#[tokio::test]
async fn replies_beyond_the_bounds_end_the_connection() {
    for (bytes, expected) in [
        (&b"$99999999\r\n"[..], FrameError::TooLong(8 << 20)),
        (b"*99999999\r\n", FrameError::TooManyParts(64 << 10)),
        (b"HTTP/1.1 400 Bad Request\r\n", FrameError::Malformed),
    ] {
        let client = component(&answering(bytes).await);
        let error = client.query(&cmd("PING")).await.unwrap_err();
        assert!(matches!(error, Error::Broken(Broken::Frame(e)) if e == expected), "{error}");
    }
    let client = component(&answering(b"+PONG\r\n+AND MORE\r\n").await);
    assert!(client.query(&cmd("PING")).await.is_ok());
}

#[tokio::test]
async fn large_values_come_back_whole() {
    let server = Redis::start().await;
    let client = component(&server.url());
    let value = vec![b'v'; (4 << 20) - 100];
    client.query(cmd("SET").arg("key").arg(&value)).await.unwrap();
    assert_eq!(client.query(cmd("GET").arg("key")).await.unwrap(), Value::BulkString(value));
    let error = client.query(cmd("SET").arg("key").arg(vec![0; 4 << 20])).await.unwrap_err();
    assert!(matches!(error, Error::CommandTooLong(_)), "{error}");
    for _ in 0..2 {
        client.query(cmd("APPEND").arg("key").arg(vec![b'v'; 3 << 20])).await.unwrap();
    }
    let error = client.query(cmd("GET").arg("key")).await.unwrap_err();
    assert!(matches!(error, Error::Broken(Broken::Frame(FrameError::TooLong(_)))), "{error}");
    assert!(client.query(&cmd("PING")).await.is_ok());
    // An operator's stores may hold more.
    let operator = Client::of_operator(&server.url()).unwrap();
    assert!(operator.query(cmd("GET").arg("key")).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("redis://{}", listener.local_addr().unwrap()));
    client.connect().await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(11)).await;
    tokio::time::resume();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(client.is_unused());
}

/// What a real server says of its commands agrees with what they are sent on.
#[tokio::test]
async fn no_command_that_waits_or_listens_is_sent_on_a_shared_connection() {
    let server = Redis::start().await;
    let client = client(&server.url());
    let Value::Array(commands) = client.query(&cmd("COMMAND")).await.unwrap() else {
        panic!("no list of commands");
    };
    let mut shared = 0;
    for command in commands {
        let Value::Array(facts) = command else { panic!("no command") };
        let (Value::BulkString(name), Value::Array(flags)) = (&facts[0], &facts[2]) else {
            panic!("no name and flags in {facts:?}");
        };
        let name = String::from_utf8_lossy(name);
        let is = |flag: &str| flags.contains(&Value::SimpleString(flag.to_owned()));
        let kind = kind(&name, None);
        shared += u32::from(kind == Kind::Shared);
        if is("blocking") {
            assert_eq!(kind, Kind::Waiting, "{name}");
        }
        let runs_scripts = name.starts_with("eval") || name.starts_with("fcall");
        if is("admin") || (is("noscript") && !runs_scripts) {
            assert_ne!(kind, Kind::Shared, "{name}");
        }
    }
    assert!(shared > 150, "{shared}");
}
