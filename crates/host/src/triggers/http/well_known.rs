//! The paths that the host answers itself: its own health, and what Spin answers.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderValue, Response, header};

use crate::events::Sources;
use crate::{Body, error};

/// What the host tells about the app that it serves.
pub(super) struct AppFacts {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sources: Arc<Sources>,
}

/// The answer to a reserved path; `None` for every other.
pub(super) fn answer(app: &AppFacts, path: &str) -> Option<Response<Body>> {
    let path = path.strip_prefix("/.well-known/")?;
    match path {
        "dayfly/health" => Some(Response::new(Body::from(health(app)))),
        "spin/health" => Some(Response::new(Body::from("OK"))),
        "spin/info" => {
            let facts = serde_json::json!({ "name": app.name, "version": app.version });
            let mut response = Response::new(Body::from(facts.to_string()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            Some(response)
        }
        // The rest is kept for what the host may tell one day; no guest is asked.
        _ if path.starts_with("dayfly/") || path.starts_with("spin/") => Some(error::not_found()),
        _ => None,
    }
}

/// That the app is served, and which of its triggers have lost what their events come from. Those find it
/// again by themselves: starting the app again would not help, so this is no failure.
fn health(app: &AppFacts) -> String {
    let mut text = "OK".to_owned();
    for source in app.sources.now().iter().filter(|source| !source.is_connected()) {
        let _ = write!(text, "\nnot connected: {}", source.trigger());
    }
    text
}
