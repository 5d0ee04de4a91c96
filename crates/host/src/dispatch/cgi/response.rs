//! The response that a command writes: headers, an empty line, the body (RFC 3875, section 6).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use dayfly_capabilities::Share;
use dayfly_capabilities::http::whole::Held;
use dayfly_capabilities::wasi::stdio::PipeReader;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, TE, TRAILER};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error as HttpError, WasiBody};

use super::super::failure::Failure;
use super::super::guest::Answer;

/// How many headers there may be.
const HEADERS: usize = 128;

/// Whether a header speaks about a connection, which is the host's business, or of trailers, which a command
/// cannot write.
fn is_left_out(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || [TE, TRAILER].contains(name)
}

/// Reads the head of a response, of so many bytes at most, and answers with it; what follows is the
/// body, as it comes.
pub(super) async fn parse(
    mut output: PipeReader,
    head_bytes: u64,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let mut read = BytesMut::new();
    let (head, body) = loop {
        let found = split_head(&read);
        if found.map_or(read.len(), |(head, _)| head) as u64 > head_bytes {
            return Err(Failure::Cgi(format!("no empty line within {head_bytes} bytes")));
        }
        if let Some(found) = found {
            break found;
        }
        let Some(chunk) = output.recv().await else {
            let reason = if read.is_empty() { "nothing was written" } else { "no empty line" };
            return Err(Failure::Cgi(reason.to_owned()));
        };
        read.extend_from_slice(&chunk);
    };
    let response = parse_head(&read[..head]).map_err(Failure::Cgi)?;
    let first = Some(read.split_off(body).freeze()).filter(|first| !first.is_empty());
    let body = Output { first, output }.boxed_unsync();
    // Nobody listens any more if the request timed out.
    let _ = sender.send(Ok(response.map(|()| body)));
    Ok(())
}

/// All that a command writes, up to so many bytes, and as far as there is room.
pub(super) async fn whole(
    mut output: PipeReader,
    bytes: u64,
    share: &Share,
) -> Result<Response<WasiBody>, Failure> {
    let mut read = Held::default();
    while let Some(chunk) = output.recv().await {
        if (read.len() + chunk.len()) as u64 > bytes {
            return Err(Failure::Output(bytes));
        }
        if !read.add(&chunk, share) {
            return Err(Failure::NoRoom);
        }
    }
    let written = Full::new(read.into()).map_err(HttpError::from).boxed_unsync();
    Ok(Response::new(written))
}

/// Where the head ends and where the body begins, once the empty line is there.
fn split_head(read: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    for (at, _) in read.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&read[line..at], b"" | b"\r") {
            return Some((line, at + 1));
        }
        line = at + 1;
    }
    None
}

/// The head of what a command wrote, once its empty line is there.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn cgi_head(written: &[u8]) -> Option<Result<Response<()>, String>> {
    split_head(written).map(|(head, _)| parse_head(&written[..head]))
}

fn parse_head(head: &[u8]) -> Result<Response<()>, String> {
    let mut response = Response::new(());
    let mut status = None;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (name, value) = parse_line(line)?;
        if name == "status" {
            status = Some(parse_status(value.as_bytes())?);
        } else if !is_left_out(&name) {
            if response.headers().len() == HEADERS {
                return Err(format!("more than {HEADERS} headers"));
            }
            response.headers_mut().append(name, value);
        }
    }
    let redirects = response.headers().contains_key(LOCATION);
    if status.is_none() && !redirects && !response.headers().contains_key(CONTENT_TYPE) {
        return Err("none of `Content-Type`, `Location` and `Status` is there".to_owned());
    }
    let implied = if redirects { StatusCode::FOUND } else { StatusCode::OK };
    *response.status_mut() = status.unwrap_or(implied);
    Ok(response)
}

fn parse_line(line: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let shown =
        || format!("`{}` is no header", String::from_utf8_lossy(&line[..line.len().min(80)]));
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(shown)?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii()).map_err(|_| shown())?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| shown())?;
    Ok((name, value))
}

/// `404` or `404 Not Found`.
fn parse_status(value: &[u8]) -> Result<StatusCode, String> {
    let code = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    match StatusCode::from_bytes(code) {
        Ok(status) if status.as_u16() >= 200 => Ok(status),
        _ => {
            let code = &code[..code.len().min(80)];
            Err(format!("`{}` is no final status", String::from_utf8_lossy(code)))
        }
    }
}

/// The rest of a command's output.
struct Output {
    first: Option<Bytes>,
    output: PipeReader,
}

impl Body for Output {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.output.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<(u16, Vec<(String, String)>), String> {
        let response = parse_head(text.as_bytes())?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        Ok((response.status().as_u16(), headers))
    }

    #[test]
    fn the_head_ends_at_the_first_empty_line_of_either_kind() {
        assert_eq!(split_head(b"A: b\n\nbody"), Some((5, 6)));
        assert_eq!(split_head(b"A: b\r\n\r\nbody"), Some((6, 8)));
        assert_eq!(split_head(b"\nbody"), Some((0, 1)));
        assert_eq!(split_head(b"A: b\nbody"), None);
    }

    #[tokio::test]
    async fn a_head_is_bounded_however_few_pieces_it_comes_in() {
        let answer = async |written: &str| {
            let (to, output) = tokio::sync::mpsc::channel(1);
            to.send(Bytes::from(written.to_owned())).await.unwrap();
            let (sender, receiver) = oneshot::channel();
            parse(output, 20, sender).await.map_err(|failure| failure.to_string())?;
            Ok::<_, String>(receiver.await.unwrap().unwrap().status())
        };
        assert_eq!(
            answer(&format!("Status: 201\n\n{}", "x".repeat(99))).await,
            Ok(StatusCode::CREATED)
        );
        let long = answer(&format!("Status: 201\nA: {}\n\n", "b".repeat(20))).await;
        assert!(long.unwrap_err().contains("no empty line within 20 bytes"));
    }

    #[test]
    fn status_and_location_decide_the_status() {
        assert_eq!(head("Content-Type: a/b\n").unwrap().0, 200);
        assert_eq!(head("Status: 404 Not Found\n").unwrap().0, 404);
        assert_eq!(head("Location: /x\n").unwrap().0, 302);
        assert_eq!(head("Location: /x\nStatus: 301\n").unwrap().0, 301);
        assert!(head("X-A: b\n").is_err());
        assert!(head("Status: 101\n").is_err());
        assert!(head("Status: none\n").is_err());
    }

    #[test]
    fn headers_repeat_and_those_of_the_connection_are_dropped() {
        let (_, headers) =
            head("Content-Type: a/b\r\nSet-Cookie: a\r\nset-cookie: b\r\nTransfer-Encoding: x\r\n")
                .unwrap();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "set-cookie", "set-cookie"]);
    }

    #[test]
    fn what_is_no_header_is_named() {
        assert_eq!(head("hello\n").unwrap_err(), "`hello` is no header");
        assert!(head("a b: c\n").is_err());
        assert!(head("a: \u{1}\n").is_err());
    }
}
