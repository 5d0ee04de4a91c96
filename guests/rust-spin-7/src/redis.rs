//! Redis: `/redis/all?address=` calls every function once; `/redis/get`, `/redis/set` and
//! `/redis/execute` one of them, as the query says; `/redis/open?times=` opens many connections;
//! `/redis/many?times=` asks for one key many times at once.

use std::fmt::{Debug, Write as _};

use futures::future::join_all;
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

/// The answer to a call of the guest.
pub async fn handle(path: &str, query: &str) -> (u16, String) {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    };
    let address = value("address");
    let times = value("times").parse().unwrap_or(1);
    let answer = match path {
        "all" => all(address).await,
        "get" => get(address, value("key")).await,
        "set" => set(address, value("key"), value("bytes").parse().unwrap_or(1)).await,
        "execute" => execute(address, value("command"), value("arguments")).await,
        "open" => open(address, times).await,
        "many" => many(address, value("key"), times).await,
        other => return (404, format!("no such call: {other}\n")),
    };
    match answer {
        Ok(text) => (200, text),
        Err(error) => (502, format!("{error:?}\n")),
    }
}

async fn all(address: &str) -> Result<String, Error> {
    let redis = Connection::open(address).await?;
    let mut lines = String::new();
    let mut line = |name: &str, value: &dyn Debug| {
        writeln!(lines, "{name} {value:?}").expect("writing to a string cannot fail");
    };
    line("set", &redis.set("text", "value").await);
    line("get", &redis.get("text").await);
    line("get", &redis.get("nothing").await);
    line("incr", &redis.incr("number").await);
    line("incr", &redis.incr("number").await);
    line("incr", &redis.incr("text").await);
    line("sadd", &redis.sadd("set", ["a", "b"]).await);
    line("sadd", &redis.sadd("set", ["b"]).await);
    let mut members = redis.smembers("set").await?;
    members.sort();
    line("smembers", &members);
    line("smembers", &redis.smembers("nothing").await);
    line("smembers", &redis.smembers("text").await);
    line("srem", &redis.srem("set", ["a", "c"]).await);
    line("publish", &redis.publish("channel", "message").await);
    line("del", &redis.del(["text", "number", "nothing"]).await);
    line("get", &redis.get("set").await);
    let name = || RedisParameter::Binary(b"text".to_vec());
    line("execute", &redis.execute("set", [name(), RedisParameter::Int64(-7)]).await);
    line("execute", &redis.execute("get", [name()]).await);
    Ok(lines)
}

async fn get(address: &str, key: &str) -> Result<String, Error> {
    let value = Connection::open(address).await?.get(key).await?;
    Ok(value.map_or("nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()))
}

async fn set(address: &str, key: &str, bytes: usize) -> Result<String, Error> {
    Connection::open(address).await?.set(key, vec![b'x'; bytes]).await?;
    Ok("stored".to_owned())
}

async fn execute(address: &str, command: &str, arguments: &str) -> Result<String, Error> {
    let binary = |argument: &str| RedisParameter::Binary(decode(argument));
    let arguments: Vec<_> =
        arguments.split(',').filter(|word| !word.is_empty()).map(binary).collect();
    let part = |part: &RedisResult| match part {
        RedisResult::Binary(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    };
    let redis = Connection::open(address).await?;
    let parts: Vec<_> = redis.execute(command, arguments).await?.iter().map(part).collect();
    Ok(parts.join(" "))
}

async fn open(address: &str, times: usize) -> Result<String, Error> {
    let mut open = Vec::new();
    for _ in 0..times {
        open.push(Connection::open(address).await?);
    }
    Ok(format!("{} connections", open.len()))
}

async fn many(address: &str, key: &str, times: usize) -> Result<String, Error> {
    let redis = Connection::open(address).await?;
    let values = join_all((0..times).map(|_| redis.get(key))).await;
    let mut bytes = 0;
    for value in values {
        bytes += value?.map_or(0, |value| value.len());
    }
    Ok(format!("{bytes} bytes"))
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
