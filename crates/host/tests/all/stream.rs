//! Large bodies: as they come, in bounded memory, no faster than the reader.

use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::{Running, block_on};

const GIB: u64 = 1 << 30;

/// As many bytes as are wanted, made while they are sent.
struct Upload(u64);

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static ONES: [u8; 64 << 10] = [1; 64 << 10];
        let length = self.0.min(ONES.len() as u64);
        self.0 -= length;
        let piece = &ONES[..usize::try_from(length).unwrap()];
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(piece)))))
    }
}

/// The memory of this process, client and server together, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn read(mut body: hyper::body::Incoming, highest: &mut u64) -> u64 {
    let (mut bytes, mut looked) = (0, 0);
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
        if bytes - looked > 16 << 20 {
            looked = bytes;
            *highest = resident_bytes().max(*highest);
        }
    }
    bytes
}

fn echo_request(length: u64) -> Request<Upload> {
    Request::post("http://a/echo").header("host", "a").body(Upload(length)).unwrap()
}

fn assert_bounded(before: u64, highest: u64) {
    let grown = highest.saturating_sub(before) >> 20;
    assert!(grown < 200, "grew by {grown} MiB");
}

#[test]
fn a_gibibyte_goes_both_ways_at_once_over_http1() {
    let server = Running::start();
    block_on(async {
        let tcp = TcpStream::connect(server.addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        let before = resident_bytes();
        let mut highest = before;
        let response = sender.send_request(echo_request(GIB)).await.unwrap();
        assert_eq!(read(response.into_body(), &mut highest).await, GIB);
        assert_bounded(before, highest);
    });
    assert!(server.stop().is_clean());
}

#[test]
fn a_gibibyte_goes_both_ways_at_once_over_http2() {
    let server = Running::start();
    block_on(async {
        let tcp = TcpStream::connect(server.addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
                .await
                .unwrap();
        tokio::spawn(connection);
        let before = resident_bytes();
        let mut highest = before;
        let response = sender.send_request(echo_request(GIB)).await.unwrap();
        assert_eq!(read(response.into_body(), &mut highest).await, GIB);
        assert_bounded(before, highest);
    });
    assert!(server.stop().is_clean());
}

/// What `/zeros` has made after the client has long stopped to read.
async fn made_unread(server: &Running) -> u64 {
    let mut made = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = server.app.made.load(SeqCst);
        if now == made && now > 0 {
            return made;
        }
        made = now;
    }
}

#[test]
fn nothing_is_made_that_nobody_reads_over_http1() {
    let server = Running::start();
    block_on(async {
        let mut tcp = TcpStream::connect(server.addr()).await.unwrap();
        let request = b"GET /zeros/1000000000000 HTTP/1.1\r\nhost: a\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut tcp, request).await.unwrap();
        // What fits into the sockets of both sides, and into one buffer of ours.
        let made = made_unread(&server).await;
        assert!(made < 64 << 20, "{made}");
    });
}

#[test]
fn nothing_is_made_that_nobody_reads_over_http2() {
    let server = Running::start();
    block_on(async {
        let tcp = TcpStream::connect(server.addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://a/zeros/1000000000000").body(Empty::<Bytes>::new());
        let _response = sender.send_request(request.unwrap()).await.unwrap();
        let made = made_unread(&server).await;
        assert!(made < 64 << 20, "{made}");
        // A second stream is not held up by the first.
        let request = Request::get("http://a/").body(Empty::<Bytes>::new()).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello\n");
    });
}

#[test]
fn nothing_is_taken_that_the_handler_does_not_read() {
    let server = Running::start();
    block_on(async {
        let mut tcp = TcpStream::connect(server.addr()).await.unwrap();
        let request = b"POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000000\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut tcp, request).await.unwrap();
        let piece = vec![1; 64 << 10];
        let mut sent = 0;
        let quiet = Duration::from_secs(1);
        while let Ok(written) =
            tokio::time::timeout(quiet, tokio::io::AsyncWriteExt::write(&mut tcp, &piece)).await
        {
            sent += written.unwrap();
            assert!(sent < 64 << 20, "{sent}");
        }
        server.app.release.notify_waiters();
    });
}
