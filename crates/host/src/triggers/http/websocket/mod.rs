//! Routes whose connections become WebSockets (RFC 6455), or whose streams of HTTP/2 do (RFC 8441). The host keeps a connection;
//! its beginning, each of its messages and its end are events that wake the route's component. What
//! is sent to it goes through the app's [`Hub`].

mod connection;
mod conversation;
mod handshake;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dayfly_capabilities::account;
use dayfly_capabilities::websocket::{Hub, Kept, Message, Terms};
use dayfly_model::Websocket;
use dayfly_telemetry::Telemetry;
use dayfly_telemetry::trace::Span;
use http::header::{SEC_WEBSOCKET_PROTOCOL, SET_COOKIE};
use http::{Request, Response};

use crate::dispatch::ComponentHost;
use crate::events::{Outlet, Topology};
use crate::{Answered, Body, Connection, EdgeError, Problem, Upgrade};
use conversation::Conversation;
use handshake::Handshake;

/// One route.
pub(super) struct Websockets {
    settings: Websocket,
    host: Arc<ComponentHost>,
    hub: Arc<Hub>,
    /// Which of the node's activations it is of.
    activation: u64,
    topology: Arc<Topology>,
    outlet: Option<Outlet>,
    telemetry: Option<Arc<Telemetry>>,
    /// How many connections it has.
    open: AtomicUsize,
}

/// The place of one of a route's connections.
struct Seat(Arc<Websockets>, #[allow(dead_code, reason = "it is held")] Option<account::Websocket>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Websockets {
    pub(super) fn new(
        settings: Websocket,
        host: Arc<ComponentHost>,
        (hub, activation): (Arc<Hub>, u64),
        (topology, outlet): (Arc<Topology>, Option<Outlet>),
        telemetry: Option<Arc<Telemetry>>,
    ) -> Self {
        let open = AtomicUsize::new(0);
        Self { settings, host, hub, activation, topology, outlet, telemetry, open }
    }

    pub(super) fn host(&self) -> &Arc<ComponentHost> {
        &self.host
    }

    /// How many connections there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Answers the request that is to become a connection.
    pub(super) async fn answer(
        self: &Arc<Self>,
        (request, has_body): (&Request<()>, bool),
        connection: &Connection,
        span: Option<Span>,
    ) -> Response<Body> {
        let handshake = match Handshake::of(request, has_body) {
            Ok(handshake) => handshake,
            Err(refused) => return refused.respond(),
        };
        if !handshake::is_welcome(request, &self.settings.origins) {
            return EdgeError::new(Problem::ForeignOrigin).respond();
        }
        let terms = Terms {
            queue_bytes: usize::try_from(self.settings.queue_bytes).unwrap_or(usize::MAX),
            topics: self.settings.topics as usize,
            activation: self.activation,
        };
        let account = self.host.account();
        let of_tenant = account.map(|account| account.websocket(self.hub.most()));
        if matches!(of_tenant, Some(None)) {
            return EdgeError::new(Problem::ShareBusy).respond();
        }
        let Some(seat) = self.seat(of_tenant.flatten()) else {
            return EdgeError::new(Problem::TenantBusy).respond();
        };
        let Some(kept) = self.hub.take_in(terms) else {
            return EdgeError::new(Problem::NodeBusy).because("`--max-websockets`").respond();
        };
        let conversation = Conversation::new(seat, kept, request.uri());
        let response = conversation.open(request, connection, span).await;
        if !response.status().is_success() {
            return response;
        }
        self.accept(conversation, &handshake, response).await
    }

    fn seat(self: &Arc<Self>, of_tenant: Option<account::Websocket>) -> Option<Seat> {
        let most = self.settings.connections.map_or(usize::MAX, |most| most as usize);
        let taken =
            self.open.fetch_update(Relaxed, Relaxed, |open| (open < most).then(|| open + 1));
        taken.ok().map(|_| Seat(self.clone(), of_tenant))
    }

    /// Lets a connection be, whose handler answered the request for it with `response`.
    async fn accept(
        self: &Arc<Self>,
        conversation: Conversation,
        handshake: &Handshake,
        response: Response<Body>,
    ) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let mut answer = handshake.accepted();
        let headers = answer.headers_mut();
        let chosen = parts.headers.get(SEC_WEBSOCKET_PROTOCOL);
        if let Some(protocol) = chosen.filter(|chosen| handshake.offers(chosen)) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
        }
        for cookie in parts.headers.get_all(SET_COOKIE) {
            headers.append(SET_COOKIE, cookie.clone());
        }
        let content_type = crate::dispatch::content_type(&parts.headers);
        let first = match self.host.whole_answer(body).await {
            Ok(data) if data.is_empty() => None,
            Ok(data) => Some(Message::of_answer(data, content_type.as_deref(), true)),
            Err(error) => return EdgeError::new(Problem::NoResponse).because(error).respond(),
        };
        if let Err(error) = self.welcome(conversation.kept(), first) {
            return EdgeError::new(Problem::NodeBusy).because(error).respond();
        }
        if let Some(answered) = parts.extensions.remove::<Answered>() {
            answer.extensions_mut().insert(answered);
        }
        let upgrade = Upgrade::new(|upgraded| Box::pin(connection::keep(conversation, upgraded)));
        answer.extensions_mut().insert(upgrade);
        answer
    }

    /// What every connection of the route begins with.
    fn welcome(
        &self,
        kept: &Kept,
        first: Option<Message>,
    ) -> Result<(), dayfly_capabilities::websocket::Error> {
        if let Some(message) = first {
            kept.hub().answer(kept.link(), message)?;
        }
        let id = kept.link().id();
        self.settings.join.iter().try_for_each(|topic| self.hub.join(&id, topic))?;
        self.hub.counts().opened.count();
        Ok(())
    }
}
