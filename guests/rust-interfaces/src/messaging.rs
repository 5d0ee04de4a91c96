//! `wasi:messaging`: `/messages/all?client=NAME&topic=T` calls every function once;
//! `/messages/send` sends the request's body, or so many `bytes`, with the metadata `key` and
//! `value`; `/messages/request?timeout=MS&replies=N` prints the replies, and replies to each with
//! `thanks` if `reply` is there; `/messages/connect?times=`; `/messages/hold?bytes=&times=` (makes
//! messages and keeps them); `/messages/metadata?count=`.

use std::fmt::Write as _;

use crate::bindings::wasi::messaging::producer::send;
use crate::bindings::wasi::messaging::request_reply::{RequestOptions, reply, request};
use crate::bindings::wasi::messaging::types::{Client, Error, Message};
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let name = exchange.query("client").unwrap_or("orders".to_owned());
    let topic = exchange.query("topic").unwrap_or("orders.new".to_owned());
    let failed = |error: Error| wit_failure(operation, error);
    let text = match operation {
        "all" => all(&name, &topic)?,
        "send" => {
            let client = Client::connect(&name).map_err(failed)?;
            send(&client, &topic, message(exchange)?).map_err(failed)?;
            "sent".to_owned()
        }
        "request" => {
            let client = Client::connect(&name).map_err(failed)?;
            let (timeout, replies) = (exchange.number("timeout", 0)?, exchange.number("replies", 0)?);
            let options = (timeout > 0 || replies > 0).then(RequestOptions::new);
            if let (Some(options), true) = (&options, timeout > 0) {
                options.set_timeout_ms(timeout as u32);
            }
            if let (Some(options), true) = (&options, replies > 0) {
                options.set_expected_replies(replies as u32);
            }
            let message = message(exchange)?;
            let replies = request(&client, &topic, &message, options).map_err(failed)?;
            if exchange.query("reply").is_some() {
                for to in &replies {
                    reply(to, Message::new(b"thanks")).map_err(failed)?;
                }
            }
            replies.iter().map(|reply| format!("{}\n", shown(reply))).collect()
        }
        "connect" => {
            let times = exchange.number("times", 1)?;
            for _ in 0..times {
                Client::connect(&name).map_err(failed)?;
            }
            format!("{times} connected")
        }
        "hold" => {
            let data = vec![b'x'; exchange.number("bytes", 1)? as usize];
            let held: Vec<_> =
                (0..exchange.number("times", 1)?).map(|_| Message::new(&data)).collect();
            format!("{} held", held.len())
        }
        "metadata" => {
            let client = Client::connect(&name).map_err(failed)?;
            let message = Message::new(b"data");
            for number in 0..exchange.number("count", 1)? {
                message.add_metadata(&format!("key-{number}"), "value");
            }
            send(&client, &topic, message).map_err(failed)?;
            "sent".to_owned()
        }
        other => return exchange.answer(404, &format!("no such call: {other}\n")),
    };
    exchange.text(&text)
}

fn message(exchange: &Exchange) -> Result<Message, Failure> {
    let message = match exchange.number("bytes", 0)? {
        0 => Message::new(&crate::body(exchange)?),
        bytes => Message::new(&vec![b'x'; bytes as usize]),
    };
    if let Some(key) = exchange.query("key") {
        message.add_metadata(&key, &exchange.query("value").unwrap_or_default());
    }
    Ok(message)
}

fn shown(message: &Message) -> String {
    let data = String::from_utf8_lossy(&message.data()).into_owned();
    let topic = message.topic().map(|topic| topic.split('.').next().unwrap_or("").to_owned());
    format!("{data} {topic:?} {:?} {:?}", message.content_type(), message.metadata())
}

fn all(name: &str, topic: &str) -> Result<String, Failure> {
    let mut lines = String::new();
    let mut line = |what: &str, value: &dyn std::fmt::Debug| {
        writeln!(lines, "{what} {value:?}").expect("writing to a string cannot fail");
    };
    let failed = |error: Error| wit_failure("connect", error);
    let client = Client::connect(name).map_err(failed)?;
    let message = Message::new(b"first");
    line("topic", &message.topic());
    line("content-type", &message.content_type());
    line("metadata", &message.metadata());
    message.set_content_type("text/plain");
    line("content-type", &message.content_type());
    message.add_metadata("a", "1");
    message.add_metadata("a", "2");
    message.add_metadata("b", "3");
    line("metadata", &message.metadata());
    message.remove_metadata("a");
    message.remove_metadata("nothing");
    line("metadata", &message.metadata());
    message.set_metadata(&[("c".to_owned(), "4".to_owned())]);
    line("metadata", &message.metadata());
    message.set_data(b"second");
    line("data", &String::from_utf8_lossy(&message.data()));
    line("reply", &reply(&message, Message::new(b"to nobody")));
    line("send", &send(&client, topic, message));
    let options = RequestOptions::new();
    options.set_timeout_ms(10_000);
    options.set_expected_replies(1);
    let question = Message::new(b"question");
    let replies = request(&client, "echo", &question, Some(options));
    line("request", &replies.map(|replies| replies.iter().map(shown).collect::<Vec<_>>()));
    line("disconnect", &client.disconnect());
    line("disconnect", &client.disconnect());
    line("send", &send(&client, topic, Message::new(b"late")));
    Ok(lines)
}
