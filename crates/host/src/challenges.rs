//! What certificate authorities ask hosts for, to see that they are led here (RFC 8555, section 8.3):
//! answered before any app sees it, as long as a certificate is ordered. Whoever orders it sets the table.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};

use crate::Body;

/// The folder of the answers.
const PATH: &str = "/.well-known/acme-challenge/";

/// Whether a request is of this kind.
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with(PATH)
}

/// Answers by host and token, as a node has them now. Clones are the same.
#[derive(Clone, Default)]
pub struct Challenges(Arc<ArcSwap<HashMap<(String, String), String>>>);

impl Challenges {
    /// Gives these answers from now on, each by a host in lower case and the last part of the path.
    pub fn set(&self, answers: HashMap<(String, String), String>) {
        self.0.store(Arc::new(answers));
    }

    /// The answer to a request for a host, if it is asked for one that there is.
    pub(crate) fn answer<B>(&self, host: &str, request: &Request<B>) -> Option<Response<Body>> {
        let token = request.uri().path().strip_prefix(PATH)?;
        let table = self.0.load();
        if table.is_empty() || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let answer = table.get(&(host.to_owned(), token.to_owned()))?;
        let mut response = Response::new(Body::from(answer.clone()));
        let content_type = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_set_is_answered_and_by_its_host() {
        let challenges = Challenges::default();
        let ask = |method: Method, host: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            challenges.answer(host, &request).is_some()
        };
        let path = format!("{PATH}token");
        assert!(!ask(Method::GET, "a.example", &path));
        let key = ("a.example".to_owned(), "token".to_owned());
        challenges.set(HashMap::from([(key, "answer".to_owned())]));
        assert!(ask(Method::GET, "a.example", &path) && ask(Method::HEAD, "a.example", &path));
        assert!(!ask(Method::POST, "a.example", &path), "an app may want it");
        assert!(!ask(Method::GET, "b.example", &path), "it is another host's");
        assert!(!ask(Method::GET, "a.example", &format!("{path}/..")));
        challenges.set(HashMap::new());
        assert!(!ask(Method::GET, "a.example", &path));
    }
}
