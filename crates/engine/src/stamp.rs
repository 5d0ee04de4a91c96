//! Versions of files, told apart without reading them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

/// A file that was changed more recently might be changed again without another time stamp.
const SETTLED: Duration = Duration::from_secs(2);

/// A version of a file: two that are equal, the first of them [settled](Self::is_settled), have the
/// same content. The kernel sets the change time, no user can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_seconds: i64,
    changed_nanos: i64,
}

impl Stamp {
    /// The version that a file has now.
    pub fn of(file: &Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            changed_seconds: file.ctime(),
            changed_nanos: file.ctime_nsec(),
        }
    }

    /// All of it, for writing down.
    pub fn to_bytes(&self) -> [u8; 40] {
        let Stamp { device, inode, bytes, .. } = *self;
        let mut all = [0; 40];
        let numbers = [device.to_le_bytes(), inode.to_le_bytes(), bytes.to_le_bytes()];
        let times = [self.changed_seconds.to_le_bytes(), self.changed_nanos.to_le_bytes()];
        for (place, number) in all.chunks_exact_mut(8).zip(numbers.iter().chain(&times)) {
            place.copy_from_slice(number);
        }
        all
    }

    /// The version of several files together.
    #[must_use]
    pub fn and(self, other: Stamp) -> Stamp {
        let mut hasher = blake3::Hasher::new();
        for stamp in [&self, &other] {
            hasher.update(&stamp.to_bytes());
        }
        let mut numbers = [0; 16];
        hasher.finalize_xof().fill(&mut numbers);
        let (device, inode) = numbers.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (changed_seconds, changed_nanos) = (self.changed_seconds, self.changed_nanos)
            .max((other.changed_seconds, other.changed_nanos));
        Stamp {
            device: number(device),
            inode: number(inode),
            bytes: self.bytes.wrapping_add(other.bytes),
            changed_seconds,
            changed_nanos,
        }
    }

    /// Whether any later change has another stamp.
    pub fn is_settled(&self) -> bool {
        now_seconds().saturating_sub(self.changed_seconds) > SETTLED.as_secs() as i64
    }
}

/// Seconds since 1970.
pub(crate) fn now_seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
