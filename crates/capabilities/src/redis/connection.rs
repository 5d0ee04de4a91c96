//! One connection to a server: commands go out in the order in which they are asked for, and each
//! takes the next replies. A task drives it until it breaks off, nobody has it any more, or nothing
//! was asked for a while.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::frame::{FrameError, Largest, Scan};
use crate::stream::Stream;
use crate::under_way::{Busy, Held, UnderWay};

/// How long a connection is kept that nobody uses: not so long that those of one component keep
/// another from opening any.
const IDLE: Duration = Duration::from_secs(10);

/// How many commands wait to be written.
const QUEUE: usize = 64;

/// Commands up to this size are written together.
const GATHER_BYTES: usize = 16 << 10;

/// How much is read at once, at least.
const READ_BYTES: usize = 8 << 10;

/// Why a command has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Broken {
    #[error("the connection to the server broke off")]
    Closed,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// One whole reply, as it came.
pub(super) struct Reply {
    pub(super) bytes: Bytes,
    _held: Held,
}

type Replies = Result<Vec<Reply>, Broken>;

/// Commands to be written together.
struct Request {
    bytes: Vec<u8>,
    waiting: Waiting,
}

/// Who gets the next replies.
struct Waiting {
    missing: usize,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Replies>,
    _held: Held,
}

/// A connection; closed when dropped.
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    under_way: UnderWay,
    given_up: AtomicBool,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Drives an open stream from now on; `idle` is whether it may be closed when it is not used.
    pub(super) fn new(stream: Stream, under_way: UnderWay, largest: Largest, idle: bool) -> Self {
        let (requests, received) = mpsc::channel(QUEUE);
        let idle = if idle { IDLE } else { Duration::MAX };
        let (reader, writer) = tokio::io::split(stream);
        let replies = Reader::new(reader, under_way.clone(), largest);
        let task = tokio::spawn(drive(writer, received, replies, idle));
        Self { requests, under_way, given_up: AtomicBool::new(false), task }
    }

    /// Whether it takes commands.
    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed() && !self.given_up.load(Relaxed)
    }

    /// Lets nobody use it any more who does not use it already.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    /// Sends commands, which nothing else comes between, and waits for as many replies. Commands
    /// whose future is dropped may be executed all the same.
    pub(super) async fn ask(&self, commands: Vec<u8>, replies: usize) -> Result<Replies, Vec<u8>> {
        let held = match self.under_way.take(commands.len()) {
            Ok(held) => held,
            Err(busy) => return Ok(Err(busy.into())),
        };
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { missing: replies, replies: Vec::new(), answer, _held: held };
        let request = Request { bytes: commands, waiting };
        if let Err(mpsc::error::SendError(request)) = self.requests.send(request).await {
            return Err(request.bytes);
        }
        Ok(answered.await.unwrap_or(Err(Broken::Closed)))
    }
}

/// Those who wait for replies, in order; only the task of the connection uses it.
#[derive(Default)]
struct Line(Mutex<VecDeque<Waiting>>);

impl Line {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a reply to whom it is for.
    fn give(&self, reply: Reply) -> Result<(), Broken> {
        let mut line = self.lock();
        // A server that speaks without being asked is none of ours.
        let first = line.front_mut().ok_or(FrameError::Malformed)?;
        first.replies.push(reply);
        first.missing -= 1;
        if first.missing == 0
            && let Some(Waiting { replies, answer, .. }) = line.pop_front()
        {
            let _ = answer.send(Ok(replies));
        }
        Ok(())
    }

    /// Tells the first in line why there is no reply; the others learn that the connection is gone.
    fn fail(&self, broken: Broken) {
        let first = self.lock().pop_front();
        if let Some(Waiting { answer, .. }) = first {
            let _ = answer.send(Err(broken));
        }
    }
}

async fn drive(
    writer: WriteHalf<Stream>,
    requests: mpsc::Receiver<Request>,
    mut replies: Reader<ReadHalf<Stream>>,
    idle: Duration,
) {
    let line = Line::default();
    let mut writing = std::pin::pin!(write(writer, requests, &line, idle));
    let mut written = false;
    let broken = loop {
        // Both at once: a server stops reading commands while nobody reads its replies.
        tokio::select! {
            outcome = &mut writing, if !written => match outcome {
                Ok(()) => written = true,
                Err(error) => {
                    tracing::debug!(%error, "a connection to a Redis server broke off");
                    break Broken::Closed;
                }
            },
            reply = replies.next() => {
                if let Err(broken) = reply.and_then(|reply| line.give(reply)) {
                    break broken;
                }
            }
        }
        if written && line.lock().is_empty() {
            return;
        }
    };
    line.fail(broken);
}

/// Writes commands as they come, until nobody can ask for any.
async fn write(
    mut stream: impl AsyncWrite + Unpin,
    mut requests: mpsc::Receiver<Request>,
    line: &Line,
    idle: Duration,
) -> std::io::Result<()> {
    let mut batch = Vec::new();
    let mut gathered = Vec::new();
    loop {
        match timeout(idle, requests.recv_many(&mut batch, QUEUE)).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => {
                if line.lock().is_empty() {
                    // What was asked for meanwhile is still taken and answered.
                    requests.close();
                }
                continue;
            }
        }
        for Request { bytes, waiting } in batch.drain(..) {
            if waiting.answer.is_closed() {
                continue;
            }
            line.lock().push_back(waiting);
            if gathered.len() + bytes.len() > GATHER_BYTES {
                stream.write_all(&gathered).await?;
                gathered.clear();
                stream.write_all(&bytes).await?;
            } else {
                gathered.extend_from_slice(&bytes);
            }
        }
        stream.write_all(&gathered).await?;
        gathered.clear();
        stream.flush().await?;
    }
}

/// Reads replies.
pub(super) struct Reader<R> {
    stream: R,
    buffer: BytesMut,
    scan: Scan,
    largest: Largest,
    held: Option<Held>,
    under_way: UnderWay,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(stream: R, under_way: UnderWay, largest: Largest) -> Self {
        let (buffer, scan) = (BytesMut::new(), Scan::new(largest));
        Self { stream, buffer, scan, largest, held: None, under_way }
    }

    /// The next reply. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Reply, Broken> {
        loop {
            let end = self.scan.step(&self.buffer)?;
            if !self.buffer.is_empty() {
                self.pay()?;
            }
            if let Some(end) = end
                && let Some(held) = self.held.take()
            {
                self.scan = Scan::new(self.largest);
                return Ok(Reply { bytes: self.buffer.split_to(end).freeze(), _held: held });
            }
            let missing = self.scan.missing(self.buffer.len());
            self.buffer.reserve(missing.max(READ_BYTES));
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(Broken::Closed),
                Ok(_) => {}
            }
        }
    }

    /// Takes what the reply costs as far as it is known, before room is made for it.
    fn pay(&mut self) -> Result<(), Broken> {
        let paid = self.held.as_ref().map_or(0, Held::bytes);
        let cost = self.scan.cost();
        if cost < paid {
            return Ok(());
        }
        let more = self.under_way.take(cost - paid)?;
        match &mut self.held {
            Some(held) => held.add(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}
