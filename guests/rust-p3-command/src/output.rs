//! Standard output and standard error.

use wasip3::cli::{stderr, stdout};
use wasip3::wit_bindgen::{StreamReader, StreamResult, spawn_local};
use wasip3::wit_stream;

const CHUNK: usize = 64 * 1024;

/// Writes `text` to standard output.
pub async fn print(text: &str) -> crate::Outcome {
    let (mut sender, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
    });
    written.await.map_err(|error| format!("{error:?}"))
}

/// Writes `text` to standard error; there is nobody to tell that it failed.
pub async fn complain(text: &str) {
    let (mut sender, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
    });
    let _ = written.await;
}

/// Writes `head` and then all of `from` to standard output, holding one chunk at a time.
pub async fn copy(head: Vec<u8>, mut from: StreamReader<u8>) -> crate::Outcome {
    let (mut sender, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    spawn_local(async move {
        sender.write_all(head).await;
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let (result, chunk) = from.read(buffer).await;
            let refused = sender.write_all(chunk).await;
            if !refused.is_empty() || !matches!(result, StreamResult::Complete(_)) {
                return;
            }
            buffer = Vec::with_capacity(CHUNK);
        }
    });
    written.await.map_err(|error| format!("{error:?}"))
}
