//! What stands around an app while it is tested: who answers for the world outside, and who learns what
//! goes there. Grants hold as ever; this is asked behind them.

use bytes::Bytes;
use dayfly_model::outbound::OutboundHosts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::Grants;
use crate::queue::Content;

/// The largest request that is answered, in bytes.
const BODY_BYTES: usize = 64 << 20;

/// A test of an app.
pub trait Rehearsal: Send + Sync {
    /// The servers that are really reached, of those that components are granted.
    fn real(&self) -> &OutboundHosts;

    /// Learns of a connection that was granted and is not opened, because it is not real.
    fn kept_in(&self, component: &str, destination: &str);

    /// Answers a granted request that leaves the app; nothing if it is to go out really.
    fn answer(&self, component: &str, request: &Request<Bytes>) -> Option<Response<Bytes>>;

    /// Learns of an answer that its trigger's output gets, in the words that
    /// [`dayfly_model::Output`] has for that.
    fn passed_on(&self, output: &str, answer: &Content);
}

/// What became of a request.
pub(crate) enum Rehearsed {
    /// It was answered.
    Answered(Response<WasiBody>),
    /// It is to go out.
    Real(Request<WasiBody>),
}

/// Has a request answered, if a test is running and has an answer.
pub(crate) async fn answer(
    grants: &Grants,
    request: Request<WasiBody>,
) -> Result<Rehearsed, Error> {
    let Some(rehearsal) = grants.names.rehearsal() else { return Ok(Rehearsed::Real(request)) };
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES).collect().await;
    let body = body.map_err(|_| Error::HttpRequestBodySize(None))?.to_bytes();
    let request = Request::from_parts(head, body);
    Ok(match rehearsal.answer(&grants.component, &request) {
        Some(response) => Rehearsed::Answered(response.map(whole)),
        None => Rehearsed::Real(request.map(whole)),
    })
}

fn whole(body: Bytes) -> WasiBody {
    Full::new(body).map_err(Error::from).boxed_unsync()
}
