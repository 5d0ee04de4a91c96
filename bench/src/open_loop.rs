//! Load that does not wait for answers: requests come at their times, however long the last one
//! takes, as from many clients that know nothing of one another. A connection serves one request
//! at a time; where none is free, another is opened.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What is asked for, how often and how long.
#[derive(Clone)]
pub(crate) struct OpenLoop {
    pub(crate) port: u16,
    pub(crate) path: String,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) time: Duration,
    /// How long a client waits for its answer.
    pub(crate) patience: Duration,
}

/// What came of it.
#[derive(Default, Clone)]
pub(crate) struct Outcome {
    /// Of answers with status 200, from when the request was due, in milliseconds, sorted.
    pub(crate) good_ms: Vec<f64>,
    /// Answers with 429 or 503.
    pub(crate) refused: usize,
    /// Requests that were given up.
    pub(crate) late: usize,
    /// Connections that failed, and other answers.
    pub(crate) failed: usize,
}

impl Outcome {
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        let last = self.good_ms.len().saturating_sub(1) as f64;
        self.good_ms.get((last * percent / 100.0).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

type Idle = Rc<RefCell<Vec<SendRequest<Empty<Bytes>>>>>;

/// What one request came to.
enum Answer {
    Good,
    Refused,
    Late,
    Failed,
}

impl OpenLoop {
    /// Offers the load from this thread.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, self.offer()))
    }

    /// Offers the load; must run in a `LocalSet`.
    pub(crate) async fn offer(&self) -> Outcome {
        let (idle, outcome) = (Idle::default(), Rc::<RefCell<Outcome>>::default());
        let began = Instant::now();
        let mut running = Vec::new();
        let requests = (self.rate * self.time.as_secs_f64()) as u64;
        for number in 0..requests {
            let due = began + Duration::from_secs_f64(number as f64 / self.rate);
            wait_until(due).await;
            let (load, idle, outcome) = (self.clone(), idle.clone(), outcome.clone());
            running.push(tokio::task::spawn_local(async move {
                let answer = match timeout(load.patience, load.ask(&idle)).await {
                    Ok(answer) => answer,
                    Err(_) => Answer::Late,
                };
                let mut outcome = outcome.borrow_mut();
                match answer {
                    Answer::Good => outcome.good_ms.push(due.elapsed().as_secs_f64() * 1e3),
                    Answer::Refused => outcome.refused += 1,
                    Answer::Late => outcome.late += 1,
                    Answer::Failed => outcome.failed += 1,
                }
            }));
        }
        for task in running {
            // A panic in a task is a failed request.
            let _ = task.await;
        }
        let mut outcome = outcome.take();
        outcome.good_ms.sort_by(f64::total_cmp);
        outcome
    }

    async fn ask(&self, idle: &Idle) -> Answer {
        let free = idle.borrow_mut().pop().filter(SendRequest::is_ready);
        let mut sender = match free {
            Some(sender) => sender,
            None => match self.connect().await {
                Ok(sender) => sender,
                Err(_) => return Answer::Failed,
            },
        };
        let request = Request::get(&self.path).header("host", "bench").body(Empty::new());
        let Ok(request) = request else { return Answer::Failed };
        let Ok(response) = sender.send_request(request).await else { return Answer::Failed };
        let status = response.status();
        if response.into_body().collect().await.is_err() {
            return Answer::Failed;
        }
        // The connection is ready again a moment after the body.
        if sender.ready().await.is_ok() {
            idle.borrow_mut().push(sender);
        }
        match status {
            StatusCode::OK => Answer::Good,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Answer::Refused,
            _ => Answer::Failed,
        }
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// Waits for a moment more exactly than timers do, which are late by up to two milliseconds.
async fn wait_until(due: Instant) {
    sleep_until(due - Duration::from_millis(2)).await;
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

/// Lets a server come to rest.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(1500));
}

/// The same, between two tasks.
pub(crate) async fn pause_for(time: Duration) {
    sleep(time).await;
}
