//! MQTT: `/mqtt/publish?address=` publishes `payload`, or so many `bytes`, to `topic` by each
//! quality of service that `qos` lists (`012`), on one connection, all at once; `/mqtt/open?times=`
//! opens many connections.

use futures::future::try_join_all;
use spin_sdk::mqtt::{Connection, Error, Qos};

/// The answer to a call of the guest.
pub async fn handle(path: &str, query: &str) -> (u16, String) {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    };
    let number = |name: &str| value(name).parse::<u64>().unwrap_or_default();
    let open = || {
        let keep_alive = value("keep-alive").parse().unwrap_or(30);
        Connection::open(value("address"), value("username"), value("password"), keep_alive)
    };
    let publish = async || {
        let connection = open().await?;
        let payload = match number("bytes") {
            0 => value("payload").as_bytes().to_vec(),
            bytes => vec![b'x'; bytes as usize],
        };
        let published = value("qos").bytes().map(|qos| {
            let qos = match qos {
                b'0' => Qos::AtMostOnce,
                b'1' => Qos::AtLeastOnce,
                _ => Qos::ExactlyOnce,
            };
            connection.publish(value("topic"), payload.clone(), qos)
        });
        try_join_all(published).await?;
        Ok("published".to_owned())
    };
    let many = async || {
        let mut open_ones = Vec::new();
        for _ in 0..number("times") {
            open_ones.push(open().await?);
        }
        Ok(format!("{} connections", open_ones.len()))
    };
    let answer: Result<String, Error> = match path {
        "publish" => publish().await,
        "open" => many().await,
        other => return (404, format!("no such call: {other}\n")),
    };
    match answer {
        Ok(text) => (200, text),
        Err(error) => (502, format!("{error:?}\n")),
    }
}
