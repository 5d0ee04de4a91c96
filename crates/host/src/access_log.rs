//! The access log: one `tracing` event a request, at level `info` and target `dayfly::access`,
//! written when the last byte of the answer was handed over or the client left.
//!
//! The query is left out on purpose: clients put tokens and names there, and a log is kept longer
//! than a request. When nobody listens to the target, a request pays one relaxed load.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response};

use crate::body::{BoxError, is_bodiless};
use crate::error::{ErrorId, Fault, one_line};
use crate::guest_log::printable;
use crate::server::connection::Connection;

/// The target of the access log's events.
pub const TARGET: &str = "dayfly::access";

/// Who answered a request: a response extension by which a handler tells the access log.
///
/// An extension costs three allocations, so attach one only through [`Answered::attach`].
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// The component that answered.
    pub component: Option<Arc<str>>,
    /// The id in the answer, if the answer is an error of the edge.
    pub error_id: Option<ErrorId>,
    /// Whose fault, if the answer is an error of the edge.
    pub fault: Option<Fault>,
}

impl Answered {
    /// Tells the access log which component answered, unless nobody reads the log or the response
    /// says it already.
    pub fn attach<B>(response: &mut Response<B>, component: &Arc<str>) {
        if !enabled() {
            return;
        }
        let extensions = response.extensions_mut();
        let answered = extensions.get_or_insert_default::<Self>();
        if answered.component.is_none() {
            answered.component = Some(component.clone());
        }
    }
}

/// A response extension: no line is written here. Another process writes it, or nobody is to read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unlogged;

/// Whether anybody listens to the access log.
#[inline]
pub fn enabled() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// What the log line of a request in progress will say; written when dropped.
pub(crate) struct Record {
    began: Instant,
    connection: Arc<Connection>,
    method: Method,
    path: Box<str>,
    status: Option<u16>,
    bytes: u64,
    /// How many bytes `Content-Length` promises: nobody asks for more once they are there.
    promised: Option<u64>,
    complete: bool,
    failure: Option<String>,
    answered: Answered,
    is_elsewhere: bool,
}

impl Record {
    /// Begins a record if anybody listens.
    #[inline]
    pub(crate) fn begin<B>(
        request: &Request<B>,
        connection: &Arc<Connection>,
    ) -> Option<Box<Self>> {
        enabled().then(|| {
            Box::new(Self {
                began: Instant::now(),
                connection: connection.clone(),
                method: request.method().clone(),
                path: request.uri().path().into(),
                status: None,
                bytes: 0,
                promised: None,
                complete: false,
                failure: None,
                answered: Answered::default(),
                is_elsewhere: false,
            })
        })
    }

    /// Notes the head of the answer.
    pub(crate) fn answered<B: http_body::Body>(&mut self, response: &mut Response<B>) {
        self.status = Some(response.status().as_u16());
        // Where nobody takes a body, it is all there.
        self.complete = is_bodiless(response.status())
            || self.method == Method::HEAD
            || response.body().is_end_stream();
        let length = response.headers().get(http::header::CONTENT_LENGTH);
        self.promised = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if let Some(answered) = response.extensions_mut().remove() {
            self.answered = answered;
        }
        self.is_elsewhere = response.extensions().get::<Unlogged>().is_some();
    }

    /// Notes a piece of the answer's body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.complete |= self.promised == Some(self.bytes);
    }

    /// Notes that the answer's body broke off.
    pub(crate) fn failed(&mut self, error: &BoxError) {
        self.failure = Some(one_line(&error.to_string()));
    }

    /// Notes that the answer's body came to its end.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.is_elsewhere {
            return;
        }
        let micros = self.began.elapsed().as_micros();
        // As many servers do, 499 stands for a client that left before there was a status.
        tracing::info!(
            target: TARGET,
            method = %self.method,
            // Not all that a target may hold is harmless on a terminal.
            path = %printable(&self.path),
            status = self.status.unwrap_or(499),
            duration_us = u64::try_from(micros).unwrap_or(u64::MAX),
            bytes = self.bytes,
            complete = self.complete,
            failure = self.failure.as_deref(),
            component = self.answered.component.as_deref(),
            error_id = self.answered.error_id.map(tracing::field::display),
            fault = self.answered.fault.map(Fault::label),
            peer = %self.connection.peer,
            protocol = self.connection.protocol.label(),
        );
    }
}
