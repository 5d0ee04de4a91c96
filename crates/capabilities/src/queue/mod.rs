//! Queues that Dayfly itself keeps, for those who run no broker, and the dead letters of all triggers:
//! one SQLite file in the app's state folder. What was put is on the disk, and stays there until its
//! handler succeeded.

mod bell;
mod sends;
mod store;
mod table;
mod terms;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use thiserror::Error;

use crate::Over;

pub use bell::Ear;
pub use sends::{Announced, Outcome, Sent};
pub use store::{Owner, Store};
pub use table::{Table, Tally};
pub use terms::{DELAY, HOPS, MOST_HOPS, PRIORITY, note_hops};

/// The largest message, in bytes.
pub const MESSAGE_BYTES: usize = 16 << 20;

/// Why the file of queues is of no use.
#[derive(Debug, Clone, Error)]
pub enum QueueError {
    /// It cannot be opened.
    #[error("failed to open `{}`: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// SQLite failed.
    #[error("the file of queues failed: {0}")]
    Database(String),
    /// The disk, or the file, is full.
    #[error("the file of queues cannot grow any more")]
    Full,
    /// Another process takes messages from it.
    #[error("another process serves the queues of this state folder")]
    Owned,
    /// A message is too large.
    #[error("a message may have {} MiB", MESSAGE_BYTES >> 20)]
    TooLarge,
    /// A message says of its delay what means nothing.
    #[error("`{DELAY}` is a time such as `10s`, of at most 3650 days")]
    Delay,
    /// A message says of its priority what means nothing.
    #[error("`{PRIORITY}` is a whole number of 32 bits")]
    Priority,
    /// The tenant's apps keep as much as they may.
    #[error(transparent)]
    Quota(Over),
    /// A message has too many steps of a topology behind it.
    #[error("it has {MOST_HOPS} steps behind it: what wakes what is a cycle")]
    Cycle,
    /// The thread that has the file ended.
    #[error("the file of queues is closed")]
    Closed,
}

/// What an event carries, in the terms of CloudEvents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Its attributes by name, the media type aside.
    pub attributes: Vec<(String, String)>,
    /// Its media type.
    pub content_type: Option<String>,
    /// Its data.
    pub data: Bytes,
}

/// A message that is to be put into a queue.
#[derive(Debug, Clone)]
pub struct New {
    /// The queue.
    pub queue: String,
    /// How long it is not taken.
    pub delay: Duration,
    /// Those of a higher one are taken first; 0 is usual.
    pub priority: i32,
    /// What it carries.
    pub content: Content,
}

impl New {
    /// What it takes, in bytes, about.
    fn bytes(&self) -> u64 {
        let Content { attributes, data, .. } = &self.content;
        let attributes: usize =
            attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        (self.queue.len() + attributes + data.len()) as u64
    }
}

/// A message of a queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number in the file.
    pub id: i64,
    /// How often it was taken before.
    pub attempts: u32,
    /// What it carries.
    pub content: Content,
}

/// An event that its handler could not be brought to handle.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number in the file; 0 before it is there.
    pub id: i64,
    /// When it was given up.
    pub at: SystemTime,
    /// The id of the trigger that it came by.
    pub trigger: String,
    /// The component that did not handle it.
    pub component: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: String,
    /// What it carries.
    pub content: Content,
}
