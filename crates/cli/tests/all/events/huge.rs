//! Messages of a gigabyte, or of as much as their way carries: clear words, bounded memory, and what comes
//! after them is handled.

use std::fs::File;

use dayfly_testing::{Mosquitto, Redis, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Client, app, heard, until};
use crate::dayfly;

/// The most memory that a server may take, in bytes: far less than the message.
const MOST: u64 = 160 << 20;

/// As much as Redis and Mosquitto carry in a few seconds, in bytes.
const LARGE: usize = 200 << 20;

fn assert_small(server: &Running, what: &str) {
    let peak = server.process().peak_resident_bytes();
    eprintln!("{what}: {} MiB of memory at most", peak >> 20);
    assert!(peak < MOST, "{what}: {peak}");
}

#[tokio::test]
async fn a_gigabyte_for_a_route_into_a_queue_is_refused_as_it_comes() {
    let app = app(
        "[[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n",
        &["rust-events"],
    );
    let server = dayfly().up(app.folder()).await;
    let mut stream = TcpStream::connect(server.authority()).await.unwrap();
    stream
        .write_all(b"POST /jobs HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = stream.split();
    let piece = [&b"100000\r\n"[..], &[b'x'; 1 << 20], b"\r\n"].concat();
    let sending = async {
        for sent in 0..1024 {
            if writer.write_all(&piece).await.is_err() {
                return sent;
            }
        }
        1024
    };
    let mut status = [0; 12];
    let sent = tokio::select! {
        sent = sending => sent,
        read = reader.read_exact(&mut status) => { read.unwrap(); 0 }
    };
    assert!(sent < 1024, "all of it was taken");
    if sent == 0 {
        assert_eq!(&status, b"HTTP/1.1 413");
    }
    assert_eq!(server.post("/jobs", "after").await.status, 202);
    assert_eq!(heard(&server.state(""), 1).await, ["after"]);
    assert_small(&server, "HTTP");
    server.stop().await;
}

#[tokio::test]
async fn a_gigabyte_on_the_command_line_is_not_read() {
    let app = app(
        "[[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"rust-events\"\n",
        &["rust-events"],
    );
    File::create(app.path("large")).unwrap().set_len(1 << 30).unwrap();
    let large = format!("@{}", app.path("large").display());
    let server = dayfly().up(app.folder()).await;
    for words in [["send", "in"].as_slice(), &["queue", "send", "in"]] {
        let command = dayfly().args(words).arg(&large).arg("--state-dir").arg(server.state(""));
        let said = command.ends().await.with(1);
        assert!(said.contains("a message may have 16 MiB"), "{said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_mqtt_carries_at_most_is_passed_over() {
    let broker = Mosquitto::start().await;
    let app = app(
        &format!(
            "[[trigger.mqtt]]\naddress = \"{}\"\ntopic = \"a\"\ncomponent = \"rust-events\"\n\
             output = \"queue:out\"\n",
            broker.url()
        ),
        &["rust-events"],
    );
    broker.retain("a", "first").await;
    let server = dayfly().up(app.folder()).await;
    heard(&server.state(""), 1).await;
    broker.publish_file("a", &vec![b'x'; LARGE]).await;
    broker.publish("a", "after", 1).await;
    assert_eq!(heard(&server.state(""), 2).await, ["first", "after"]);
    server.stderr().containing("more than 16 MiB was dropped").await;
    assert_small(&server, "MQTT");
    server.stop().await;
}

/// The server itself ends connections of listeners that it has to hold too much for.
#[tokio::test]
async fn what_a_channel_of_redis_carries_at_most_holds_nothing_up() {
    let redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\nchannel = \"news\"\ncomponent = \"rust-events\"\n\
             output = \"queue:out\"\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    let listens = async |client: &mut Client| {
        let (_, count): (String, i64) = client.ask(&["PUBSUB", "NUMSUB", "news"]).await;
        (count == 1).then_some(())
    };
    until("somebody listens", async || listens(&mut client).await).await;
    let last = (LARGE - 1).to_string();
    let _: i64 = client.ask(&["SETRANGE", "large", &last, "x"]).await;
    let publish = "return redis.call('PUBLISH', KEYS[2], redis.call('GETDEL', KEYS[1]))";
    let _: i64 = client.ask(&["EVAL", publish, "2", "large", "news"]).await;
    server.stderr().containing("the Redis server is back").await;
    let _: i64 = client.ask(&["PUBLISH", "news", "after"]).await;
    assert_eq!(heard(&server.state(""), 1).await, ["after"]);
    assert_small(&server, "Redis");
    server.stop().await;
}
