//! What answers requests, as the server sees it.

use std::sync::Arc;

use super::connection::Connection;
use super::unsent::ClientBody;
use crate::body::Body;

/// What answers requests.
///
/// One handler serves all cores. A request's future is polled on one core for its whole life, and
/// it is dropped, with everything it holds, when the client leaves; so is the response's body.
/// Clone no counted pointer that all cores share in `handle`: every core would fight for it.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; errors are answers too ([`crate::EdgeError::respond`]).
    fn handle(
        &self,
        request: http::Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = http::Response<Body>> + Send;
}
