//! Attributes of guests: keys, and values in JSON, as OTLP has them. Each list and each value is
//! bounded by what the host's own may hold.

use std::sync::Arc;

use dayfly_telemetry::export::{Limits, Scope};
use dayfly_telemetry::proto::common::v1::any_value::Value;
use dayfly_telemetry::proto::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use dayfly_telemetry::proto::resource::v1::Resource;
use serde_json::Value as Json;

use super::bindings::wasi::clocks::wall_clock::Datetime;
use super::bindings::wasi::otel::types;

/// How the interface writes bytes.
const BYTES: &str = "data:application/octet-stream;base64,";

/// The longest name of anything, in bytes.
const NAME_BYTES: usize = 1024;

/// What an attribute counts beside its texts: a guest may send as many empty ones as it likes.
const EACH: usize = 16;

/// The bytes of a list of attributes.
pub(super) fn weigh(attributes: &[types::KeyValue]) -> usize {
    attributes.iter().map(|pair| pair.key.len() + pair.value.len() + EACH).sum()
}

/// The bytes of a scope.
pub(super) fn weigh_scope(scope: &types::InstrumentationScope) -> usize {
    let texts = [&scope.version, &scope.schema_url].into_iter().flatten().map(String::len);
    scope.name.len() + texts.sum::<usize>() + weigh(&scope.attributes)
}

/// Attributes, and how many of them were dropped.
pub(super) fn convert(attributes: Vec<types::KeyValue>, limits: Limits) -> (Vec<KeyValue>, u32) {
    let dropped = attributes.len().saturating_sub(limits.attributes);
    let kept = attributes.into_iter().take(limits.attributes);
    let kept = kept.map(|types::KeyValue { key, value: json }| KeyValue {
        key: name(key),
        value: Some(value(json, limits)),
        ..KeyValue::default()
    });
    (kept.collect(), count(dropped))
}

/// The same, with the component that they are of.
pub(super) fn of_component(
    attributes: Vec<types::KeyValue>,
    limits: Limits,
    component: &str,
) -> (Vec<KeyValue>, u32) {
    let (mut attributes, dropped) = convert(attributes, limits);
    attributes.retain(|attribute| attribute.key != "dayfly.component");
    attributes.push(KeyValue {
        key: "dayfly.component".to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(component.to_owned())) }),
        ..KeyValue::default()
    });
    (attributes, dropped)
}

/// A value that the guest wrote in JSON; what is none is taken for a text.
pub(super) fn value(json: String, limits: Limits) -> AnyValue {
    let most = limits.value_bytes;
    if json.len() > most {
        // Half of it could not be read. Most are texts, which have no use of their quote either.
        let text = json.strip_prefix('"').unwrap_or(&json);
        return text_value(text, most);
    }
    match serde_json::from_str(&json) {
        Ok(read) => convert_json(read, most),
        Err(_) => text_value(&json, most),
    }
}

fn convert_json(json: Json, most: usize) -> AnyValue {
    let value = match json {
        Json::Null => return AnyValue::default(),
        Json::Bool(value) => Value::BoolValue(value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::IntValue(whole),
            None => Value::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => match text.strip_prefix(BYTES).and_then(decode) {
            Some(bytes) => Value::BytesValue(bytes),
            None => return text_value(&text, most),
        },
        Json::Array(values) => Value::ArrayValue(ArrayValue {
            values: values.into_iter().map(|value| convert_json(value, most)).collect(),
        }),
        Json::Object(members) => Value::KvlistValue(KeyValueList {
            values: members
                .into_iter()
                .map(|(key, value)| KeyValue {
                    key,
                    value: Some(convert_json(value, most)),
                    ..KeyValue::default()
                })
                .collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

fn text_value(text: &str, most: usize) -> AnyValue {
    let text = &text[..text.floor_char_boundary(most)];
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

/// Base 64 (RFC 4648, section 4).
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits: u32 = 0;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        // Four digits are three bytes, three are two, two are one.
        let whole = group.len().checked_sub(1).filter(|whole| *whole > 0)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

/// A name of bounded length.
pub(super) fn name(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES));
    name
}

/// A scope.
pub(super) fn scope(scope: types::InstrumentationScope, limits: Limits) -> Scope {
    let (attributes, dropped_attributes_count) = convert(scope.attributes, limits);
    let described = InstrumentationScope {
        name: name(scope.name),
        version: name(scope.version.unwrap_or_default()),
        attributes,
        dropped_attributes_count,
    };
    Scope::Guest(Arc::new((described, name(scope.schema_url.unwrap_or_default()))))
}

/// What a guest says of itself, if it says anything.
pub(super) fn resource(resource: types::Resource, limits: Limits) -> Option<Arc<Resource>> {
    let (attributes, dropped_attributes_count) = convert(resource.attributes, limits);
    let said = Resource { attributes, dropped_attributes_count, ..Resource::default() };
    (!said.attributes.is_empty()).then(|| Arc::new(said))
}

/// A time, in nanoseconds since the beginning of 1970.
pub(super) fn nanos(time: Datetime) -> u64 {
    let seconds = time.seconds.saturating_mul(1_000_000_000);
    seconds.saturating_add(time.nanoseconds.into())
}

/// A number of things that were dropped.
pub(super) fn count(dropped: usize) -> u32 {
    u32::try_from(dropped).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { value_bytes: 64, attributes: 2, events: 2, links: 2 };

    fn read(json: &str) -> Option<Value> {
        value(json.to_owned(), LIMITS).value
    }

    #[test]
    fn values_are_read_as_what_they_are() {
        assert_eq!(read("\"a\""), Some(Value::StringValue("a".to_owned())));
        assert_eq!(read("true"), Some(Value::BoolValue(true)));
        assert_eq!(read("-7"), Some(Value::IntValue(-7)));
        assert_eq!(read("1.5"), Some(Value::DoubleValue(1.5)));
        assert_eq!(read("null"), None);
        let Some(Value::ArrayValue(array)) = read("[1,\"b\"]") else { panic!("an array") };
        assert_eq!(array.values[1].value, Some(Value::StringValue("b".to_owned())));
        let Some(Value::KvlistValue(list)) = read("{\"k\":[2]}") else { panic!("a list") };
        assert_eq!(list.values[0].key, "k");
        assert_eq!(read("not json"), Some(Value::StringValue("not json".to_owned())));
        let bytes = format!("\"{BYTES}AAH/\"");
        assert_eq!(read(&bytes), Some(Value::BytesValue(vec![0, 1, 255])));
    }

    #[test]
    fn base_64_is_read_with_and_without_padding() {
        for (text, bytes) in [("", &b""[..]), ("Zg==", b"f"), ("YWI", b"ab"), ("Zm9v", b"foo")] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(decode("Z"), None);
        assert_eq!(decode("Zm9v*"), None);
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_too_much_is_dropped() {
        let long = format!("\"{}\"", "é".repeat(100));
        assert_eq!(read(&long), Some(Value::StringValue("é".repeat(32))));
        let pair = |key: &str| types::KeyValue { key: key.to_owned(), value: "1".to_owned() };
        let (kept, dropped) = convert(vec![pair("a"), pair("b"), pair("c")], LIMITS);
        assert_eq!((kept.len(), dropped), (2, 1));
        let (kept, _) = of_component(vec![pair("dayfly.component")], LIMITS, "mine");
        assert_eq!(kept.len(), 1);
        let mine = Some(Value::StringValue("mine".to_owned()));
        assert_eq!(kept[0].value.as_ref().unwrap().value, mine);
        let deep = "[".repeat(60);
        assert_eq!(read(&deep), Some(Value::StringValue(deep)));
    }
}
