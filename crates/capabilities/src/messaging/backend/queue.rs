//! The app's own queues: a message is put into the queue that the topic names, its metadata the event's
//! attributes. It is on the disk when the guest hears of it.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Content, Error, complete, place};
use crate::queue::{self, New, QueueError, Store};

/// How long an attribute's name and value may be, in bytes.
const NAME_BYTES: usize = 64;
const VALUE_BYTES: usize = 4096;

/// The queues.
pub(in super::super) struct Queue(Arc<Store>);

impl Queue {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        let attributes = attributes(content)?;
        let Content { data, content_type, .. } = content.clone();
        let content = queue::Content { attributes, content_type, data };
        let new = New::of_content(topic.to_owned(), content).map_err(Error::Queue)?;
        self.0.put(vec![new]).await.map_err(|error| match error {
            QueueError::Open { .. } | QueueError::Database(_) => {
                tracing::error!(%error, "a message cannot be put into its queue");
                Error::Connection("the queues cannot be written to".to_owned())
            }
            error => Error::Queue(error),
        })
    }
}

/// A message's metadata as the attributes of an event, with the time and the place in a trace where
/// they say nothing of those.
fn attributes(content: &Content) -> Result<Vec<(String, String)>, Error> {
    let mut attributes = content.metadata.clone().unwrap_or_default();
    let is_legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let may_be = |(name, value): &(String, String)| {
        let is_name = !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(is_legal);
        is_name && value.len() <= VALUE_BYTES
    };
    if !attributes.iter().all(may_be) {
        return Err(Error::Metadata);
    }
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).to_rfc3339();
    complete(&mut attributes, vec![("time".to_owned(), now)]);
    complete(&mut attributes, place());
    Ok(attributes)
}
