//! What a broker sends, by versions 3.1.1 and 5 of MQTT
//! (<https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html>). Of the properties of version 5 those are
//! kept that mean something here, and of the user's no more than an event may have attributes: a packet can
//! hold millions.

use bytes::{Buf as _, Bytes, BytesMut};

use super::Version;
use super::link::Error;

/// How many of a user's properties are kept of a message, and how long a name and a value may be, in bytes.
pub(super) const PROPERTIES: usize = 80;
pub(super) const NAME_BYTES: usize = 64;
pub(super) const VALUE_BYTES: usize = 4096;

/// Types of packets.
const CONNACK: u8 = 2;
pub(super) const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBACK: u8 = 9;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// Codes of version 5 from here on are failures, and so is that of 3.1.1 for a topic.
const FAILURE: u8 = 0x80;

/// A packet, not looked into.
pub(super) struct Frame {
    kind: u8,
    flags: u8,
    body: Bytes,
}

/// What the bytes that were read begin with.
pub(super) enum Next {
    Frame(Frame),
    /// A part of a packet; so many bytes of it are missing, at least.
    Part(usize),
    /// A packet that is longer than it may be.
    TooLong,
}

/// What a broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connected(Connected),
    Message(Message),
    /// A message was taken, or refused.
    Taken(u16, bool),
    /// The first half of that for quality 2, or the refusal.
    Received(u16, bool),
    /// The second half.
    Complete(u16),
    /// The other side's second half.
    Release(u16),
    /// Whether it lets us listen.
    Subscribed(bool),
    Pong,
    /// It is about to close the connection.
    Leaving,
}

/// The answer to who wants to connect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) code: u8,
    /// Whether the broker knew the client.
    pub(super) is_resumed: bool,
    /// What it says of version 5; nothing if it does not.
    pub(super) terms: Option<Terms>,
}

/// What a broker wants of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long a connection may be silent, in seconds, if that is not the client's to say.
    pub(super) keep_alive: Option<u16>,
    /// The highest quality of service.
    pub(super) quality: u8,
    /// The longest packet, in bytes.
    pub(super) packet_bytes: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { keep_alive: None, quality: 2, packet_bytes: usize::MAX }
    }
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) quality: u8,
    /// 0 if its quality is.
    pub(super) number: u16,
    pub(super) content_type: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) data: Bytes,
}

/// The length of the packet that begins here without its head, and how long that is; nothing as long as
/// it is not known.
pub(super) fn length(read: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let digits = read.get(1..).unwrap_or_default().iter().take(4);
    let Some(last) = digits.clone().position(|byte| byte & 0x80 == 0) else {
        return if digits.len() == 4 { Err(Error::Protocol) } else { Ok(None) };
    };
    let digit = |(at, byte): (usize, &u8)| usize::from(byte & 0x7f) << (7 * at);
    Ok(Some((digits.take(last + 1).enumerate().map(digit).sum(), last + 2)))
}

/// Whether what a broker sends may begin so. What is no broker is found out before more of it is waited for.
fn may_begin(first: u8) -> bool {
    match first >> 4 {
        PUBLISH | PUBREL => true,
        CONNACK | PUBACK | PUBREC | PUBCOMP | SUBACK | PINGRESP | DISCONNECT => first & 15 == 0,
        _ => false,
    }
}

/// The packet that begins here, taken from there if all of it is.
pub(super) fn next(read: &mut BytesMut, most: usize) -> Result<Next, Error> {
    if read.first().is_some_and(|first| !may_begin(*first)) {
        return Err(Error::Protocol);
    }
    let Some((body, head)) = length(read)? else { return Ok(Next::Part(1)) };
    if body > most {
        return Ok(Next::TooLong);
    }
    if read.len() < head + body {
        return Ok(Next::Part(head + body - read.len()));
    }
    let first = read[0];
    let mut body = read.split_to(head + body).freeze();
    body.advance(head);
    Ok(Next::Frame(Frame { kind: first >> 4, flags: first & 15, body }))
}

impl Frame {
    /// What it says.
    pub(super) fn packet(self, version: Version) -> Result<Packet, Error> {
        let Self { kind, flags, mut body } = self;
        Ok(match kind {
            CONNACK => Packet::Connected(connected(version, &mut body)?),
            PUBLISH => Packet::Message(message(version, flags, body)?),
            PUBACK => Packet::Taken(number(&mut body)?, is_success(&body)),
            PUBREC => Packet::Received(number(&mut body)?, is_success(&body)),
            PUBREL => Packet::Release(number(&mut body)?),
            PUBCOMP => Packet::Complete(number(&mut body)?),
            SUBACK => {
                number(&mut body)?;
                if version == Version::Five {
                    Properties::read(&mut body)?;
                }
                Packet::Subscribed(!body.is_empty() && is_success(&body))
            }
            PINGRESP => Packet::Pong,
            DISCONNECT if version == Version::Five => Packet::Leaving,
            _ => return Err(Error::Protocol),
        })
    }
}

