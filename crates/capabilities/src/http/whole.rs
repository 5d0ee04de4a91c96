//! Requests and responses whose bodies are whole, as Spin's first interfaces have them
//! (`fermyon:spin/http-types`). The host has to hold such a body from its first byte to its last, so all of
//! them together are bounded: those of one component, of one tenant, and of the process.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use wasmtime::component::{ComponentType, Lift, Lower};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::supply::{Part, Share};

/// The longest body, in bytes.
pub const BODY_BYTES: u64 = 16 << 20;

/// By how much room is taken for what grows, in bytes.
const STEP_BYTES: u64 = 256 << 10;

/// What is not counted of each, in bytes: as much lies in the buffers of a connection.
const FREE_BYTES: u64 = 64 << 10;

/// How long a body waits for room.
const PATIENCE: Duration = Duration::from_secs(10);

/// A whole body, and leave to hold it.
#[derive(Default)]
pub struct Held {
    bytes: Vec<u8>,
    part: Option<Part>,
}

/// Why a body is not there as a whole.
#[derive(Debug)]
pub enum NotHeld {
    /// It is longer than it may be.
    TooLong,
    /// Others take all that bodies may.
    NoRoom,
    /// It broke off.
    Broken(Error),
}

impl Held {
    /// Takes a whole body in that may have so many bytes.
    ///
    /// A length that is stated is what is waited for, before any of it is read; else it is the longest, once
    /// the body turns out to be longer than what is not counted. So no two wait for each other, each with half
    /// of a body.
    ///
    /// # Errors
    /// See [`NotHeld`].
    pub async fn receive(mut body: WasiBody, limit: u64, share: &Share) -> Result<Self, NotHeld> {
        let mut held = Self::default();
        let hint = body.size_hint();
        if hint.lower() > limit {
            return Err(NotHeld::TooLong);
        }
        if let Some(length) = hint.exact() {
            held.make_room(length, share).await?;
            held.bytes.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
        }
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(NotHeld::Broken)?.into_data() else { continue };
            let length = (held.bytes.len() + data.len()) as u64;
            if length > limit {
                return Err(NotHeld::TooLong);
            }
            if held.part.is_none() && length > FREE_BYTES {
                held.make_room(limit, share).await?;
            }
            held.bytes.extend_from_slice(&data);
        }
        held.bytes.shrink_to_fit();
        if let Some(part) = &mut held.part {
            part.shrink(held.bytes.len() as u64);
        }
        Ok(held)
    }

    async fn make_room(&mut self, bytes: u64, share: &Share) -> Result<(), NotHeld> {
        if bytes > FREE_BYTES {
            self.part = Some(share.wait_for(bytes, PATIENCE).await.ok_or(NotHeld::NoRoom)?);
        }
        Ok(())
    }

    /// A body that is there already; nothing where there is no room for it now.
    pub fn of(bytes: Vec<u8>, share: &Share) -> Option<Self> {
        let length = bytes.len() as u64;
        let part = if length > FREE_BYTES { Some(share.take_many(length)?) } else { None };
        Some(Self { bytes, part })
    }

    /// Adds a piece of what somebody writes, who waits for nothing; false where there is no room for it.
    pub fn add(&mut self, piece: &[u8], share: &Share) -> bool {
        let length = (self.bytes.len() + piece.len()) as u64;
        let held = self.part.as_ref().map_or(0, Part::count);
        if length > FREE_BYTES && length > held {
            let Some(more) = share.take_many((length - held).next_multiple_of(STEP_BYTES)) else {
                return false;
            };
            match &mut self.part {
                Some(part) => part.add(more),
                None => self.part = Some(more),
            }
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body, and what is to be kept for as long as it is there.
    pub fn into_parts(self) -> (Vec<u8>, Option<Part>) {
        (self.bytes, self.part)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Held> for Bytes {
    /// It counts as held until the last piece is dropped.
    fn from(held: Held) -> Self {
        if held.part.is_none() { held.bytes.into() } else { Self::from_owner(held) }
    }
}

/// Names and values.
pub type Headers = Vec<(String, String)>;

/// The methods that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say all")]
pub enum Method {
    #[component(name = "get")]
    Get,
    #[component(name = "post")]
    Post,
    #[component(name = "put")]
    Put,
    #[component(name = "delete")]
    Delete,
    #[component(name = "patch")]
    Patch,
    #[component(name = "head")]
    Head,
    #[component(name = "options")]
    Options,
}

/// A request.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// A URL, or a path with its query.
    pub uri: String,
    /// The headers.
    pub headers: Headers,
    /// Without a meaning since Spin 1.0.
    pub params: Headers,
    /// The whole body.
    pub body: Option<Vec<u8>>,
}

/// A response.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Option<Headers>,
    /// The whole body.
    pub body: Option<Vec<u8>>,
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Delete => Self::DELETE,
            Method::Patch => Self::PATCH,
            Method::Head => Self::HEAD,
            Method::Options => Self::OPTIONS,
        }
    }
}

