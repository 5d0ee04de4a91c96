//! MQTT: `/mqtt/publish?address=` publishes `payload`, or so many `bytes`, to `topic` by each
//! quality of service that `qos` lists (`012`), on one connection, waiting `ms` in between;
//! `/mqtt/open?times=` opens many connections.

use std::time::Duration;

use spin_sdk::mqtt::{Connection, Error, Qos};

/// The answer to a call of the guest.
pub fn handle(path: &str, query: &str) -> (u16, String) {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    };
    let number = |name: &str| value(name).parse().unwrap_or_default();
    let open = || {
        let keep_alive = value("keep-alive").parse().unwrap_or(30);
        Connection::open(value("address"), value("username"), value("password"), keep_alive)
    };
    let publish = || {
        let connection = open()?;
        let payload = match number("bytes") {
            0 => value("payload").as_bytes().to_vec(),
            bytes => vec![b'x'; bytes as usize],
        };
        for qos in value("qos").bytes() {
            let qos = match qos {
                b'0' => Qos::AtMostOnce,
                b'1' => Qos::AtLeastOnce,
                _ => Qos::ExactlyOnce,
            };
            connection.publish(value("topic"), &payload, qos)?;
            std::thread::sleep(Duration::from_millis(number("ms")));
        }
        Ok("published".to_owned())
    };
    let answer = match path {
        "publish" => publish(),
        "open" => (0..number("times")).map(|_| open()).collect::<Result<Vec<_>, Error>>().map(
            |open| format!("{} connections", open.len()),
        ),
        other => return (404, format!("no such call: {other}\n")),
    };
    match answer {
        Ok(text) => (200, text),
        Err(error) => (502, format!("{error:?}\n")),
    }
}
