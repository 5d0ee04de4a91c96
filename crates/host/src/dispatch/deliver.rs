//! An event's way to its handler, whatever that exports: HTTP handlers get a POST in CloudEvents'
//! binary mode, commands its data on standard input, Spin's handlers of events what they know.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dayfly_capabilities::Share;
use dayfly_capabilities::http::whole::Held;
use dayfly_model::Executor;
use dayfly_telemetry::trace::Span;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

use super::component::{Arrival, ComponentHost};
use super::failure::Failure;
use super::meter::Meter;
use super::quota::admit;
use crate::events::Event;
use crate::{Body, Connection, LocalAddr, Peer, Problem, Protocol, Scheme};

/// The largest output of a handler of events, in bytes: the host holds it whole.
pub(super) const OUTPUT_BYTES: u64 = 16 << 20;

/// What stands for the connection that an event does not have.
static NO_CONNECTION: LazyLock<Connection> = LazyLock::new(|| {
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let (peer, local) = (Peer::Tcp(nowhere), LocalAddr::Tcp(nowhere));
    Connection::new(peer, local, Scheme::Http, Protocol::Http1, 0)
});

/// What a handler answered.
pub(crate) struct Reply {
    pub(crate) content_type: Option<String>,
    pub(crate) data: Bytes,
}

/// Why an event was not handled.
pub(crate) enum Undelivered {
    /// There was no room for its handler; it was not asked.
    Busy,
    /// Its handler failed, for the reason that the text tells.
    Failed(String),
}

impl ComponentHost {
    /// Hands over an event, and waits for the whole answer.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        event: &Event,
        span: Option<Span>,
    ) -> Result<Reply, Undelivered> {
        let mut meter = Meter::begin(self, true, span);
        if let Err(over) = admit(self.account()) {
            meter.failed(&Failure::Over(over));
            return Err(Undelivered::Busy);
        }
        let executor = Executor::Detected;
        let arrival = Arrival {
            connection: &NO_CONNECTION,
            executor: &executor,
            behind: event.behind(),
            event: Some(event),
        };
        let answered = self.try_handle(event.request(), arrival, &mut meter).await;
        let response = answered.map_err(|failure| {
            meter.failed(&failure);
            undelivered(&failure)
        })?;
        let status = response.status();
        let content_type = content_type(response.headers());
        let data = self.whole_answer(response.into_body()).await;
        let data = data.map_err(Undelivered::Failed)?;
        if !status.is_success() {
            return Err(Undelivered::Failed(format!("the handler answered with status {status}")));
        }
        Ok(Reply { content_type, data })
    }

    /// The whole of an answer, within its handler's time: each piece may take as long by itself.
    pub(crate) async fn whole_answer(&self, body: Body) -> Result<Bytes, String> {
        let time = self.limits.time;
        let data = tokio::time::timeout(time, whole(body, &self.shares.whole)).await;
        data.unwrap_or_else(|_| Err(format!("the answer did not end within {time:?}")))
    }
}

fn undelivered(failure: &Failure) -> Undelivered {
    match failure.problem() {
        Problem::TenantBusy | Problem::ShareBusy | Problem::OverQuota(_) | Problem::NodeBusy => {
            Undelivered::Busy
        }
        _ => Undelivered::Failed(failure.to_string()),
    }
}

/// The media type that an answer states.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(CONTENT_TYPE)?.to_str().ok()?.to_owned())
}

/// A whole body, if it is not too large, and there is room for it.
async fn whole(body: Body, share: &Share) -> Result<Bytes, String> {
    match body {
        Body::Empty => Ok(Bytes::new()),
        Body::Full(bytes) if bytes.len() as u64 <= OUTPUT_BYTES => Ok(bytes),
        Body::Full(_) => Err(too_large()),
        Body::Stream(mut stream) => {
            let mut whole = Held::default();
            while let Some(frame) = stream.frame().await {
                let frame = frame.map_err(|error| format!("its answer broke off: {error}"))?;
                let Ok(data) = frame.into_data() else { continue };
                if (whole.len() + data.len()) as u64 > OUTPUT_BYTES {
                    return Err(too_large());
                }
                if !whole.add(&data, share) {
                    return Err(Failure::NoRoom.to_string());
                }
            }
            Ok(whole.into())
        }
    }
}

fn too_large() -> String {
    format!("the handler wrote more than {OUTPUT_BYTES} bytes of output")
}
