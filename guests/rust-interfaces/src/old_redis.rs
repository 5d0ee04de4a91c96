//! `fermyon:spin/redis` as it was before it had versions: `/redis/all?address=` calls every function
//! once; `/redis/get`, `/redis/set` and `/redis/execute` one of them, as the query says;
//! `/redis/open?times=` calls one many times.

use std::fmt::{Debug, Write as _};

use crate::bindings::fermyon::spin::redis::{self, Error, RedisParameter, RedisResult};
use crate::exchange::{Exchange, Failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let value = |name: &str| exchange.query(name).unwrap_or_default();
    let address = value("address");
    let key = value("key");
    let answer = match operation {
        "all" => all(&address),
        "get" => redis::get(&address, &key).map(text),
        "set" => {
            let bytes = vec![b'x'; exchange.number("bytes", 1)? as usize];
            redis::set(&address, &key, &bytes).map(|()| "stored".to_owned())
        }
        "execute" => execute(&address, &value("command"), &value("arguments")),
        "open" => {
            let times = exchange.number("times", 1)?;
            let all = (0..times).try_for_each(|_| redis::get(&address, &key).map(drop));
            all.map(|()| format!("{times} connections"))
        }
        other => return exchange.answer(404, &format!("no such call: {other}\n")),
    };
    match answer {
        Ok(text) => exchange.text(&text),
        Err(error) => Err(Failure(format!("{error:?}"))),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn all(address: &str) -> Result<String, Error> {
    let mut lines = String::new();
    let mut line = |name: &str, value: &dyn Debug| {
        writeln!(lines, "{name} {value:?}").expect("writing to a string cannot fail");
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    line("set", &redis::set(address, "text", b"value"));
    line("get", &redis::get(address, "text"));
    line("get", &redis::get(address, "nothing"));
    line("incr", &redis::incr(address, "number"));
    line("incr", &redis::incr(address, "number"));
    line("incr", &redis::incr(address, "text"));
    line("sadd", &redis::sadd(address, "set", &texts(&["a", "b"])));
    line("sadd", &redis::sadd(address, "set", &texts(&["b"])));
    let mut members = redis::smembers(address, "set")?;
    members.sort();
    line("smembers", &members);
    line("smembers", &redis::smembers(address, "nothing"));
    line("smembers", &redis::smembers(address, "text"));
    line("srem", &redis::srem(address, "set", &texts(&["a", "c"])));
    line("publish", &redis::publish(address, "channel", b"message"));
    line("del", &redis::del(address, &texts(&["text", "number", "nothing"])));
    line("get", &redis::get(address, "set"));
    let arguments = [RedisParameter::Binary(b"text".to_vec()), RedisParameter::Int64(-7)];
    line("execute", &redis::execute(address, "set", &arguments));
    line("execute", &redis::execute(address, "get", &arguments[..1]));
    Ok(lines)
}

fn execute(address: &str, command: &str, arguments: &str) -> Result<String, Error> {
    let arguments: Vec<_> = arguments
        .split(',')
        .filter(|word| !word.is_empty())
        .map(|word| RedisParameter::Binary(word.as_bytes().to_vec()))
        .collect();
    let part = |part: &RedisResult| match part {
        RedisResult::Binary(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    };
    let parts: Vec<_> = redis::execute(address, command, &arguments)?.iter().map(part).collect();
    Ok(parts.join(" "))
}
