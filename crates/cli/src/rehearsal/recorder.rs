//! What happens around an app while it is tested: its log, what leaves it, and who answers that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use dayfly_capabilities::Rehearsal;
use dayfly_capabilities::queue::Content;
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind};
use dayfly_model::OutboundHosts;
use dayfly_model::test_file::{Asked, HttpFake, Matcher};
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::{content, matching};

/// How many lines, requests and answers are kept.
const KEPT: usize = 10_000;

/// Of one test.
pub(super) struct Recorder {
    real: OutboundHosts,
    answers: Vec<Answer>,
    seen: Mutex<Seen>,
}

/// What answers a request that leaves the app.
struct Answer {
    request: Asked,
    body: Option<Matcher>,
    response: Response<Bytes>,
}

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    requests: Vec<Left>,
    outputs: Vec<(String, Content)>,
}

/// A request that left the app.
#[derive(Clone)]
pub(super) struct Left {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// How much was seen at some time.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    lines: usize,
    requests: usize,
    outputs: usize,
}

impl Recorder {
    /// # Errors
    /// If an answer is in a file that cannot be read.
    pub(super) fn new(real: OutboundHosts, fakes: &[HttpFake]) -> Result<Self> {
        let answers = fakes.iter().map(Answer::new).collect::<Result<_>>()?;
        Ok(Self { real, answers, seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line of the log.
    pub(super) fn note(&self, line: String) {
        let lines = &mut self.seen().lines;
        if lines.len() < KEPT {
            lines.push(line);
        }
    }

    /// How much was seen by now.
    pub(super) fn mark(&self) -> Mark {
        let Seen { lines, requests, outputs } = &*self.seen();
        Mark { lines: lines.len(), requests: requests.len(), outputs: outputs.len() }
    }

    /// All lines, each behind its component.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().lines.clone()
    }

    /// What components logged since then, without their names.
    pub(super) fn log(&self, since: Mark) -> String {
        let seen = self.seen();
        let lines = seen.lines[since.lines..].iter();
        let said = lines.map(|line| line.split_once(" | ").map_or(&**line, |(_, said)| said));
        said.map(|line| format!("{line}\n")).collect()
    }

    /// The requests that left the app since then.
    pub(super) fn requests(&self, since: Mark) -> Vec<Left> {
        self.seen().requests[since.requests..].to_vec()
    }

    /// The answers that were passed on since then.
    pub(super) fn outputs(&self, since: Mark) -> Vec<(String, Content)> {
        self.seen().outputs[since.outputs..].to_vec()
    }
}

impl Rehearsal for Recorder {
    fn real(&self) -> &OutboundHosts {
        &self.real
    }

    fn kept_in(&self, component: &str, destination: &str) {
        self.note(format!(
            "{component} | dayfly test kept this in: `setup.real` does not name {destination}, and no \
             `setup.http` answers for it"
        ));
    }

    fn answer(&self, _: &str, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let (method, url) = (request.method().clone(), request.uri().to_string());
        let found = self.answers.iter().find(|answer| {
            let body = answer.body.as_ref();
            matches(&answer.request, &method, &url)
                && body.is_none_or(|body| matching::fits(body, Some(&request.body()[..])))
        });
        let requests = &mut self.seen().requests;
        if requests.len() < KEPT {
            let (headers, body) = (request.headers().clone(), request.body().clone());
            requests.push(Left { method, url, headers, body });
        }
        found.map(|answer| answer.response.clone())
    }

    fn passed_on(&self, output: &str, answer: &Content) {
        let outputs = &mut self.seen().outputs;
        if outputs.len() < KEPT {
            outputs.push((output.to_owned(), answer.clone()));
        }
    }
}

impl Answer {
    fn new(fake: &HttpFake) -> Result<Self> {
        let body = fake.response.body.as_ref().map(content::bytes).transpose()?;
        let mut response = Response::new(Bytes::from(body.unwrap_or_default()));
        *response.status_mut() = StatusCode::from_u16(fake.response.status)?;
        for (name, value) in &fake.response.headers {
            let name: http::HeaderName = name.parse()?;
            response.headers_mut().append(name, value.parse()?);
        }
        Ok(Self { request: fake.request.clone(), body: fake.body.clone(), response })
    }
}

/// Whether a request is one of those that are meant.
pub(super) fn matches(asked: &Asked, method: &Method, url: &str) -> bool {
    let is_method = asked.method.as_deref().is_none_or(|asked| method == asked);
    is_method && is_like(&asked.url, url)
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The log of a component.
pub(super) struct Lines {
    pub(super) component: String,
    pub(super) seen: Arc<Recorder>,
}

impl LogSink for Lines {
    fn line(&self, _: OutputKind, line: &str) {
        self.seen.note(format!("{} | {line}", self.component));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("http://a/b", "http://a/b"),
            ("http://a/*", "http://a/"),
            ("http://a/*", "http://a/b?c=d"),
            ("http://*/b", "http://a.example:80/b"),
            ("http://*/b/*d", "http://a/b/b/cd"),
        ] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("http://a/b", "http://a/bc"),
            ("http://a/*", "http://b/"),
            ("http://*/b", "http://a/bc"),
            ("ab*bc", "abc"),
        ] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}
