//! What one tenant takes of the admin API leaves the others theirs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dayfly_api::Scope;

use crate::{Platform, tenant};

/// How many requests of one tenant are answered at once.
const EACH: usize = 96;

/// How many more there are.
const BEYOND: usize = 8;

/// Long before a connection is closed because it is idle.
const IDLE: Duration = Duration::from_secs(7);

const BODY: &str = r#"{"digests":[]}"#;

/// A request that is being answered until its body comes.
fn begin(platform: &Platform, bearer: &str) -> TcpStream {
    let mut stream = TcpStream::connect(platform.address).unwrap();
    let length = BODY.len();
    let head = format!(
        "POST /v1/tenants/acme/blobs/missing HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(IDLE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_lowercase()
}

#[test]
fn a_tenant_that_asks_too_much_at_once_is_told_so_and_no_other_notices() {
    let platform = Platform::new();
    let acme = platform.token("acme", Scope::Deploy);
    let other = platform.client(&platform.token("other", Scope::Deploy));
    let mut waiting: Vec<_> = (0..EACH + BEYOND).map(|_| begin(&platform, &acme)).collect();
    let mut refused = Vec::new();
    let since = Instant::now();
    // Whoever is refused is so at once, and whoever is not waits with the others.
    while refused.len() < BEYOND {
        assert!(since.elapsed() < Duration::from_secs(20), "{} are refused", refused.len());
        sleep(Duration::from_millis(10));
        refused.extend(waiting.extract_if(.., |stream| stream.peek(&mut [0]).is_ok()));
    }
    other.apps(&tenant("other")).unwrap();
    // Nor does it hold connections by asking in vain.
    let mut asking = TcpStream::connect(platform.address).unwrap();
    let question =
        format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {acme}\r\n\r\n");
    asking.write_all(question.as_bytes()).unwrap();
    refused.push(asking);
    for stream in refused {
        let refused = answer(stream);
        assert!(refused.starts_with("http/1.1 429"), "{refused}");
        assert!(refused.contains("too many requests are answered for this tenant"), "{refused}");
        assert!(refused.contains("\nretry-after: "), "{refused}");
    }
    assert_eq!(waiting.len(), EACH);
    for mut stream in waiting {
        stream.write_all(BODY.as_bytes()).unwrap();
        let answer = answer(stream);
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
    }
    platform.client(&acme).whoami().unwrap();
}
