//! The words that hyper lacks: to a request whose head it cannot read it answers with a status
//! alone. Here that answer gets the line of text and the error id that every error of ours has.

use bytes::Bytes;

use crate::body::Body;
use crate::error::{EdgeError, Problem};

/// Our answer instead of hyper's, if `answer` is all of one that hyper made by itself.
pub(super) fn in_words(answer: &[u8]) -> Option<Bytes> {
    let head = answer.strip_suffix(b"\r\n\r\n")?;
    let problem =
        match head.strip_prefix(b"HTTP/1.1 ").or(head.strip_prefix(b"HTTP/1.0 "))?.get(..3)? {
            b"400" => Problem::Malformed,
            b"414" => Problem::UriTooLong,
            b"431" => Problem::HeadersTooLarge,
            _ => return None,
        };
    let head = std::str::from_utf8(head).ok()?;
    let (before, after) = head.split_once("\r\ncontent-length: 0")?;
    if head.contains("\r\n\r\n") || !(after.is_empty() || after.starts_with("\r\n")) {
        return None;
    }
    let Body::Full(text) = EdgeError::new(problem).respond().into_body() else { return None };
    let mut words = format!(
        "{before}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}{after}\r\n\r\n",
        text.len()
    )
    .into_bytes();
    words.extend_from_slice(&text);
    Some(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_hyper_get_words() {
        let hyper = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\
                      date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
        let words = String::from_utf8(in_words(hyper).unwrap().to_vec()).unwrap();
        let (head, text) = words.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\ndate: ", text.len())), "{head}");
        assert!(text.starts_with("the request is malformed (error "), "{text}");
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nx\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 01\r\n\r\n",
        ] {
            assert!(in_words(other).is_none());
        }
    }
}
