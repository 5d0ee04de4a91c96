//! Metrics for those that come and ask: a listener of its own, so that what clients reach says
//! nothing about the host, and a busy core does not keep the answer.

use std::sync::Arc;

use dayfly_telemetry::Source;
use dayfly_telemetry::metrics::text::{Format, render};
use dayfly_telemetry::metrics::{Families, collect, note_start};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::server::listen::Bound;
use crate::{
    Body, ClientBody, Connection, Handler, Outcome, ServeError, Server, ServerConfig, Shutdown,
};

/// Connections that may be open: who asks is few.
const CONNECTIONS: usize = 64;

/// A listener that answers with metrics.
pub(crate) struct Scrape {
    server: Server,
    sources: Sources,
}

/// Who has something to tell: this process, and what speaks for others.
struct Sources {
    own: Arc<dyn Source>,
    others: Option<Arc<dyn Source>>,
}

impl Scrape {
    /// Answers at these addresses, if there are any.
    pub(crate) fn on(
        bound: Vec<Bound>,
        source: Arc<dyn Source>,
    ) -> Result<Option<Self>, ServeError> {
        note_start();
        if bound.is_empty() {
            return Ok(None);
        }
        let config = ServerConfig {
            threads: 1,
            blocking_threads: 1,
            max_connections: CONNECTIONS,
            ..ServerConfig::default()
        };
        let server = Server::on(config, bound)?;
        Ok(Some(Self { server, sources: Sources { own: source, others: None } }))
    }

    /// Tells of these as well.
    pub(crate) fn tell_of(&mut self, others: Arc<dyn Source>) {
        self.sources.others = Some(others);
    }

    /// Where it listens, a line each, for people.
    pub(crate) fn describe(&self) -> Vec<String> {
        self.server.urls().map(|url| format!("{url}/metrics  (metrics)")).collect()
    }

    /// Answers until the shutdown is over.
    pub(crate) fn run(self, shutdown: Shutdown) -> Result<Outcome, ServeError> {
        let Self { server, sources } = self;
        server.run(Arc::new(Answers(sources)), shutdown)
    }
}

impl Source for Sources {
    fn collect(&self, families: &mut Families) {
        let Self { own, others } = self;
        [Some(own), others.as_ref()].into_iter().flatten().for_each(|it| it.collect(families));
    }
}

struct Answers(Sources);

impl Handler for Answers {
    async fn handle(&self, request: Request<ClientBody>, _: &Arc<Connection>) -> Response<Body> {
        if request.uri().path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read by GET\n");
        }
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let format = Format::accepted(accept.unwrap_or_default());
        let mut response = Response::new(Body::from(render(&collect(&self.0), format)));
        let content_type = HeaderValue::from_static(format.content_type());
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
