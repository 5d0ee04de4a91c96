//! Entries of streams, read from replies piece by piece: names and values may be any bytes, and what
//! was deleted has none.

use dayfly_capabilities::queue::HOPS;
use redis::Value;

use crate::events::Event;

/// How many fields of an entry are looked at beside its data.
const FIELDS: usize = 256;

/// An entry of a stream.
pub(super) struct Entry {
    pub(super) id: String,
    /// Its fields; nothing if it is gone.
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// The entries of a reply to `XREADGROUP` for one stream.
pub(super) fn of_reply(reply: Value) -> Vec<Entry> {
    let Value::Array(streams) = reply else { return Vec::new() };
    let entries = streams.into_iter().filter_map(|stream| match stream {
        Value::Array(parts) => parts.into_iter().nth(1),
        _ => None,
    });
    entries.flat_map(entries_of).collect()
}

/// The entries of a reply to `XAUTOCLAIM`.
pub(super) fn of_claim(reply: Value) -> Vec<Entry> {
    let Value::Array(parts) = reply else { return Vec::new() };
    parts.into_iter().nth(1).map(entries_of).unwrap_or_default()
}

fn entries_of(entries: Value) -> Vec<Entry> {
    let Value::Array(entries) = entries else { return Vec::new() };
    entries.into_iter().filter_map(entry).collect()
}

fn entry(entry: Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
    let Some(Value::Array(fields)) = parts.next() else { return Some(Entry { id, fields: None }) };
    let mut pairs = Vec::new();
    let mut fields = fields.into_iter().filter_map(bytes);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        pairs.push((name, value));
    }
    Some(Entry { id, fields: Some(pairs) })
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

impl Entry {
    /// How large it is, in bytes.
    pub(super) fn size(&self) -> usize {
        self.fields.iter().flatten().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// It as an event: its field `data`, or all of its fields as JSON. Nothing if it is gone.
    pub(super) fn event(self, stream: &str, server: &str) -> Option<Event> {
        let mut fields = self.fields?;
        let source = format!("/redis/{server}");
        let mut event = Event::new(source, "dayfly.redis.stream", Default::default());
        event.id = self.id;
        event.subject = Some(stream.to_owned());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Some(at) = fields.iter().position(|(name, _)| name == b"data") else {
            let all: serde_json::Map<String, serde_json::Value> =
                fields.iter().map(|(name, value)| (text(name), text(value).into())).collect();
            event.data = serde_json::Value::Object(all).to_string().into();
            event.content_type = Some("application/json".to_owned());
            return Some(event);
        };
        event.data = fields.swap_remove(at).1.into();
        for (name, value) in fields.iter().take(FIELDS) {
            let (name, value) = (text(name), text(value));
            match name.strip_prefix("ce-") {
                _ if name == "content-type" => event.content_type = Some(value),
                Some(HOPS) => event.hops = value.parse().unwrap_or(event.hops),
                Some(name @ ("traceparent" | "tracestate")) => event.extend(name.to_owned(), value),
                Some(_) => {}
                None => event.extend(name, value),
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    fn of(fields: &[&[u8]]) -> Event {
        let fields = Value::Array(fields.iter().map(|field| text(field)).collect());
        let entry = Value::Array(vec![text(b"1-0"), fields]);
        let stream = Value::Array(vec![text(b"s"), Value::Array(vec![entry])]);
        let mut entries = of_reply(Value::Array(vec![stream]));
        entries.remove(0).event("s", "h:1").unwrap()
    }

    #[test]
    fn names_may_be_any_bytes_and_change_nothing_that_is_the_hosts() {
        let event = of(&[
            b"data",
            b"x",
            b"\xff",
            b"odd",
            b"id",
            b"mine",
            b"dayflyhops",
            b"0",
            b"key",
            b"v",
        ]);
        assert_eq!((&*event.data, &*event.id, event.hops), (&b"x"[..], "1-0", 0));
        assert_eq!(event.extensions, [("key".to_owned(), "v".to_owned())]);
        let event = of(&[b"data", b"x", b"ce-dayflyhops", b"4294967295"]);
        assert_eq!(event.hops, u32::MAX);
        assert_eq!(of(&[b"\xff", b"1"]).data, "{\"\u{fffd}\":\"1\"}".as_bytes());
    }

    #[test]
    fn what_was_deleted_is_there_without_fields() {
        let gone = Value::Array(vec![text(b"1-0"), Value::Nil]);
        let claim = Value::Array(vec![text(b"0-0"), Value::Array(vec![gone, Value::Nil])]);
        let mut entries = of_claim(claim);
        assert_eq!(entries.len(), 1);
        assert!(entries.remove(0).event("s", "h:1").is_none());
        assert!(of_reply(Value::Nil).is_empty());
    }
}
