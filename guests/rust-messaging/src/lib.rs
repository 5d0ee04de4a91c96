//! A handler of `wasi:messaging`. It puts what it got into a queue that the message names
//! (`put QUEUE DELAY PRIORITY TEXT`), tells what it was told of the message (`facts QUEUE`), or fails
//! where it is told to; of anything else it only writes that it got it.

wit_bindgen::generate!({ path: "wit", world: "handler", generate_all });

use exports::wasi::messaging::incoming_handler::Guest;
use wasi::messaging::producer::send;
use wasi::messaging::types::{Client, Error, Message};

struct Handler;

impl Guest for Handler {
    fn handle(message: Message) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&message.data()).into_owned();
        let words: Vec<&str> = text.splitn(5, ' ').collect();
        match words[..] {
            ["put", queue, delay, priority, text] => put(queue, delay, priority, text)?,
            ["facts", queue] => put(queue, "0s", "0", &facts(&message))?,
            ["fail"] => return Err(Error::Other("told to".to_owned())),
            ["trap"] => panic!("told to"),
            _ => println!("got {text}"),
        }
        Ok(())
    }
}

fn put(queue: &str, delay: &str, priority: &str, text: &str) -> Result<(), Error> {
    let message = Message::new(text.as_bytes());
    message.set_content_type("text/plain");
    message.add_metadata("dayflydelay", delay);
    message.add_metadata("dayflypriority", priority);
    message.add_metadata("by", "guest");
    send(&Client::connect("default")?, queue, message)
}

/// What it was told of a message, as `name=value` in its lines.
fn facts(message: &Message) -> String {
    let mut lines = vec![
        format!("topic={}", message.topic().unwrap_or_default()),
        format!("content-type={}", message.content_type().unwrap_or_default()),
    ];
    let metadata = message.metadata().unwrap_or_default().into_iter();
    lines.extend(metadata.map(|(name, value)| format!("{name}={value}")));
    lines.join("\n")
}

export!(Handler);
