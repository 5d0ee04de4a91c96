//! Guest output as lines of the app's log: cut at line ends, bounded in length and in volume.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamResult};

/// The longest line, in bytes; a longer one is cut into several.
pub const LINE_BYTES: usize = 16 << 10;

/// What one write takes at most, in bytes.
const WRITE_BYTES: usize = 64 << 10;

/// Which of a guest's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where the lines of one component go.
pub trait LogSink: Send + Sync {
    /// Takes one line, without its end. What is not UTF-8 has been replaced.
    fn line(&self, kind: OutputKind, line: &str);

    /// Takes a message that the guest has given a level and a context, which may be empty.
    fn message(&self, level: Level, context: &str, message: &str) {
        self.line(OutputKind::Stderr, &level.line(context, message));
    }

    /// Takes a line of the host's about the guest, which the host's log has in its own words.
    fn host(&self, line: &str) {
        self.line(OutputKind::Stderr, line);
    }

    /// Takes why a request was not answered by the guest, or not to its end. The host's log has it in
    /// any case.
    fn failure(&self, _: Level, _: &str) {}
}

/// How much a message of a guest's matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The flow of control, and values.
    Trace,
    /// For who looks for a mistake.
    Debug,
    /// For who watches.
    Info,
    /// Something may go wrong.
    Warn,
    /// Something went wrong.
    Error,
    /// Something went wrong for good.
    Critical,
}

impl Level {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// A message as a line of text.
    pub fn line(self, context: &str, message: &str) -> String {
        let level = self.label();
        match context {
            "" => format!("{level}: {message}"),
            _ => format!("{level}: [{context}] {message}"),
        }
    }
}

/// How much an instance may log on each of its streams while it serves a request.
#[derive(Clone)]
pub(crate) struct LogBound {
    /// Bytes.
    pub(crate) bytes: u64,
    /// How many requests the instance has served, if it may serve several.
    pub(crate) served: Option<Arc<AtomicU32>>,
}

impl LogBound {
    fn budget(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    fn request(&self) -> u32 {
        self.served.as_ref().map_or(0, |served| served.load(Relaxed))
    }
}

/// One output stream of one instance.
#[derive(Clone)]
pub(super) struct LineStream(Arc<Mutex<Lines>>);

impl LineStream {
    /// What is written beyond the bound is dropped, with one line that says so.
    pub(super) fn new(sink: Arc<dyn LogSink>, kind: OutputKind, bound: &LogBound) -> Self {
        let (budget, bound) = (bound.budget(), bound.clone());
        let lines = Lines { sink, kind, pending: Vec::new(), budget, bound, request: 0 };
        Self(Arc::new(Mutex::new(lines)))
    }

    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

struct Lines {
    sink: Arc<dyn LogSink>,
    kind: OutputKind,
    pending: Vec<u8>,
    budget: usize,
    bound: LogBound,
    /// The request that the budget is for.
    request: u32,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        let request = self.bound.request();
        if request != self.request {
            (self.request, self.budget) = (request, self.bound.budget());
        }
        if self.budget == 0 {
            return;
        }
        let taken = bytes.len().min(self.budget);
        self.budget -= taken;
        for piece in bytes[..taken].split_inclusive(|byte| *byte == b'\n') {
            self.push_piece(piece);
        }
        if self.budget == 0 {
            self.emit();
            self.sink.line(self.kind, "[log limit of this instance reached: the rest is dropped]");
        }
    }

    /// Takes what is at most one line, its end included.
    fn push_piece(&mut self, mut piece: &[u8]) {
        let ended = piece.ends_with(b"\n");
        if ended {
            piece = &piece[..piece.len() - 1];
        }
        while self.pending.len() + piece.len() > LINE_BYTES {
            let (head, tail) = piece.split_at(LINE_BYTES - self.pending.len());
            self.pending.extend_from_slice(head);
            self.emit();
            piece = tail;
        }
        self.pending.extend_from_slice(piece);
        if ended {
            self.emit_line();
        }
    }

    fn emit(&mut self) {
        if !self.pending.is_empty() {
            self.emit_line();
        }
    }

    fn emit_line(&mut self) {
        let line = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        self.sink.line(self.kind, &String::from_utf8_lossy(line));
        self.pending.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.emit();
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl LogSink for Recorder {
        fn line(&self, _: OutputKind, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }

    const LOG_BYTES: usize = 1 << 20;

    fn lines(writes: &[&[u8]]) -> Vec<String> {
        let recorder = Arc::new(Recorder::default());
        let bound = LogBound { bytes: LOG_BYTES as u64, served: None };
        let stream = LineStream::new(recorder.clone(), OutputKind::Stdout, &bound);
        for write in writes {
            stream.push(write);
        }
        drop(stream);
        recorder.0.lock().unwrap().clone()
    }

    #[test]
    fn lines_are_cut_at_their_ends_across_writes() {
        assert_eq!(lines(&[b"a", b"b\nc\r\n", b"\nd"]), ["ab", "c", "", "d"]);
    }

    #[test]
    fn a_long_line_is_cut_and_nothing_of_it_is_lost() {
        let long = vec![b'x'; LINE_BYTES * 2 + 5];
        let lengths: Vec<usize> = lines(&[&long, b"\n"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_BYTES, LINE_BYTES, 5]);
    }

    #[test]
    fn a_flood_ends_with_one_line_that_says_so() {
        let flood = b"0123456789\n".repeat(LOG_BYTES / 5);
        let lines = lines(&[&flood, b"more\n"]);
        assert!(lines.last().unwrap().contains("log limit"));
        assert!(lines.iter().map(String::len).sum::<usize>() <= LOG_BYTES + 100);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(lines(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }
}
