//! Puts what happened into the queue that the tally empties, a moment later and many at once.

use crate::wasi::messaging::producer::send;
use crate::wasi::messaging::types::{Client, Error, Message};

const QUEUE: &str = "news";

/// Tells everybody. That a click was counted does not hang on it.
pub fn tell(news: &str) {
    if let Err(error) = put(news) {
        eprintln!("nobody hears of it: {error:?}");
    }
}

fn put(news: &str) -> Result<(), Error> {
    let message = Message::new(news.as_bytes());
    message.set_content_type("application/json");
    send(&Client::connect("default")?, QUEUE, message)
}
