//! MySQL's protocol: packets, and what is in them. Whatever a server sends is bounded before it is
//! kept, because a guest may have chosen the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncBufRead as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::dial::Connection;

/// The most that one piece of a packet has.
const PIECE: usize = 0xFF_FFFF;

/// What is kept of a packet's buffer before its bytes have come.
const BUFFER: usize = 16 << 10;

/// A connection, without TLS or with it.
pub(super) type Stream = Either<Connection, Box<TlsStream<Connection>>>;

/// Packets in both directions.
pub(super) struct Wire {
    stream: BufReader<Stream>,
    sequence: u8,
    most: usize,
}

impl Wire {
    /// Packets over `stream`, of which none may be longer than `most` bytes.
    pub(super) fn new(stream: Stream, most: usize) -> Self {
        Self { stream: BufReader::new(stream), sequence: 0, most }
    }

    /// The stream below and the number of the next packet; what came over it must have been taken.
    pub(super) fn into_parts(self) -> io::Result<(Stream, u8)> {
        if !self.stream.buffer().is_empty() {
            return Err(malformed("it sends more than was asked for"));
        }
        Ok((self.stream.into_inner(), self.sequence))
    }

    /// The same over another stream.
    pub(super) fn resumed(stream: Stream, sequence: u8, most: usize) -> Self {
        Self { sequence, ..Self::new(stream, most) }
    }

    /// Whether it is over TLS.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.stream.get_ref(), Either::Right(_))
    }

    /// Whether the connection is there and nothing has come that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.peek().is_pending()
    }

    /// Whether the connection is there.
    pub(super) fn is_open(&mut self) -> bool {
        match self.peek() {
            Poll::Ready(is_open) => is_open,
            Poll::Pending => true,
        }
    }

    /// Whether there is something to read, or nothing more will come.
    fn peek(&mut self) -> Poll<bool> {
        let mut cx = Context::from_waker(Waker::noop());
        let peeked = Pin::new(&mut self.stream).poll_fill_buf(&mut cx);
        peeked.map(|bytes| bytes.is_ok_and(|bytes| !bytes.is_empty()))
    }

    /// Reads one packet.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut packet = Vec::new();
        loop {
            let [a, b, c, sequence] = self.stream.read_u32_le().await?.to_le_bytes();
            if sequence != self.sequence {
                return Err(malformed("it skips a packet"));
            }
            self.sequence = sequence.wrapping_add(1);
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if packet.len() + length > self.most {
                return Err(malformed("it sends too much at once"));
            }
            // The memory grows with what comes, not with what is announced.
            packet.reserve(length.min(BUFFER));
            let read = (&mut self.stream).take(length as u64).read_to_end(&mut packet).await?;
            if read < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length < PIECE {
                return Ok(packet);
            }
        }
    }

    /// Writes one packet in reply to one.
    pub(super) async fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut pieces = packet.chunks(PIECE).peekable();
        let is_full = |piece: &[u8]| piece.len() == PIECE;
        // What ends with a full piece, or is nothing, ends with an empty one.
        let mut ends = packet.is_empty();
        while let Some(piece) = pieces.next() {
            self.write_piece(piece).await?;
            ends = pieces.peek().is_none() && is_full(piece);
        }
        if ends {
            self.write_piece(&[]).await?;
        }
        self.stream.flush().await
    }

    async fn write_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        let [a, b, c, _] = (piece.len() as u32).to_le_bytes();
        let header = [a, b, c, self.sequence];
        self.sequence = self.sequence.wrapping_add(1);
        if piece.len() <= BUFFER {
            return self.stream.write_all(&[&header, piece].concat()).await;
        }
        self.stream.write_all(&header).await?;
        self.stream.write_all(piece).await
    }

    /// Begins a command.
    pub(super) async fn command(&mut self, packet: &[u8]) -> io::Result<()> {
        self.sequence = 0;
        self.write(packet).await
    }
}

/// What is wrong with what a server sends.
pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server cannot be understood: {what}"))
}

/// Reads what is in a packet; numbers have their least byte first.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| malformed("a packet is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> io::Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> io::Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number whose first byte says how long it is.
    pub(super) fn number(&mut self) -> io::Result<u64> {
        Ok(match self.u8()? {
            0xFC => self.u16()?.into(),
            0xFD => {
                let [a, b, c] = self.array()?;
                u32::from_le_bytes([a, b, c, 0]).into()
            }
            0xFE => self.u64()?,
            small @ ..=0xFA => small.into(),
            _ => return Err(malformed("a number has no length")),
        })
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| malformed("a packet is too short"))?)
    }

    /// Bytes up to a zero, or to the end.
    pub(super) fn ended(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        let (found, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        found
    }
}

/// Writes bytes with their length before them.
pub(super) fn put_bytes(packet: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len() as u64;
    match length {
        ..251 => packet.push(length as u8),
        251..0x1_0000 => {
            packet.push(0xFC);
            packet.extend_from_slice(&length.to_le_bytes()[..2]);
        }
        0x1_0000..0x100_0000 => {
            packet.push(0xFD);
            packet.extend_from_slice(&length.to_le_bytes()[..3]);
        }
        _ => {
            packet.push(0xFE);
            packet.extend_from_slice(&length.to_le_bytes());
        }
    }
    packet.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes() {
        for length in [0, 250, 251, 65_535, 65_536, 16_777_216] {
            let bytes = vec![b'x'; length];
            let mut packet = Vec::new();
            put_bytes(&mut packet, &bytes);
            let mut reader = Reader(&packet);
            assert!(reader.bytes().unwrap() == bytes && reader.0.is_empty(), "{length}");
            packet.pop();
            assert!(length == 0 || Reader(&packet).bytes().is_err());
        }
        assert!(Reader(&[0xFB]).number().is_err());
        assert!(Reader(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1]).bytes().is_err());
    }

    #[test]
    fn texts_end_with_a_zero_or_with_the_packet() {
        let mut reader = Reader(b"one\0two");
        assert_eq!(
            (reader.ended(), reader.ended(), reader.ended()),
            (&b"one"[..], &b"two"[..], &b""[..])
        );
    }
}