/// Whether the code that comes next, if one does, is none of a failure.
fn is_success(body: &[u8]) -> bool {
    body.first().is_none_or(|code| *code < FAILURE)
}

fn connected(version: Version, body: &mut Bytes) -> Result<Connected, Error> {
    let (flags, code) = (byte(body)?, byte(body)?);
    let has_terms = version == Version::Five && !body.is_empty();
    let terms = if has_terms { Some(Properties::read(body)?.terms) } else { None };
    Ok(Connected { code, is_resumed: flags & 1 == 1, terms })
}

fn message(version: Version, flags: u8, mut body: Bytes) -> Result<Message, Error> {
    let topic = text(&mut body)?;
    let quality = flags >> 1 & 3;
    let number = match quality {
        0 => 0,
        1 | 2 => number(&mut body)?,
        _ => return Err(Error::Protocol),
    };
    let Properties { content_type, attributes, .. } = match version {
        Version::Three => Properties::default(),
        Version::Five => Properties::read(&mut body)?,
    };
    Ok(Message { topic, quality, number, content_type, attributes, data: body })
}

/// The properties of a packet of version 5.
#[derive(Default)]
struct Properties {
    terms: Terms,
    content_type: Option<String>,
    /// A user's own.
    attributes: Vec<(String, String)>,
}

impl Properties {
    fn read(body: &mut Bytes) -> Result<Self, Error> {
        let length = varying(body)?;
        let mut rest = taken(body, length)?;
        let mut all = Self::default();
        while !rest.is_empty() {
            all.read_one(&mut rest)?;
        }
        Ok(all)
    }

    fn read_one(&mut self, rest: &mut Bytes) -> Result<(), Error> {
        match byte(rest)? {
            3 => self.content_type = Some(text(rest)?).filter(|it| it.len() <= VALUE_BYTES),
            11 => drop(varying(rest)?),
            19 => self.terms.keep_alive = Some(number(rest)?),
            36 => self.terms.quality = byte(rest)?,
            38 => {
                let pair = (bytes(rest)?, bytes(rest)?);
                self.keep(pair)?;
            }
            39 => {
                let most = taken(rest, 4)?.get_u32();
                self.terms.packet_bytes = usize::try_from(most).unwrap_or(usize::MAX);
            }
            1 | 23 | 25 | 37 | 40 | 41 | 42 => drop(byte(rest)?),
            33..=35 => drop(number(rest)?),
            2 | 17 | 24 => drop(taken(rest, 4)?),
            8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => drop(bytes(rest)?),
            _ => return Err(Error::Protocol),
        }
        Ok(())
    }

    /// Keeps a property of a user's, as far as there is room for it.
    fn keep(&mut self, (name, value): (Bytes, Bytes)) -> Result<(), Error> {
        let is_room = self.attributes.len() < PROPERTIES;
        if is_room && name.len() <= NAME_BYTES && value.len() <= VALUE_BYTES {
            self.attributes.push((utf8(&name)?, utf8(&value)?));
        }
        Ok(())
    }
}

fn taken(body: &mut Bytes, length: usize) -> Result<Bytes, Error> {
    if body.len() < length { Err(Error::Protocol) } else { Ok(body.split_to(length)) }
}

fn byte(body: &mut Bytes) -> Result<u8, Error> {
    Ok(taken(body, 1)?.get_u8())
}

fn number(body: &mut Bytes) -> Result<u16, Error> {
    Ok(taken(body, 2)?.get_u16())
}

/// A number of one to four bytes.
fn varying(body: &mut Bytes) -> Result<usize, Error> {
    let mut value = 0;
    for at in 0..4 {
        let next = byte(body)?;
        value |= usize::from(next & 0x7f) << (7 * at);
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::Protocol)
}

fn bytes(body: &mut Bytes) -> Result<Bytes, Error> {
    let length = number(body)?;
    taken(body, length.into())
}

fn text(body: &mut Bytes) -> Result<String, Error> {
    utf8(&bytes(body)?)
}

