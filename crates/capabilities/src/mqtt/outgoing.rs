//! What is written to a broker, by versions 3.1.1 and 5 of MQTT. Acknowledgements are the same in both.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{QoS, v4};
use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};

use super::Version;
use super::incoming::VALUE_BYTES;
use super::link::{Error, Login};

/// A message that is published.
#[derive(Debug, Clone, Default)]
pub struct Outgoing<'a> {
    /// What it carries.
    pub data: Bytes,
    /// Its media type.
    pub content_type: Option<&'a str>,
    /// What it says of itself beside its data: properties of a user's by version 5, nothing before.
    pub attributes: Vec<(String, String)>,
}

/// Asks whether the broker is there.
pub(super) const PING: &[u8] = &[0xc0, 0];

/// Takes leave of it; what it keeps for the client it goes on to keep.
pub(super) const LEAVE: &[u8] = &[0xe0, 0];

/// A message was taken, or the halves of that for quality 2.
pub(super) fn taken(number: u16) -> [u8; 4] {
    answer(0x40, number)
}

pub(super) fn received(number: u16) -> [u8; 4] {
    answer(0x50, number)
}

pub(super) fn release(number: u16) -> [u8; 4] {
    answer(0x62, number)
}

pub(super) fn complete(number: u16) -> [u8; 4] {
    answer(0x70, number)
}

fn answer(kind: u8, number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [kind, 2, high, low]
}

/// Logs in as the client of a name. Of one that `is_kept` the broker keeps what it has not acknowledged,
/// however long it is away.
pub(super) fn connect(
    version: Version,
    login: &Login,
    (name, is_kept): (&str, bool),
) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    let Login { username, password, keep_alive, .. } = login;
    let written = match version {
        Version::Three => {
            let mut connect = v4::Connect::new(name);
            (connect.clean_session, connect.keep_alive) = (!is_kept, *keep_alive);
            if !username.is_empty() {
                connect.set_login(username, password);
            }
            connect.write(&mut bytes).map_err(drop)
        }
        Version::Five => {
            let mut properties = v5::ConnectProperties::new();
            properties.session_expiry_interval = is_kept.then_some(u32::MAX);
            // Reasons in words, which nobody here reads.
            properties.request_problem_info = Some(0);
            let connect = v5::Connect {
                keep_alive: *keep_alive,
                client_id: name.to_owned(),
                clean_start: !is_kept,
                properties: Some(properties),
            };
            let login = v5::Login::new(username, password);
            let login = (!username.is_empty()).then_some(login);
            connect.write(&None, &login, &mut bytes).map_err(drop)
        }
    };
    written.map(|_| bytes).map_err(|()| Error::Protocol)
}

/// Asks for the messages of a filter, as the packet of a number.
pub(super) fn subscribe(
    version: Version,
    number: u16,
    (filter, quality): (&str, QoS),
) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    let written = match version {
        Version::Three => {
            let mut subscribe = v4::Subscribe::new(filter, quality);
            subscribe.pkid = number;
            subscribe.write(&mut bytes).map_err(drop)
        }
        Version::Five => {
            let filter = v5::Filter::new(filter, five(quality));
            let mut subscribe = v5::Subscribe::new(filter, None);
            subscribe.pkid = number;
            subscribe.write(&mut bytes).map_err(drop)
        }
    };
    written.map(|_| bytes).map_err(|()| Error::Protocol)
}

/// Publishes a message, as the packet of a number if its quality is above 0.
pub(super) fn publish(
    version: Version,
    number: u16,
    (topic, quality): (&str, QoS),
    message: &Outgoing<'_>,
) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    let data = message.data.clone();
    let written = match version {
        Version::Three => {
            let mut publish = v4::Publish::from_bytes(topic, quality, data);
            publish.pkid = number;
            publish.write(&mut bytes).map_err(drop)
        }
        Version::Five => {
            let properties = properties(message);
            let mut publish = v5::Publish::new(topic, five(quality), data, Some(properties));
            publish.pkid = number;
            publish.write(&mut bytes).map_err(drop)
        }
    };
    written.map(|_| bytes).map_err(|()| Error::TooLarge)
}

/// What a message says of itself, without what no event would keep.
fn properties(message: &Outgoing<'_>) -> v5::PublishProperties {
    let is_text = |text: &str| text.len() <= VALUE_BYTES && !text.contains('\0');
    let attributes = message.attributes.iter();
    let user_properties = attributes.filter(|(name, value)| is_text(name) && is_text(value));
    v5::PublishProperties {
        content_type: message.content_type.filter(|it| is_text(it)).map(str::to_owned),
        user_properties: user_properties.cloned().collect(),
        ..v5::PublishProperties::default()
    }
}

const fn five(quality: QoS) -> QoS5 {
    match quality {
        QoS::AtMostOnce => QoS5::AtMostOnce,
        QoS::AtLeastOnce => QoS5::AtLeastOnce,
        QoS::ExactlyOnce => QoS5::ExactlyOnce,
    }
}
