//! Logs that go on: what comes is sent as it comes, and nothing waits without an end. Whoever takes too
//! little for too long is told so and let go, as is whoever's token is valid no more.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dayfly_api::{AppId, LogEvent, LogLine, LogNotice, NDJSON, Notice};
use dayfly_store::{LogBatch, LogFilter, LogFollower, StoreError};
use http::header::CONTENT_TYPE;
use http_body::Frame;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use crate::places::Place;
use crate::shared::Shared;

/// How often is looked for more.
const PACE: Duration = Duration::from_millis(200);

/// How often is looked whether the token is valid and the app is there.
const CHECK: Duration = Duration::from_secs(2);

/// After how long something is sent though there is nothing to say.
const BEAT: Duration = Duration::from_secs(15);

/// How long one goes on at most.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// How many pieces may wait for the client.
const PIECES: usize = 2;

/// Cuts the connection that a request came by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hangup(pub(crate) Arc<Notify>);

/// A log that is followed.
pub(crate) struct Stream {
    pub(crate) app: AppId,
    /// Where it lies; another one if the app is made anew.
    pub(crate) state: PathBuf,
    /// The id of the token by which it was asked for.
    pub(crate) token: String,
    pub(crate) follower: LogFollower,
    pub(crate) filter: LogFilter,
    pub(crate) place: Place,
    pub(crate) hangup: Hangup,
}

/// The answer's body.
struct Following {
    pieces: mpsc::Receiver<Bytes>,
    end: Arc<End>,
    is_ended: bool,
}

/// How it ends.
#[derive(Default)]
struct End {
    /// What is said last, if something is.
    last: OnceLock<Bytes>,
    /// Told when the body is gone.
    gone: Notify,
}

/// The answer that begins with these lines and goes on.
pub(crate) fn follow(shared: &Shared, lines: Vec<LogLine>, stream: Stream) -> Response {
    let (sender, pieces) = mpsc::channel(PIECES);
    let end = Arc::<End>::default();
    let body = Following { pieces, end: end.clone(), is_ended: false };
    tokio::spawn(go_on(shared.clone(), lines, stream, sender, end));
    ([(CONTENT_TYPE, NDJSON)], Body::new(body)).into_response()
}

async fn go_on(
    shared: Shared,
    lines: Vec<LogLine>,
    stream: Stream,
    sender: mpsc::Sender<Bytes>,
    end: Arc<End>,
) {
    let (hangup, patience) = (stream.hangup.clone(), shared.config.follower_patience);
    let ended = stream.send_all(&shared, lines, &sender).await;
    let Some((notice, detail)) = ended else { return };
    let _ = end.last.set(line(&LogEvent::Notice(LogNotice { notice, detail: detail.to_owned() })));
    drop(sender);
    if timeout(patience, end.gone.notified()).await.is_err() {
        hangup.0.notify_one();
    }
}

/// Why it ends; nothing if the client left.
type Ended = Option<(Notice, &'static str)>;

impl Stream {
    /// Sends what there is and what comes; the place is free again when this returns.
    async fn send_all(
        self,
        shared: &Shared,
        lines: Vec<LogLine>,
        sender: &mpsc::Sender<Bytes>,
    ) -> Ended {
        let Self { app, state, token, mut follower, filter, place: _place, .. } = self;
        let (began, mut checked, mut said) = (Instant::now(), Instant::now(), Instant::now());
        let mut batch = LogBatch { lines, ..LogBatch::default() };
        loop {
            let mut piece = text(&batch);
            if piece.is_empty() && said.elapsed() >= BEAT {
                piece.push(b'\n');
            }
            if !piece.is_empty() {
                let patience = shared.config.follower_patience;
                match timeout(patience, sender.send(piece.into())).await {
                    Ok(Ok(())) => said = Instant::now(),
                    Ok(Err(_)) => return None,
                    Err(_) => return Some((Notice::Slow, "too little was taken for too long")),
                }
            }
            if checked.elapsed() >= CHECK {
                if let Some(ended) = unfollowed(shared, &token, &app, &state).await {
                    return Some(ended);
                }
                checked = Instant::now();
            }
            if began.elapsed() >= LONGEST {
                return Some((Notice::Over, "a log is followed for 12 hours at most"));
            }
            if !batch.has_more {
                tokio::select! {
                    () = sender.closed() => return None,
                    () = sleep(PACE) => {}
                }
            }
            let (mut reader, held) = (follower.clone(), filter.clone());
            let read = shared.ask(move |_| Ok((reader.read(&held)?, reader))).await;
            (batch, follower) = match read {
                Ok(read) => read,
                Err(_) => return Some((Notice::Over, "the log cannot be read")),
            };
        }
    }
}

/// Why nobody may follow any more, if that is so.
async fn unfollowed(shared: &Shared, token: &str, app: &AppId, state: &std::path::Path) -> Ended {
    let (token, app, state) = (token.to_owned(), app.clone(), state.to_owned());
    let looked = shared.ask(move |store| {
        let is_there = match store.app_folder(&app) {
            Err(StoreError::NotFound(_)) => false,
            folder => folder? == state,
        };
        Ok((store.is_token_valid(&token)?, is_there))
    });
    match looked.await {
        Ok((true, true)) => None,
        Ok((true, false)) => Some((Notice::Gone, "the app is there no more")),
        Ok((false, _)) => Some((Notice::Unauthenticated, "the token is valid no more")),
        Err(_) => Some((Notice::Over, "the token cannot be looked up")),
    }
}

/// A batch as lines of JSON.
fn text(batch: &LogBatch) -> Vec<u8> {
    let mut text = Vec::new();
    if batch.missed {
        let detail = "lines were removed before they could be sent".to_owned();
        let notice = LogNotice { notice: Notice::Missed, detail };
        text.extend_from_slice(&line(&LogEvent::Notice(notice)));
    }
    for said in &batch.lines {
        text.extend_from_slice(&line(said));
    }
    text
}

fn line(event: &impl serde::Serialize) -> Bytes {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

impl http_body::Body for Following {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(piece) = ready!(self.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let last = self.end.last.get().cloned().filter(|_| !self.is_ended);
        self.is_ended = true;
        Poll::Ready(last.map(|last| Ok(Frame::data(last))))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.end.gone.notify_one();
    }
}
