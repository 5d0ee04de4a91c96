//! What a command writes becomes a response that can be sent, or an error that says why not.
#![no_main]

use dayfly_host::fuzz::cgi_head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|written: &[u8]| match cgi_head(written) {
    Some(Ok(response)) => {
        assert!(response.status().as_u16() >= 200);
        for forbidden in ["connection", "transfer-encoding", "upgrade", "te", "trailer"] {
            assert!(!response.headers().contains_key(forbidden), "{response:?}");
        }
    }
    Some(Err(problem)) => assert!(!problem.is_empty() && problem.len() < 1024),
    None => assert!(!written.windows(2).any(|two| two == b"\n\n")),
});
