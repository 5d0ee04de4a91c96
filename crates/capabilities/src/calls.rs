//! Calls of guests to the host, counted and traced in one place: one line begins a call, one ends it.
//! Spans are named and described by OpenTelemetry's conventions, and hold nothing of what a guest
//! stores, asks for or sends: no keys, no values, no statements, no queries
//! (<https://opentelemetry.io/docs/specs/semconv/>).

use std::sync::Arc;

use dayfly_telemetry::trace::{Context, Kind, Remote, Span, current, known_method};
use dayfly_telemetry::{Capability, ComponentMetrics, Outcome};
use http::HeaderMap;

use crate::Grants;
use crate::rdbms::refused::Refused;
use crate::refusals::shortened;

/// One call of a capability; counted when dropped, as an error unless it is told otherwise.
#[must_use]
pub(crate) struct Call {
    metrics: Arc<ComponentMetrics>,
    capability: Capability,
    outcome: Outcome,
    /// There while traces are exported and the request's is recorded.
    span: Option<Span>,
}

impl Grants {
    /// Begins a call of `function`, which is over when it is ended or dropped. It belongs into the
    /// poll of the guest that calls: there its place in a trace is known.
    pub(crate) fn call(&self, capability: Capability, function: &'static str) -> Call {
        let span = current().and_then(|context| begin(&context, capability, function));
        self.begun(capability, span)
    }

    /// Begins a request of HTTP's method `method`. What the guest says of its own span in `headers`
    /// holds if it is of this trace; in the end they tell of the call's.
    pub(crate) fn request(&self, method: &str, headers: &mut HeaderMap) -> Call {
        let span = current().and_then(|context| begin_request(&context, method, headers));
        self.begun(Capability::Http, span)
    }

    fn begun(&self, capability: Capability, span: Option<Span>) -> Call {
        Call { metrics: self.metrics.clone(), capability, outcome: Outcome::Error, span }
    }
}

/// What a span says by the conventions: its kind, and which system is asked.
fn system(capability: Capability) -> (Kind, &'static str, &'static str) {
    match capability {
        Capability::Sqlite => (Kind::Client, "db.system.name", "sqlite"),
        Capability::Postgres => (Kind::Client, "db.system.name", "postgresql"),
        Capability::Mysql => (Kind::Client, "db.system.name", "mysql"),
        Capability::Redis => (Kind::Client, "db.system.name", "redis"),
        Capability::Mqtt => (Kind::Client, "messaging.system", "mqtt"),
        Capability::KeyValue | Capability::Llm | Capability::Http | Capability::Messaging => {
            (Kind::Client, "", "")
        }
        Capability::Variables
        | Capability::Blobstore
        | Capability::Websocket
        | Capability::Otel
        | Capability::Logging => (Kind::Internal, "", ""),
    }
}

fn begin(context: &Context, capability: Capability, function: &'static str) -> Option<Span> {
    let (kind, key, value) = system(capability);
    if !context.is_recorded() {
        return None;
    }
    let mut span = context.call(None, kind, format!("{} {function}", capability.label()))?;
    if !key.is_empty() {
        span.text(key, value);
    }
    span.text("dayfly.capability", capability.label());
    span.text("dayfly.function", function);
    Some(span)
}

fn begin_request(context: &Context, method: &str, headers: &mut HeaderMap) -> Option<Span> {
    let remote = Remote::extract(headers);
    if remote.as_ref().is_some_and(|remote| remote.trace != context.trace()) {
        // A trace of the guest's own, which goes on where the guest says.
        return describe_request(context.call(None, Kind::Client, "HTTP"), method);
    }
    let parent = remote.as_ref().map(|remote| remote.span);
    let span = context.call(parent, Kind::Client, "HTTP");
    let state = remote.as_ref().map_or(context.state(), |remote| &remote.state);
    match (&span, parent) {
        (Some(span), _) => span.context().inject_with(state, headers),
        (None, None) => context.inject(headers),
        // What the guest says is as near as can be.
        (None, Some(_)) => {}
    }
    describe_request(span, method)
}

