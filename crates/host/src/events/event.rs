//! An event in the terms of CloudEvents 1.0, and as the HTTP request that its HTTP protocol binding
//! makes of it in binary mode.

use std::time::SystemTime;

use bytes::Bytes;
use dayfly_capabilities::Behind;
use dayfly_capabilities::queue::{Content, HOPS};
use dayfly_capabilities::redis::note::Note;
use dayfly_telemetry::trace::{Context, TRACEPARENT, TRACESTATE};
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use wasmtime_wasi_http::{Error, WasiBody};

/// The version of CloudEvents.
const VERSION: &str = "1.0";

/// What the HTTP binding (3.1.3.2) wants escaped in a header beside what is not ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// How many further attributes an event may have, and how long their values may be, in bytes.
const EXTENSIONS: usize = 64;
const VALUE_BYTES: usize = 4096;

/// Names that mean something by themselves.
const RESERVED: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    HOPS,
];

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Distinct among the events of its source.
    pub(crate) id: String,
    /// Where it comes from, a URI or a part of one.
    pub(crate) source: String,
    /// What has happened, `dayfly.redis.message` for example.
    pub(crate) kind: String,
    /// What it is about: a channel, a key.
    pub(crate) subject: Option<String>,
    /// When it happened, or was taken in.
    pub(crate) time: SystemTime,
    /// The media type of its data.
    pub(crate) content_type: Option<String>,
    /// Further attributes, their names in lower case.
    pub(crate) extensions: Vec<(String, String)>,
    /// Headers of the request that it comes of, for HTTP handlers and commands; none is kept with it.
    pub(crate) headers: HeaderMap,
    /// What it carries.
    pub(crate) data: Bytes,
    /// How many steps of a topology lie behind it.
    pub(crate) hops: u32,
    /// Whether it is several events, which are its data.
    pub(crate) is_batch: bool,
}

