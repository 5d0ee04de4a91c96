//! Redis: `/redis/all?address=` calls every function once; `/redis/get`, `/redis/set` (both
//! `times=`) and `/redis/execute` one of them, as the query says; `/redis/open?times=` opens many connections;
//! `/redis/session` sends the commands that the body lists on one connection, one a line.

use std::fmt::{Debug, Write as _};

use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

/// The answer to a call of the guest.
pub fn handle(path: &str, query: &str, body: &[u8]) -> (u16, String) {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    };
    let address = value("address");
    let answer = match path {
        "all" => all(address),
        "get" => get(address, value("key"), value("times").parse().unwrap_or(1)),
        "set" => {
            let (bytes, times) = (value("bytes").parse(), value("times").parse());
            set(address, value("key"), bytes.unwrap_or(1), times.unwrap_or(1))
        }
        "execute" => execute(address, value("command"), value("arguments")),
        "open" => open(address, value("times").parse().unwrap_or(1)),
        "session" => session(address, &String::from_utf8_lossy(body)),
        other => return (404, format!("no such call: {other}\n")),
    };
    match answer {
        Ok(text) => (200, text),
        Err(error) => (502, format!("{error:?}\n")),
    }
}

fn all(address: &str) -> Result<String, Error> {
    let redis = Connection::open(address)?;
    let mut lines = String::new();
    let mut line = |name: &str, value: &dyn Debug| {
        writeln!(lines, "{name} {value:?}").expect("writing to a string cannot fail");
    };
    line("set", &redis.set("text", &b"value".to_vec()));
    line("get", &redis.get("text"));
    line("get", &redis.get("nothing"));
    line("incr", &redis.incr("number"));
    line("incr", &redis.incr("number"));
    line("incr", &redis.incr("text"));
    line("sadd", &redis.sadd("set", &["a".to_owned(), "b".to_owned()]));
    line("sadd", &redis.sadd("set", &["b".to_owned()]));
    let mut members = redis.smembers("set")?;
    members.sort();
    line("smembers", &members);
    line("smembers", &redis.smembers("nothing"));
    line("smembers", &redis.smembers("text"));
    line("srem", &redis.srem("set", &["a".to_owned(), "c".to_owned()]));
    line("publish", &redis.publish("channel", &b"message".to_vec()));
    line("del", &redis.del(&["text".to_owned(), "number".to_owned(), "nothing".to_owned()]));
    line("get", &redis.get("set"));
    let arguments = [
        RedisParameter::Binary(b"text".to_vec()),
        RedisParameter::Int64(-7),
    ];
    line("execute", &redis.execute("set", &arguments));
    line("execute", &redis.execute("get", &arguments[..1]));
    Ok(lines)
}

fn get(address: &str, key: &str, times: usize) -> Result<String, Error> {
    let redis = Connection::open(address)?;
    for _ in 1..times {
        redis.get(key)?;
    }
    let value = redis.get(key)?;
    Ok(value.map_or("nothing".to_owned(), |value| {
        String::from_utf8_lossy(&value).into_owned()
    }))
}

fn set(address: &str, key: &str, bytes: usize, times: usize) -> Result<String, Error> {
    let (redis, value) = (Connection::open(address)?, vec![b'x'; bytes]);
    for _ in 0..times {
        redis.set(key, &value)?;
    }
    Ok("stored".to_owned())
}

fn execute(address: &str, command: &str, arguments: &str) -> Result<String, Error> {
    run(&Connection::open(address)?, command, arguments.split(','))
}

fn run<'a>(
    redis: &Connection,
    command: &str,
    arguments: impl Iterator<Item = &'a str>,
) -> Result<String, Error> {
    let binary = |argument: &str| RedisParameter::Binary(decode(argument));
    let arguments: Vec<_> = arguments.filter(|word| !word.is_empty()).map(binary).collect();
    let part = |part: &RedisResult| match part {
        RedisResult::Binary(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    };
    let parts: Vec<_> = redis.execute(command, &arguments)?.iter().map(part).collect();
    Ok(parts.join(" "))
}

fn open(address: &str, times: usize) -> Result<String, Error> {
    let mut open = Vec::new();
    for _ in 0..times {
        open.push(Connection::open(address)?);
    }
    Ok(format!("{} connections", open.len()))
}

fn session(address: &str, commands: &str) -> Result<String, Error> {
    let redis = Connection::open(address)?;
    let mut lines = String::new();
    for line in commands.lines() {
        let (command, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let outcome = match command {
            // The interface's own function, which has to go where the commands before it went.
            "own-get" => redis.get(arguments).map(|value| format!("{value:?}")),
            _ => run(&redis, command, arguments.split(' ')),
        };
        let outcome = outcome.unwrap_or_else(|error| format!("{error:?}"));
        writeln!(lines, "{outcome}").expect("writing to a string cannot fail");
    }
    Ok(lines)
}

/// An argument, with `%XX` decoded: a comma in it would end it otherwise.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    bytes
}
