//! Whether JSON holds what is expected of it: objects may have more keys, lists are as long.

use serde_json::Value;

/// Where something else is, as a JSON pointer, with what is there.
#[derive(Debug, PartialEq)]
pub(super) struct Difference<'v> {
    pub(super) at: String,
    pub(super) expected: &'v Value,
    /// Nothing if nothing is there.
    pub(super) got: Option<&'v Value>,
}

/// The first place at which `got` does not hold what is expected.
pub(super) fn difference<'v>(expected: &'v Value, got: &'v Value) -> Option<Difference<'v>> {
    at(String::new(), expected, Some(got))
}

fn at<'v>(at: String, expected: &'v Value, got: Option<&'v Value>) -> Option<Difference<'v>> {
    match (expected, got) {
        (Value::Object(expected), Some(Value::Object(got))) => expected.iter().find_map(|pair| {
            let key = pair.0.replace('~', "~0").replace('/', "~1");
            self::at(format!("{at}/{key}"), pair.1, got.get(pair.0))
        }),
        (Value::Array(wanted), Some(Value::Array(items))) if wanted.len() == items.len() => wanted
            .iter()
            .zip(items)
            .enumerate()
            .find_map(|(i, (wanted, item))| self::at(format!("{at}/{i}"), wanted, Some(item))),
        (Value::Number(one), Some(Value::Number(other))) if one.as_f64() == other.as_f64() => None,
        (expected, Some(got)) if expected == got => None,
        _ => Some(Difference { at, expected, got }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_may_have_more_and_lists_may_not() {
        let got = json!({ "a": 1.0, "b": [{ "c": null, "d": 2 }], "e/f": "g" });
        for fits in [
            json!({}),
            json!({ "a": 1 }),
            json!({ "b": [{ "d": 2 }] }),
            json!({ "b": [{}], "e/f": "g" }),
            got.clone(),
        ] {
            assert_eq!(difference(&fits, &got), None, "{fits}");
        }
        for (other, place) in [
            (json!([]), ""),
            (json!({ "x": null }), "/x"),
            (json!({ "a": "1" }), "/a"),
            (json!({ "b": [] }), "/b"),
            (json!({ "b": [{ "c": 0 }] }), "/b/0/c"),
            (json!({ "e/f": "h" }), "/e~1f"),
        ] {
            assert_eq!(difference(&other, &got).map(|it| it.at).as_deref(), Some(place), "{other}");
        }
    }
}
