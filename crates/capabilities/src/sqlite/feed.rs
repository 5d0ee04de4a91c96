//! Rows on their way from the thread that runs a statement to the guest that reads them: a buffer
//! of bounded size, for which the statement waits.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use super::RESULT_BYTES;
use super::session::{Rows, Stop};
use super::turns::{Turn, Turns};
use super::value::{Error, Row};
use super::watch::{CancelOnDrop, Watch};
use crate::HostState;

/// The rows that wait for their reader, in bytes, unless somebody waits for the connection.
const BUFFER: usize = 128 << 10;

/// What the statement's thread and the reader share.
#[derive(Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    bytes: usize,
    /// Whether everything that fits into a result may be buffered.
    whole: bool,
    ended: bool,
    /// Whether nobody reads any more.
    left: bool,
    reader: Option<Waker>,
}

impl Feed {
    /// Lets the statement run on without its reader, as far as a result may be large.
    pub(super) fn hurry(&self) {
        self.state().whole = true;
        self.room.notify_all();
    }

    /// Adds a row, and tells whether there is room for another.
    fn push(&self, row: Row) -> Room {
        let mut state = self.state();
        state.bytes += row.bytes();
        state.rows.push(row);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        state.room()
    }

    /// Waits for room.
    fn wait(&self) -> Room {
        let mut state = self.state();
        while matches!(state.room(), Room::None) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.room()
    }

    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a feed takes another row.
enum Room {
    Some,
    None,
    /// Nobody will read it.
    Left,
}

impl State {
    fn room(&self) -> Room {
        let most = if self.whole { RESULT_BYTES } else { BUFFER };
        match self.bytes > most {
            _ if self.left => Room::Left,
            true => Room::None,
            false => Room::Some,
        }
    }
}

/// The statement's end of a feed.
pub(super) struct Feeder {
    feed: Arc<Feed>,
    watch: Option<Arc<Watch>>,
    turns: Turns,
    turn: Option<Turn>,
    columns: Option<Vec<String>>,
    started: Option<oneshot::Sender<Result<Vec<String>, Stop>>>,
    ended: Option<oneshot::Sender<Result<(), Error>>>,
    bytes: usize,
}

/// What the guest's side of a feed waits for: the columns, then the end.
pub(super) struct Awaited {
    pub(super) started: oneshot::Receiver<Result<Vec<String>, Stop>>,
    pub(super) ended: oneshot::Receiver<Result<(), Error>>,
}

impl Feeder {
    pub(super) fn new(feed: Arc<Feed>, turns: Turns, turn: Turn) -> (Self, Awaited) {
        let (start, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let feeder = Self {
            feed,
            watch: None,
            turns,
            turn: Some(turn),
            columns: None,
            started: Some(start),
            ended: Some(end),
            bytes: 0,
        };
        (feeder, Awaited { started, ended })
    }

    /// Waits for the reader, and lets others run meanwhile.
    fn wait(&mut self) -> Result<Room, Error> {
        let began = Instant::now();
        self.turn = None;
        let room = self.feed.wait();
        if !matches!(room, Room::Left) {
            self.turn = Some(Handle::current().block_on(self.turns.run())?);
        }
        if let Some(watch) = &self.watch {
            watch.waited(began.elapsed());
        }
        Ok(room)
    }

    /// Tells the guest how the statement ended.
    pub(super) fn finish(mut self, outcome: Result<(), Stop>) {
        self.feed.end();
        let (columns, started) = (self.columns.take(), self.started.take());
        match (outcome, started) {
            (Err(stop), Some(started)) => drop(started.send(Err(stop))),
            (outcome, started) => {
                if let Some(started) = started {
                    let _ = started.send(Ok(columns.unwrap_or_default()));
                }
                let outcome = outcome.map_err(|stop| match stop {
                    Stop::Busy => Error::io("database is locked"),
                    Stop::Error(error) => error,
                });
                if let Some(ended) = self.ended.take() {
                    let _ = ended.send(outcome);
                }
            }
        }
    }
}

impl Rows for Feeder {
    fn start(&mut self, columns: Vec<String>, writes: bool, watch: &Arc<Watch>) {
        if writes {
            // It is done before anybody hears of it, whether or not its rows are read.
            self.columns = Some(columns);
            self.feed.hurry();
        } else if let Some(started) = self.started.take() {
            self.watch = Some(watch.clone());
            let _ = started.send(Ok(columns));
        }
    }

    fn take(&mut self, row: Row) -> Result<(), Error> {
        if self.columns.is_some() {
            self.bytes += row.bytes();
            if self.bytes > RESULT_BYTES {
                return Err(super::too_large());
            }
        }
        let mut room = self.feed.push(row);
        if matches!(room, Room::None) {
            room = self.wait()?;
        }
        match room {
            Room::Left => Err(Error::io("nobody reads the rows")),
            _ => Ok(()),
        }
    }
}

/// The guest's end of a feed.
pub(super) struct Reader {
    feed: Arc<Feed>,
    _cancel: CancelOnDrop,
}

impl Reader {
    pub(super) fn new(feed: Arc<Feed>, cancel: CancelOnDrop) -> Self {
        Self { feed, _cancel: cancel }
    }
}

impl StreamProducer<HostState> for Reader {
    type Item = Row;
    type Buffer = VecBuffer<Row>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, HostState>,
        mut destination: Destination<'a, Row, VecBuffer<Row>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let feed = &self.feed;
        let mut state = feed.state();
        if state.rows.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(StreamResult::Dropped));
            }
            if finish {
                return Poll::Ready(Ok(StreamResult::Cancelled));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        destination.set_buffer(std::mem::take(&mut state.rows).into());
        state.bytes = 0;
        feed.room.notify_all();
        let result = if state.ended { StreamResult::Dropped } else { StreamResult::Completed };
        Poll::Ready(Ok(result))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        state.left = true;
        state.rows = Vec::new();
        self.feed.room.notify_all();
    }
}