fn describe_request(span: Option<Span>, method: &str) -> Option<Span> {
    let mut span = span?;
    span.rename(known_method(method).unwrap_or("HTTP"));
    span.text("http.request.method", known_method(method).unwrap_or("_OTHER"));
    if known_method(method).is_none() {
        span.text("http.request.method_original", shortened(method));
    }
    span.text("dayfly.capability", Capability::Http.label());
    Some(span)
}

/// The statements of SQL that a span tells of; of others it tells that there was one.
const STATEMENTS: [&str; 20] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "MERGE",
    "WITH",
    "VALUES",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "BEGIN",
    "START",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "PRAGMA",
    "EXPLAIN",
    "CALL",
];

/// What a statement of SQL does, by its first word.
fn operation(statement: &str) -> Option<&'static str> {
    let first = statement.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?;
    STATEMENTS.into_iter().find(|known| known.eq_ignore_ascii_case(first))
}

impl Call {
    /// Its span, if it is recorded.
    pub(crate) fn span(&mut self) -> Option<&mut Span> {
        self.span.as_mut()
    }

    /// Says what a statement of SQL does, but not what it is.
    pub(crate) fn of_statement(mut self, statement: &str) -> Self {
        if let Some(span) = &mut self.span
            && let Some(operation) = operation(statement)
        {
            span.rename(operation);
            span.text("db.operation.name", operation);
        }
        self
    }

    /// Says which operation of a database it is, in the database's own word for it.
    pub(crate) fn of_operation(mut self, operation: &str) -> Self {
        if let Some(span) = &mut self.span {
            span.rename(operation.to_owned());
            span.text("db.operation.name", operation);
        }
        self
    }

    /// Says which kind of database is behind it.
    pub(crate) fn of_system(mut self, system: &'static str) -> Self {
        if let Some(span) = &mut self.span {
            span.text("db.system.name", system);
        }
        self
    }

    /// Says which database or store it is, by the name that the manifest or the address has.
    pub(crate) fn of_database(mut self, name: &str) -> Self {
        if let Some(span) = &mut self.span {
            span.text("db.namespace", shortened(name));
        }
        self
    }

    /// Says which server is asked.
    pub(crate) fn at(mut self, host: &str, port: u16) -> Self {
        if let Some(span) = &mut self.span {
            span.text("server.address", shortened(host));
            span.integer("server.port", port.into());
        }
        self
    }

    /// Ends the opening of a session with a server, which says where it is.
    pub(crate) fn end_opening<S>(
        mut self,
        opened: Result<S, Refused>,
        place: impl FnOnce(&S) -> (&str, u16),
    ) -> Result<S, Refused> {
        self = match &opened {
            Ok(session) => {
                let (host, port) = place(session);
                self.at(host, port)
            }
            Err(Refused::Destination(host, port)) => self.at(host, *port),
            Err(_) => self,
        };
        self.end_with(opened, Refused::is_refusal)
    }

    /// Ends it with a result, which it gives back.
    pub(crate) fn end<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        self.end_with(result, |_| false)
    }

    /// The same; some errors are refusals.
    pub(crate) fn end_with<T, E>(
        mut self,
        result: Result<T, E>,
        is_refusal: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        self.outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(error) if is_refusal(error) => Outcome::Refused,
            Err(_) => Outcome::Error,
        };
        result
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.call(self.capability, self.outcome);
        let outcome = self.outcome;
        if let Some(span) = self.span()
            && outcome != Outcome::Ok
        {
            span.fail(outcome.label());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_of_by_its_first_word_if_that_is_known() {
        assert_eq!(operation("  select * from t"), Some("SELECT"));
        assert_eq!(operation("Insert into t values ('secret')"), Some("INSERT"));
        assert_eq!(operation("BEGIN;"), Some("BEGIN"));
        for other in ["", "secret", "/* select */", "selects", "'select'", "é"] {
            assert_eq!(operation(other), None, "{other}");
        }
    }
}
