//! Breaking the rules of HTTP.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

use crate::answer::{Answer, HOUR, body, respond_with, say};

/// What a body goes on with that is longer than it says: the next answer, for a client that believed it.
const FORGED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";

/// Which of these headers can be had, by any function that makes some.
fn taken(headers: &[(&str, &[u8])]) -> Answer {
    let all = Fields::new();
    let can_be_had = |(name, value): &&(&str, &[u8])| {
        Fields::new().append(name, value).is_ok()
            || all.set(name, &[value.to_vec()]).is_ok()
            || Fields::from_list(&[(name.to_string(), value.to_vec())]).is_ok()
    };
    let taken: Vec<String> =
        headers.iter().filter(can_be_had).map(|(name, _)| name.chars().take(40).collect()).collect();
    say(&format!("taken: {taken:?}"))
}

pub fn forbidden_headers() -> Answer {
    taken(&[
        ("connection", b"close"),
        ("Connection", b"close"),
        ("host", b"another"),
        ("http2-settings", b"x"),
        ("keep-alive", b"timeout=1"),
        ("proxy-authenticate", b"Basic"),
        ("proxy-connection", b"close"),
        ("transfer-encoding", b"chunked"),
        ("TRANSFER-ENCODING", b"identity"),
        ("upgrade", b"websocket"),
    ])
}

pub fn malformed_headers() -> Answer {
    let long = "x".repeat(1 << 16);
    taken(&[
        ("", b"x"),
        ("a b", b"x"),
        ("a\r\nb", b"x"),
        ("a\0b", b"x"),
        ("a:", b"x"),
        (":status", b"200"),
        ("\u{e4}", b"x"),
        (&long, b"x"),
        ("x", b"a\r\nset-cookie: forged"),
        ("x", b"a\nb"),
        ("x", b"a\rb"),
        ("x", b"a\r\n b"),
        ("x", b"a\0b"),
        ("x", b"\x7f"),
        ("content-length", b""),
        ("content-length", b"+5"),
        ("content-length", b"-5"),
        ("content-length", b"0x5"),
        ("content-length", b"5, 5"),
        ("content-length", b"99999999999999999999"),
    ])
}

/// Two lengths, of which a server and a client may each believe another one.
pub fn two_lengths() -> Answer {
    let (five, fifty) = (b"5".to_vec(), b"50".to_vec());
    let name = || "content-length".to_owned();
    let fields = Fields::new();
    let _ = fields.append(&name(), &five);
    let had = [
        fields.append(&name(), &fifty).is_ok(),
        Fields::new().set(&name(), &[five.clone(), fifty.clone()]).is_ok(),
        Fields::from_list(&[(name(), five), (name(), fifty)]).is_ok(),
    ];
    say(&format!("{had:?}"))
}

pub fn huge_header() -> Answer {
    let answer = Fields::new().append("x", &vec![b'x'; 1 << 20]);
    say(&format!("{answer:?}"))
}

/// As many headers as may be in one set.
fn many() -> (Fields, usize) {
    let fields = Fields::new();
    let many = (0..).take_while(|number| fields.append(&format!("x-{number}"), b"x").is_ok()).count();
    (fields, many)
}

pub fn many_headers() -> Answer {
    say(&format!("{} headers", many().1))
}

/// Keeps sets of headers that the host has to keep, too, each as large as it may be.
pub fn hoard_headers() -> Answer {
    let value = vec![b'x'; 100_000];
    let sets: Vec<Fields> = (0..1000).map(|_| Fields::new()).collect();
    let kept = sets.iter().take_while(|fields| fields.append("x", &value).is_ok()).count();
    say(&format!("{kept} sets"))
}

pub fn statuses() -> Answer {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), None, trailers);
    let codes = [0, 99, 600, 999, 1000, 65535];
    let taken: Vec<_> =
        codes.into_iter().filter(|code| response.set_status_code(*code).is_ok()).collect();
    say(&format!("taken: {taken:?}"))
}

/// A status of one's own, and a body that says to have five bytes and goes on for longer.
pub fn status(code: u16) -> Answer {
    let response = sized(5, &[b"xxxxx", FORGED])?;
    let _ = response.set_status_code(code);
    Ok(response)
}

/// Says that its body has so many bytes, and writes these pieces.
pub fn sized(bytes: usize, pieces: &[&'static [u8]]) -> Answer {
    let pieces = pieces.to_vec();
    respond_with(length(bytes), "", async move |mut sender| {
        for piece in pieces {
            sender.write_all(piece.to_vec()).await;
        }
    })
}

fn length(bytes: usize) -> Fields {
    let headers = Fields::new();
    headers.append("content-length", bytes.to_string().as_bytes()).expect("a legal header");
    headers
}

pub fn long_body() -> Answer {
    sized(5, &[b"xxxxxHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"])
}

/// The first piece is all that was said.
pub fn long_body_in_pieces() -> Answer {
    sized(5, &[b"xxxxx", FORGED])
}

pub fn short_body() -> Answer {
    sized(50, &[b"xxxxx"])
}

/// Says that it has a body, and has none.
pub fn no_body() -> Answer {
    let (_, trailers) = wit_future::new(|| Ok(None));
    Ok(Response::new(length(50), None, trailers).0)
}

/// Passes the request's body on, as longer than it is.
pub fn passed_body(request: Request) -> Answer {
    let (_, trailers) = wit_future::new(|| Ok(None));
    Ok(Response::new(length(50), Some(body(request)), trailers).0)
}

/// A body that ends, and trailers.
fn trailing(trailers: Result<Option<Fields>, ErrorCode>) -> Answer {
    let (mut sender, reader) = wit_stream::new();
    let (promise, future) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), future);
    spawn_local(async move {
        sender.write_all(b"a body".to_vec()).await;
        drop(sender);
        let _ = promise.write(trailers).await;
    });
    Ok(response)
}

/// Trailers that would have been read before the body (RFC 9110, section 6.5.1), and one that may be.
pub fn forbidden_trailers() -> Answer {
    let trailers = [
        ("content-length", "500"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("set-cookie", "forged"),
        ("trailer", "x"),
        ("te", "x"),
        ("x-fine", "fine"),
    ];
    let trailers = trailers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    trailing(Ok(Some(Fields::from_list(&trailers).expect("legal headers"))))
}

pub fn many_trailers() -> Answer {
    trailing(Ok(Some(many().0)))
}

pub fn failed_trailers() -> Answer {
    trailing(Err(ErrorCode::InternalError(Some("the log's alone".to_owned()))))
}

/// A body that ends, and trailers that never come.
pub fn no_trailers() -> Answer {
    let (sender, reader) = wit_stream::new();
    let (promise, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
    spawn_local(async move {
        drop::<StreamWriter<u8>>(sender);
        wait_for(HOUR).await;
        drop(promise);
    });
    Ok(response)
}

/// Answers when nobody waits any more.
pub async fn late() -> Answer {
    wait_for(5_000_000_000).await;
    say("too late")
}

/// Uses a handle that nobody gave it.
pub fn forged_handle() -> Answer {
    let forged = unsafe { Response::from_handle(std::hint::black_box(12345)) };
    let code = forged.get_status_code();
    say(&code.to_string())
}

/// Reads one byte of the request's body, and keeps its client waiting.
pub async fn hoard_body(request: Request) -> Answer {
    let mut body = body(request);
    let _ = body.read(Vec::with_capacity(1)).await;
    wait_for(HOUR).await;
    say("never")
}