/// Neither of the versions has NUL in a text.
fn utf8(bytes: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Protocol)?;
    if text.contains('\0') { Err(Error::Protocol) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: Version, bytes: &[u8]) -> Result<Packet, Error> {
        match next(&mut BytesMut::from(bytes), 1 << 20)? {
            Next::Frame(frame) => frame.packet(version),
            Next::Part(_) | Next::TooLong => Err(Error::Closed),
        }
    }

    /// A length as packets have it.
    fn digits(mut length: usize) -> Vec<u8> {
        let mut digits = Vec::new();
        loop {
            let more = if length > 127 { 0x80 } else { 0 };
            digits.push(u8::try_from(length & 0x7f).unwrap() | more);
            length >>= 7;
            if length == 0 {
                return digits;
            }
        }
    }

    /// A message to `t` of quality 1 with these properties and the data `x`.
    fn with(properties: &[u8]) -> Vec<u8> {
        let head = [0, 1, b't', 0, 7];
        let body = [&head[..], &digits(properties.len()), properties, b"x"].concat();
        [&[0x32][..], &digits(body.len()), &body].concat()
    }

    fn pair(name: &str, value: &str) -> Vec<u8> {
        let text = |text: &str| {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            [&length[..], text.as_bytes()].concat()
        };
        [vec![38], text(name), text(value)].concat()
    }

    fn attributes(properties: &[u8]) -> Vec<(String, String)> {
        match read(Version::Five, &with(properties)).unwrap() {
            Packet::Message(message) => message.attributes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_read_with_what_it_says_of_itself() {
        let all = [
            &[1, 1, 2, 0, 0, 0, 9, 11, 0x80, 1][..],
            &pair("id", "größer"),
            &[3, 0, 3, b'a', b'/', b'b', 35, 0, 1, 8, 0, 1, b'r', 9, 0, 2, 0, 0],
        ];
        let read = read(Version::Five, &with(&all.concat())).unwrap();
        let expected = Message {
            topic: "t".to_owned(),
            quality: 1,
            number: 7,
            content_type: Some("a/b".to_owned()),
            attributes: vec![("id".to_owned(), "größer".to_owned())],
            data: "x".into(),
        };
        assert_eq!(read, Packet::Message(expected));
    }

    #[test]
    fn what_is_too_much_of_a_users_properties_is_left_out() {
        let many: Vec<u8> = (0..5_000).flat_map(|_| pair("", "")).collect();
        let last = [&many[..], &pair("id", "1")].concat();
        assert_eq!(attributes(&last[..16_000]).len(), PROPERTIES);
        let long = [pair(&"n".repeat(65), "v"), pair("v", &"v".repeat(4097)), pair("a", "b")];
        assert_eq!(attributes(&long.concat()), [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let broken: [&[u8]; 10] = [
            b"HTTP/1.1 400",
            &with(&[38, 0, 9, b'a']),
            &with(&[99, 1]),
            &with(&pair("a\0", "b")),
            &[0x32, 6, 0, 1, b't', 0, 7, 0x85],
            &[0x36, 4, 0, 1, b't', 0],
            &[0x20, 1, 0],
            &[0x20, 4, 0, 0, 2, 33],
            &[0x40, 1, 0],
            &[0x10, 0xff, 0xff, 0xff, 0xff],
        ];
        for bytes in broken {
            let read = read(Version::Five, bytes);
            assert!(matches!(read, Err(Error::Protocol)), "{bytes:?}: {read:?}");
        }
        let leaving = read(Version::Three, &[0xe0, 0]);
        assert!(matches!(leaving, Err(Error::Protocol)), "{leaving:?}");
    }

    #[test]
    fn answers_are_read_with_their_codes_or_without() {
        let five = |bytes: &[u8]| read(Version::Five, bytes).unwrap();
        assert_eq!(five(&[0x40, 2, 0, 7]), Packet::Taken(7, true));
        assert_eq!(five(&[0x40, 3, 0, 7, 0x10]), Packet::Taken(7, true));
        assert_eq!(five(&[0x40, 4, 0, 7, 0x87, 0]), Packet::Taken(7, false));
        assert_eq!(five(&[0x90, 4, 0, 1, 0, 2]), Packet::Subscribed(true));
        assert_eq!(five(&[0x90, 4, 0, 1, 0, 0x87]), Packet::Subscribed(false));
        assert_eq!(five(&[0xe0, 2, 0x8b, 0]), Packet::Leaving);
        let three = read(Version::Three, &[0x90, 3, 0, 1, 0x80]).unwrap();
        assert_eq!(three, Packet::Subscribed(false));
        let terms = Terms { keep_alive: Some(5), quality: 1, packet_bytes: 256 };
        let connected = Connected { code: 0, is_resumed: true, terms: Some(terms) };
        let bytes = [0x20, 13, 1, 0, 10, 19, 0, 5, 36, 1, 39, 0, 0, 1, 0];
        assert_eq!(five(&bytes), Packet::Connected(connected));
    }
}
