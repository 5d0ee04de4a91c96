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
