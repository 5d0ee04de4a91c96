//! Answering.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{StreamReader, StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

pub const HOUR: u64 = 3_600_000_000_000;

pub type Answer = Result<Response, ErrorCode>;

/// Answers with a text alone.
pub fn say(text: &str) -> Answer {
    respond(text, async |_| {})
}

/// Answers at once; the body is `text`, then what `more` writes.
pub fn respond<W>(text: &str, more: W) -> Answer
where
    W: AsyncFnOnce(StreamWriter<u8>) + 'static,
{
    respond_with(Fields::new(), text, more)
}

/// The same with headers.
pub fn respond_with<W>(headers: Fields, text: &str, more: W) -> Answer
where
    W: AsyncFnOnce(StreamWriter<u8>) + 'static,
{
    let (mut sender, reader) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(reader), trailers);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
        more(sender).await;
    });
    Ok(response)
}

/// Says how it went to take something, and keeps that until it is ended.
pub fn hold<T: 'static>((held, text): (T, String)) -> Answer {
    respond(&text, async move |_sender| {
        wait_for(HOUR).await;
        drop(held);
    })
}

/// The body of a request.
pub fn body(request: Request) -> StreamReader<u8> {
    let (_, done) = wit_future::new(|| Ok(()));
    Request::consume_body(request, done).0
}
