//! Responses, whole or written by a task of their own.

use wasip3::http::types::{ErrorCode, Fields, Response};
use wasip3::wit_bindgen::{FutureReader, StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

pub type Answer = Result<Response, ErrorCode>;

pub type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

pub fn respond(status: u16, text: &str) -> Answer {
    let text = text.as_bytes().to_vec();
    respond_with(status, async move |mut sender: StreamWriter<u8>| {
        // What a client that left does not take is dropped.
        sender.write_all(text).await;
    })
}

/// Answers at once; `write` produces the body afterwards, as fast as the client takes it.
pub fn respond_with<W>(status: u16, write: W) -> Answer
where
    W: AsyncFnOnce(StreamWriter<u8>) + 'static,
{
    let (sender, reader) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
    response
        .set_status_code(status)
        .map_err(|()| ErrorCode::InternalError(Some(format!("no such status: {status}"))))?;
    spawn_local(write(sender));
    Ok(response)
}