impl Event {
    /// An event with an id of its own that happens now.
    pub(crate) fn new(source: impl Into<String>, kind: &str, data: Bytes) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            source: source.into(),
            kind: kind.to_owned(),
            subject: None,
            time: SystemTime::now(),
            content_type: None,
            extensions: Vec::new(),
            headers: HeaderMap::new(),
            data,
            hops: 0,
            is_batch: false,
        }
    }

    /// Its attributes, the media type aside, with the names that CloudEvents has for them.
    pub(crate) fn attributes(&self) -> Vec<(&str, String)> {
        let mut attributes = vec![
            ("specversion", VERSION.to_owned()),
            ("id", self.id.clone()),
            ("source", self.source.clone()),
            ("type", self.kind.clone()),
            ("time", chrono::DateTime::<chrono::Utc>::from(self.time).to_rfc3339()),
        ];
        attributes.extend(self.subject.clone().map(|subject| ("subject", subject)));
        if self.hops > 0 {
            attributes.push((HOPS, self.hops.to_string()));
        }
        let extensions = self.extensions.iter();
        attributes.extend(extensions.map(|(name, value)| (name.as_str(), value.clone())));
        attributes
    }

    /// Its headers: the attributes, each behind `ce-`, and the media type.
    pub(crate) fn own_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let attributes = if self.is_batch { Vec::new() } else { self.attributes() };
        for (name, value) in attributes {
            let escaped = utf8_percent_encode(&value, ESCAPED).to_string();
            let named = HeaderName::try_from(format!("ce-{name}"));
            if let (Ok(name), Ok(value)) = (named, HeaderValue::try_from(escaped)) {
                headers.insert(name, value);
            }
        }
        let content_type = self.content_type.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(content_type)) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers
    }

    /// Its place in a trace, as the headers of W3C's trace context: two attributes hold it
    /// (CloudEvents' distributed tracing extension).
    pub(crate) fn trace(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in [TRACEPARENT, TRACESTATE] {
            let held = self.extensions.iter().find(|(held, _)| held == name.as_str());
            if let Some(Ok(value)) = held.map(|(_, value)| HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Gives it a place in a trace.
    pub(crate) fn set_trace(&mut self, place: &Context) {
        let mut headers = HeaderMap::new();
        place.inject(&mut headers);
        for (name, value) in &headers {
            self.extensions.retain(|(held, _)| held != name.as_str());
            if let Ok(value) = value.to_str() {
                self.extensions.push((name.as_str().to_owned(), value.to_owned()));
            }
        }
    }

    /// What leads to its handler.
    pub(crate) const fn behind(&self) -> Behind {
        Behind { depth: 0, hops: self.hops.saturating_add(1), cpu: None }
    }

    /// What lies behind it, for where it goes as its data alone.
    pub(crate) fn note(&self) -> Note {
        Note::new(self.hops, &self.extensions)
    }

    /// Gives it what is known to lie behind it: at least so many steps, and the trace if it says none itself.
    pub(crate) fn recall(&mut self, Note { steps, trace }: Note) {
        self.hops = self.hops.max(steps);
        trace.into_iter().for_each(|(name, value)| self.extend(name, value));
    }

    /// What is kept of it.
    pub(crate) fn content(&self) -> Content {
        let attributes = self.attributes().into_iter();
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
        Content { attributes, content_type: self.content_type.clone(), data: self.data.clone() }
    }

    /// The event of which this was kept; what it does not say is as in `default`.
    pub(crate) fn of_content(content: Content, default: Self) -> Self {
        let Content { attributes, content_type, data } = content;
        let mut event = Self { content_type, data, ..default };
        for (name, value) in attributes {
            match name.as_str() {
                "specversion" => {}
                "id" => event.id = value,
                "source" => event.source = value,
                "type" => event.kind = value,
                "subject" => event.subject = Some(value),
                "time" => {
                    let time = chrono::DateTime::parse_from_rfc3339(&value);
                    event.time = time.map_or(event.time, Into::into);
                }
                // Whoever says it twice says the higher one.
                HOPS => event.hops = value.parse().map_or(event.hops, |it: u32| it.max(event.hops)),
                _ => event.extend(name, value),
            }
        }
        event
    }

    /// The event that a message with these headers is: one of CloudEvents in binary mode, by the rules
    /// of their HTTP binding, or `default` with what else the headers say.
    pub(crate) fn of_headers(headers: Vec<(String, String)>, default: Self) -> Self {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        let mut content_type = None;
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("ce-") {
                Some(name) => {
                    let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
                    own.push((name.to_owned(), value));
                }
                None if name == CONTENT_TYPE.as_str() => content_type = Some(value),
                None => others.push((name, value)),
            }
        }
        let mut event = Self::of_attributes(own, content_type, default);
        others.into_iter().for_each(|(name, value)| event.extend(name, value));
        event
    }

    /// The event that a message with these attributes is: the one that they describe if they do, else
    /// `default` with what they say besides.
    pub(crate) fn of_attributes(
        mut attributes: Vec<(String, String)>,
        content_type: Option<String>,
        default: Self,
    ) -> Self {
        let is_whole = ["specversion", "id", "source", "type"].iter().all(|needed| {
            attributes.iter().any(|(name, value)| name == needed && !value.is_empty())
        });
        if !is_whole {
            attributes.retain(|(name, _)| name == HOPS || !RESERVED.contains(&&**name));
        }
        let content_type = content_type.or(default.content_type.clone());
        let content = Content { attributes, content_type, data: default.data.clone() };
        Self::of_content(content, default)
    }

    /// Adds an attribute that its source has, if it may be one.
    pub(crate) fn extend(&mut self, name: String, value: String) {
        let is_legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_name = !name.is_empty() && name.len() <= 64 && name.bytes().all(is_legal);
        let is_new = !self.extensions.iter().any(|(held, _)| *held == name);
        let is_room = self.extensions.len() < EXTENSIONS && value.len() <= VALUE_BYTES;
        if is_name && is_new && is_room && !RESERVED.contains(&&*name) {
            self.extensions.push((name, value));
        }
    }

    /// It as a request to its handler.
    pub(crate) fn request(&self) -> Request<WasiBody> {
        let body = Full::new(self.data.clone()).map_err(Error::from).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.extend(self.own_headers());
        headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_event_makes_it_again() {
        let mut event = Event::new("/a", "dayfly.test", "data".into());
        event.subject = Some("s".to_owned());
        event.hops = 3;
        event.content_type = Some("a/b".to_owned());
        event.extensions.push(("key".to_owned(), "value".to_owned()));
        let again = Event::of_content(event.content(), Event::new("/b", "other", Bytes::new()));
        assert_eq!(again.attributes(), event.attributes());
        assert_eq!((again.data, again.content_type), (event.data, event.content_type));
    }

    fn of(headers: &[(&str, &str)]) -> Event {
        let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Event::of_headers(owned.collect(), Event::new("/a", "dayfly.test", "data".into()))
    }

    #[test]
    fn headers_make_an_event_again() {
        let mut event = Event::new("/a b", "other", "data".into());
        event.subject = Some("größer %".to_owned());
        event.hops = 3;
        event.content_type = Some("a/b".to_owned());
        event.extensions.push(("traceparent".to_owned(), "00-1-2-00".to_owned()));
        let headers = event.own_headers();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let again = of(&headers);
        assert_eq!(again.attributes(), event.attributes());
        assert_eq!((again.data, again.content_type), (event.data, event.content_type));
    }

    #[test]
    fn headers_that_are_no_event_change_nothing_that_is_the_hosts() {
        let event = of(&[
            ("ce-id", "mine"),
            ("ce-type", "t"),
            ("Ce-DayflyHops", "7"),
            ("id", "1"),
            ("Key", "v"),
        ]);
        assert_ne!(event.id, "mine");
        assert_eq!((&*event.kind, &*event.source, event.hops), ("dayfly.test", "/a", 7));
        assert_eq!(event.extensions, [("key".to_owned(), "v".to_owned())]);
    }

    #[test]
    fn attributes_become_headers_that_any_server_takes() {
        let mut event = Event::new("/a b", "dayfly.test", "data".into());
        event.subject = Some("50 % \"größer\"\n".to_owned());
        event.content_type = Some("text/plain".to_owned());
        event.extensions.push(("key".to_owned(), "value".to_owned()));
        event.hops = 2;
        let headers = event.own_headers();
        assert_eq!(headers["ce-specversion"], "1.0");
        assert_eq!(headers["ce-source"], "/a%20b");
        assert_eq!(headers["ce-subject"], "50%20%25%20%22gr%C3%B6%C3%9Fer%22%0A");
        assert_eq!(headers["ce-key"], "value");
        assert_eq!(headers["ce-dayflyhops"], "2");
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(event.request().method(), Method::POST);
    }
}
