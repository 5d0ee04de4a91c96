//! A place in a trace is taken as it should be or not at all, and passed on as it came.
#![no_main]

use dayfly_telemetry::trace::{Remote, TRACEPARENT, TRACESTATE};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<Vec<u8>>)| {
    let mut headers = HeaderMap::new();
    for (name, values) in [(TRACEPARENT, input.0), (TRACESTATE, input.1)] {
        for value in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(name.clone(), value);
            }
        }
    }
    let Some(remote) = Remote::extract(&headers) else { return };
    assert!(remote.state.len() <= 512 && HeaderValue::from_str(&remote.state).is_ok());
    let mut again = HeaderMap::new();
    let sampled = u8::from(remote.sampled);
    let parent = format!("00-{}-{}-0{sampled}", remote.trace, remote.span);
    again.insert(TRACEPARENT, parent.parse().expect("a header"));
    again.insert(TRACESTATE, remote.state.parse().expect("a header"));
    assert_eq!(Remote::extract(&again), Some(remote));
});
