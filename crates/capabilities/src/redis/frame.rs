//! Where one reply of a server ends, in the second version of Redis's protocol
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). A server may be as hostile as
//! the guest that names it, so a reply's size, depth and number of parts are bounded here, before
//! anything is made of it.

use thiserror::Error;

/// The longest line: a status, an error, a number, or the head of what follows.
const LINE_BYTES: usize = 64 << 10;

/// How deep arrays may lie in each other. Reading them recurses.
const DEPTH: usize = 16;

/// What a part costs beside its bytes.
pub(super) const PART_BYTES: usize = 64;

/// How large a reply may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Largest {
    /// In bytes.
    pub(super) bytes: usize,
    /// How many parts it may have: what is made of each takes many times its three bytes.
    pub(super) parts: usize,
}

/// Why a reply is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("the server's reply is longer than {} MiB", .0 >> 20)]
    TooLong(usize),
    #[error("the server's reply has more than {0} parts")]
    TooManyParts(usize),
    #[error("the server's reply is nested too deeply")]
    TooDeep,
    #[error("the server does not speak Redis's protocol")]
    Malformed,
}

/// How far one reply has been looked at.
pub(super) struct Scan {
    largest: Largest,
    /// Where the next part begins, perhaps beyond what is there.
    at: usize,
    /// Up to where no end of a line was found.
    searched: usize,
    parts: usize,
    /// How many parts are missing of each array that is open.
    open: Vec<usize>,
}

impl Scan {
    pub(super) fn new(largest: Largest) -> Self {
        Self { largest, at: 0, searched: 0, parts: 0, open: Vec::new() }
    }

    /// Looks on in a reply of which these bytes are there: its length once it is there as a whole.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        while self.parts == 0 || !self.open.is_empty() {
            let Some(end) = self.line(bytes)? else { return Ok(None) };
            self.part(&bytes[self.at..end], end + 2)?;
            self.searched = self.at;
            if self.at > self.largest.bytes {
                return Err(FrameError::TooLong(self.largest.bytes));
            }
        }
        Ok((bytes.len() >= self.at).then_some(self.at))
    }

    /// What the reply costs as far as it is known.
    pub(super) fn cost(&self) -> usize {
        self.at + self.parts * PART_BYTES
    }

    /// How many bytes of what was announced are missing, of which so many are there.
    pub(super) fn missing(&self, there: usize) -> usize {
        self.at.saturating_sub(there)
    }

    /// Where the line ends with which the next part begins.
    fn line(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(unsearched) = bytes.get(self.searched..) else { return Ok(None) };
        if let Some(end) = unsearched.windows(2).position(|pair| pair == b"\r\n") {
            return Ok(Some(self.searched + end));
        }
        // The last byte may be the first of an end.
        self.searched = bytes.len().saturating_sub(1).max(self.at);
        if bytes.len() - self.at > LINE_BYTES {
            return Err(FrameError::Malformed);
        }
        Ok(None)
    }

    /// Takes the head of a part, after which `next` follows.
    fn part(&mut self, head: &[u8], next: usize) -> Result<(), FrameError> {
        let (kind, text) = head.split_first().ok_or(FrameError::Malformed)?;
        self.parts += 1;
        let Largest { bytes: most_bytes, parts: most_parts } = self.largest;
        if self.parts > most_parts {
            return Err(FrameError::TooManyParts(most_parts));
        }
        self.at = next;
        match kind {
            b'+' | b'-' | b':' => {}
            b'$' => {
                if let Some(length) = count(text)? {
                    if length > most_bytes {
                        return Err(FrameError::TooLong(most_bytes));
                    }
                    self.at += length + 2;
                }
            }
            b'*' => match count(text)? {
                None | Some(0) => {}
                Some(parts) => {
                    if parts > most_parts {
                        return Err(FrameError::TooManyParts(most_parts));
                    }
                    if self.open.len() == DEPTH {
                        return Err(FrameError::TooDeep);
                    }
                    self.open.push(parts);
                    return Ok(());
                }
            },
            _ => return Err(FrameError::Malformed),
        }
        self.close();
        Ok(())
    }

    /// Counts a part that is complete, and the arrays that it completes.
    fn close(&mut self) {
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.open.pop();
        }
    }
}

/// A length; `None` is the protocol's -1, for what is not there.
fn count(text: &[u8]) -> Result<Option<usize>, FrameError> {
    if text == b"-1" {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).map_err(|_| FrameError::Malformed)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FrameError::Malformed);
    }
    // What does not fit is too long as well.
    Ok(Some(text.parse().unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: Largest = Largest { bytes: 8 << 20, parts: 64 << 10 };

    /// What becomes of bytes that come one by one.
    fn scan(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let mut scan = Scan::new(LARGEST);
        for end in 0..=bytes.len() {
            if let Some(length) = scan.step(&bytes[..end])? {
                return Ok(Some(length));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_reply_ends_where_it_ends() {
        for reply in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":-1\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$4\r\n\r\n\r\n\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n",
            "*1\r\n*1\r\n*1\r\n$-1\r\n",
        ] {
            let whole = reply.as_bytes();
            assert_eq!(scan(whole), Ok(Some(whole.len())), "{reply:?}");
            assert_eq!(scan(&whole[..whole.len() - 1]), Ok(None), "{reply:?}");
            let followed = [whole, b"+next\r\n"].concat();
            assert_eq!(Scan::new(LARGEST).step(&followed), Ok(Some(whole.len())), "{reply:?}");
            assert!(redis::parse_redis_value(whole).is_ok(), "{reply:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in ["\r\n", "HTTP/1.1 400\r\n", "$x\r\n", "$\r\n", "*-2\r\n", "$+1\r\n", "%1\r\n"]
        {
            assert_eq!(scan(bytes.as_bytes()), Err(FrameError::Malformed), "{bytes:?}");
        }
        assert_eq!(scan(&[b'+'; LINE_BYTES + 2]), Err(FrameError::Malformed));
    }

    #[test]
    fn announcements_are_bounded_before_they_are_believed() {
        for bytes in ["$8388609\r\n", "$99999999999999999999999\r\n"] {
            assert_eq!(
                scan(bytes.as_bytes()),
                Err(FrameError::TooLong(LARGEST.bytes)),
                "{bytes:?}"
            );
        }
        for bytes in ["*65537\r\n", "*99999999999999999999999\r\n"] {
            assert_eq!(
                scan(bytes.as_bytes()),
                Err(FrameError::TooManyParts(LARGEST.parts)),
                "{bytes:?}"
            );
        }
        let nested = "*60000\r\n*60000\r\n".to_owned() + &":1\r\n".repeat(LARGEST.parts);
        let too_many = Err(FrameError::TooManyParts(LARGEST.parts));
        assert_eq!(Scan::new(LARGEST).step(nested.as_bytes()), too_many);
        let deep = "*1\r\n".repeat(DEPTH + 1);
        assert_eq!(scan(deep.as_bytes()), Err(FrameError::TooDeep));
        let long = "*9\r\n".to_owned() + "$1048576\r\n";
        let mut scan = Scan::new(LARGEST);
        assert_eq!(scan.step(long.as_bytes()), Ok(None));
        assert_eq!(scan.cost(), long.len() + (1 << 20) + 2 + 2 * PART_BYTES);
    }
}