impl Method {
    /// The method of this name; `None` for those that the interface does not have.
    pub fn of(method: &http::Method) -> Option<Self> {
        let all = [
            Self::Get,
            Self::Post,
            Self::Put,
            Self::Delete,
            Self::Patch,
            Self::Head,
            Self::Options,
        ];
        all.into_iter().find(|known| http::Method::from(*known) == *method)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::Supply;

    const MIB: u64 = 1 << 20;

    fn stated(bytes: u64) -> WasiBody {
        let letters = vec![b'x'; usize::try_from(bytes).unwrap()];
        Full::new(Bytes::from(letters)).map_err(|never| match never {}).boxed_unsync()
    }

    /// As many pieces of 64 KiB, with nothing said about their number.
    fn unstated(pieces: usize) -> WasiBody {
        let pieces = (0..pieces).map(|_| Ok(Frame::data(vec![b'x'; 64 << 10].into())));
        StreamBody::new(stream::iter(pieces)).boxed_unsync()
    }

    async fn received(body: WasiBody, share: &Share) -> Result<Held, NotHeld> {
        Held::receive(body, 4 * MIB, share).await
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_room_and_give_it_back() {
        let share = Supply::new(8 * MIB).share();
        // Three quarters are for one component.
        let first = received(stated(4 * MIB), &share).await.unwrap();
        assert_eq!(first.as_ref().len() as u64, 4 * MIB);
        assert!(matches!(received(stated(3 * MIB), &share).await, Err(NotHeld::NoRoom)));
        assert!(Held::of(vec![0; 3 << 20], &share).is_none());
        let bytes = Bytes::from(first);
        let piece = bytes.slice(..1);
        drop(bytes);
        assert!(matches!(received(stated(3 * MIB), &share).await, Err(NotHeld::NoRoom)));
        drop(piece);
        let second = received(stated(3 * MIB), &share).await.unwrap();
        assert!(Held::of(vec![0; 3 << 20], &share).is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_no_stated_length_is_counted_by_what_came() {
        let share = Supply::new(8 * MIB).share();
        let first = received(unstated(32), &share).await.unwrap();
        assert_eq!(first.as_ref().len() as u64, 2 * MIB);
        // What was set aside for the rest of it is there for another one.
        let second = received(unstated(64), &share).await.unwrap();
        assert!(matches!(received(unstated(2), &share).await, Err(NotHeld::NoRoom)));
        assert_eq!(received(unstated(1), &share).await.unwrap().as_ref().len(), 64 << 10);
        drop((first, second));
    }

    #[test]
    fn what_grows_takes_room_as_it_does() {
        let share = Supply::new(4 * MIB).share();
        let (mut first, mut second) = (Held::default(), Held::default());
        let piece = [0; 64 << 10];
        let pieces = (0..100).take_while(|_| first.add(&piece, &share)).count();
        assert_eq!(pieces, 48, "three of four mebibytes");
        assert!(second.add(&piece, &share) && !second.add(&piece, &share));
        drop(Bytes::from(first));
        assert!(second.add(&piece, &share));
        assert_eq!(second.len(), 2 * piece.len());
    }

    #[tokio::test]
    async fn one_that_is_too_long_takes_no_room() {
        let share = Supply::new(8 * MIB).share();
        assert!(matches!(received(stated(4 * MIB + 1), &share).await, Err(NotHeld::TooLong)));
        assert!(matches!(received(unstated(65), &share).await, Err(NotHeld::TooLong)));
        let _all = received(stated(4 * MIB), &share).await.unwrap();
        assert!(Held::of(vec![0; 2 << 20], &share).is_some());
    }
}
