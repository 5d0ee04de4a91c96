//! The context of a trace in HTTP headers, as W3C's Trace Context defines it. What comes from outside
//! is anybody's: it is taken as it should be or not at all, and bounded.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::id::hex;
use super::{SpanId, TraceId};

/// The header with the ids.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with what vendors add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of version 00.
const LENGTH: usize = 55;

/// How long the vendors' part may be, in bytes, and how many of them there may be.
const STATE_BYTES: usize = 512;
const STATE_MEMBERS: usize = 32;

/// The place in a trace that another process named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The trace.
    pub trace: TraceId,
    /// The span that asks.
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
    /// What vendors add; empty if there is nothing, or nothing legal.
    pub state: Box<str>,
}

impl Remote {
    /// Reads a request's headers; `None` if they name no place, or not as they should.
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?.to_str().ok()?;
        if parents.next().is_some() {
            return None;
        }
        let mut parts = parent.splitn(5, '-');
        let version: [u8; 1] = hex(parts.next()?)?;
        let trace = TraceId::parse(parts.next()?)?;
        let span = SpanId::parse(parts.next()?)?;
        let flags: [u8; 1] = hex(parts.next()?)?;
        match version[0] {
            0 if parent.len() != LENGTH => return None,
            0xff => return None,
            _ => {}
        }
        let sampled = flags[0] & 1 == 1;
        Some(Self { trace, span, sampled, state: state(headers).unwrap_or_default() })
    }
}

/// Writes a place into headers.
pub(super) fn inject(
    headers: &mut HeaderMap,
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    state: &str,
) {
    let parent = format!("00-{trace}-{span}-0{}", u8::from(sampled));
    // Neither can hold anything but printable ASCII.
    if let Ok(parent) = HeaderValue::try_from(parent) {
        headers.insert(TRACEPARENT, parent);
    }
    match HeaderValue::try_from(state) {
        Ok(value) if !state.is_empty() => drop(headers.insert(TRACESTATE, value)),
        _ => drop(headers.remove(TRACESTATE)),
    }
}

/// What vendors add, if it is legal.
fn state(headers: &HeaderMap) -> Option<Box<str>> {
    let mut state = String::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?;
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(value);
        if state.len() > STATE_BYTES {
            return None;
        }
    }
    let mut members = state.split(',').map(str::trim).filter(|member| !member.is_empty());
    let legal = members.by_ref().take(STATE_MEMBERS).all(is_member) && members.next().is_none();
    legal.then(|| state.into())
}

/// Whether a text is a vendor's key and value.
pub(crate) fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let in_key = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/@".contains(&c);
    let in_value = |c: u8| matches!(c, b' '..=b'~') && c != b',' && c != b'=';
    let begins = key.bytes().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins
        && key.len() <= 256
        && key.bytes().all(in_key)
        && key.bytes().filter(|c| *c == b'@').count() <= 1
        && (1..=256).contains(&value.len())
        && value.bytes().all(in_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn extract(headers: &[(&HeaderName, &str)]) -> Option<Remote> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Remote::extract(&map)
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let remote = extract(&[(&TRACEPARENT, PARENT), (&TRACESTATE, "a=1,b@c=2")]).unwrap();
        assert_eq!(remote.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(remote.span.to_string(), "b7ad6b7169203331");
        assert!(remote.sampled);
        assert_eq!(&*remote.state, "a=1,b@c=2");
        let mut headers = HeaderMap::new();
        inject(&mut headers, remote.trace, remote.span, remote.sampled, &remote.state);
        assert_eq!(headers[TRACEPARENT], PARENT);
        assert_eq!(Remote::extract(&headers), Some(remote));
    }

    #[test]
    fn what_breaks_the_rules_is_no_place() {
        let later = format!("01{}-more", &PARENT[2..]);
        assert!(extract(&[(&TRACEPARENT, &later)]).is_some());
        let broken = [
            String::new(),
            PARENT.to_uppercase(),
            PARENT[..54].to_owned(),
            format!("{PARENT}-more"),
            format!("{PARENT}0"),
            format!("ff{}", &PARENT[2..]),
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        ];
        for parent in &broken {
            assert_eq!(extract(&[(&TRACEPARENT, parent)]), None, "{parent}");
        }
        assert_eq!(extract(&[(&TRACEPARENT, PARENT), (&TRACEPARENT, PARENT)]), None);
    }

    #[test]
    fn what_vendors_add_is_legal_and_bounded_or_left_out() {
        let state = |state: &str| {
            extract(&[(&TRACEPARENT, PARENT), (&TRACESTATE, state)]).unwrap().state.into_string()
        };
        assert_eq!(state("a=1, b=2"), "a=1, b=2");
        let many = vec!["a=1"; 33].join(",");
        let long = format!("a={}", "x".repeat(600));
        for illegal in ["A=1", "a", "a=", "=1", "a=b=c", &many, &long] {
            assert_eq!(state(illegal), "", "{illegal}");
        }
    }

    #[test]
    fn the_bound_is_the_same_for_one_header_and_for_several() {
        let member = |key: char, bytes: usize| format!("{key}={}", "x".repeat(bytes - 2));
        let (parent, name) = (TRACEPARENT, TRACESTATE);
        let state = |states: &[&str]| {
            let states = states.iter().map(|state| (&name, *state));
            let headers: Vec<_> = [(&parent, PARENT)].into_iter().chain(states).collect();
            extract(&headers).unwrap().state.into_string()
        };
        let (a, b) = (member('a', 255), member('b', STATE_BYTES - 256));
        let whole = format!("{a},{b}");
        assert_eq!(whole.len(), STATE_BYTES);
        assert_eq!(state(&[&a, &b]), whole);
        assert_eq!(state(&[&whole]), whole);
        assert_eq!(state(&[&a, &format!("{b}x")]), "");
        assert_eq!(state(&[&format!("{whole}x")]), "");
    }
}
