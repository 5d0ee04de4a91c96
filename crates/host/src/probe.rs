//! Whether a release is healthy, before it has any traffic: it is asked over a connection of the node's own
//! making, which leads to it alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::front::{Door, Front};
use crate::server::Connector;

/// How long a release may take to become healthy, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// How long one answer may take, and how long it may be, in bytes.
const EACH: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Asks whoever is behind a door for a path of a host until that answers well.
///
/// # Errors
/// What it answered last, if it does not in time.
pub(crate) fn probe(
    (front, connector): (&Front, &Connector),
    door: Arc<Door>,
    (host, path): (&str, &str),
) -> Result<(), String> {
    // Nobody else can name it.
    let name = format!("{}.invalid", uuid::Uuid::new_v4());
    front.lead(&name, Some(door));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let probed = match runtime {
        Ok(runtime) => runtime.block_on(until_well(connector, &name, (host, path))),
        Err(error) => Err(error.to_string()),
    };
    front.lead(&name, None);
    probed
}

async fn until_well(
    connector: &Connector,
    name: &str,
    (host, path): (&str, &str),
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let asked = timeout(EACH, ask(connector, name, (host, path))).await;
        let answer = match asked {
            Ok(Ok(status)) if status.is_success() || status.is_redirection() => return Ok(()),
            Ok(Ok(status)) => format!("`{path}` answers {}", status.as_u16()),
            Ok(Err(error)) => format!("`{path}` does not answer: {error}"),
            Err(_) => format!("`{path}` does not answer within {EACH:?}"),
        };
        if began.elapsed() + PAUSE >= PATIENCE {
            return Err(answer);
        }
        sleep(PAUSE).await;
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn ask(
    connector: &Connector,
    name: &str,
    (host, path): (&str, &str),
) -> Result<StatusCode, BoxError> {
    let stream = connector.connect(name)?;
    stream.set_nonblocking(true)?;
    let io = TokioIo::new(UnixStream::from_std(stream)?);
    let (mut sender, connection) = http1::handshake(io).await?;
    let driven = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("dayfly/", env!("CARGO_PKG_VERSION"), " (health)"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    // An answer that breaks off is none.
    Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
    driven.abort();
    Ok(status)
}
