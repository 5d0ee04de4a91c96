//! The NATS trigger: subjects, and streams of JetStream.

mod known;
mod settling;
mod stream;
mod subject;

use dayfly_capabilities::nats::headers;
use dayfly_capabilities::nats::jetstream::Consumer;
use dayfly_capabilities::nats::server::Server;
use dayfly_capabilities::nats::{Incoming, Reader, ServerError};
use dayfly_model::events::{NatsFrom, NatsSource, NatsStream, is_filter};
use dayfly_model::{EventSource, Template};

use super::SourceType;
use super::reconnect::Lost;
use crate::dispatch::ActivateError;
use crate::events::{Event, Opening, Source};
use stream::Stream;
use subject::Subject;

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "nats", open };

fn open(
    id: &str,
    source: &EventSource,
    opening: &Opening<'_>,
) -> Result<Box<dyn Source>, ActivateError> {
    let EventSource::Nats(source) = source else {
        return Err(ActivateError::Event("no NATS server".to_owned()));
    };
    let server = server(id, source, opening)?;
    let app = &opening.app.name;
    let subject = |template: &Template| {
        let subject = opening.resolve(template, "the subject of a NATS trigger")?;
        match is_filter(&subject) {
            true => Ok(subject),
            false => Err(ActivateError::Event(format!("`{subject}` is no subject of NATS"))),
        }
    };
    Ok(match &source.from {
        NatsFrom::Subject { subject: name, group } => {
            let group = group.clone().unwrap_or_else(|| without_spaces(&format!("{app}/{id}")));
            let group = Some(group).filter(|group| !group.is_empty());
            Box::new(Subject { server, subject: subject(name)?, group })
        }
        NatsFrom::Stream(NatsStream {
            name,
            subject: of,
            durable,
            from_start,
            ack_wait,
            makes_it,
        }) => {
            let consumer = Consumer {
                stream: name.clone(),
                durable: durable.clone().unwrap_or_else(|| consumer_name(app)),
                filter: of.as_ref().map(subject).transpose()?,
                from_start: *from_start,
                ack_wait: *ack_wait,
                // Until it runs.
                pending: 1,
            };
            Box::new(Stream::new(server, consumer, *makes_it))
        }
    })
}

/// The server of a trigger.
pub(crate) fn server(
    id: &str,
    source: &NatsSource,
    opening: &Opening<'_>,
) -> Result<Server, ActivateError> {
    let address = opening.resolve(&source.address, "the address of a NATS server")?;
    Server::new(&address, opening.networking())
        .map_err(|error| ActivateError::Event(format!("the address of trigger `{id}` is {error}")))
}

/// A name for a group that NATS takes.
fn without_spaces(name: &str) -> String {
    name.replace(|c: char| c.is_whitespace() || c.is_control(), "_")
}

/// A name for a consumer that NATS takes.
fn consumer_name(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

/// What is said when the server is lost.
fn lost(server: &Server) -> Lost {
    Lost { what: "NATS server", name: server.name() }
}

/// Reads a connection and does something with each message, until it breaks off.
async fn read(mut reader: Reader, mut take: impl FnMut(Incoming)) -> ServerError {
    loop {
        match reader.next().await {
            Ok(message) => take(message),
            Err(error) => return error,
        }
    }
}

/// The event that a message is which says nothing of itself.
fn plain(message: &Incoming, server: &Server, kind: &str) -> Event {
    Event { data: message.data.clone(), ..sample(server, kind, &message.subject) }
}

/// An event as those look that come from a server.
fn sample(server: &Server, kind: &str, subject: &str) -> Event {
    let mut event = Event::new(format!("/nats/{}", server.name()), kind, bytes::Bytes::new());
    event.subject = Some(subject.to_owned());
    event
}

/// The event that a message is; what its headers do not say is as in `plain`.
fn event(message: &Incoming, plain: Event) -> Event {
    Event::of_headers(headers::read(&message.headers), plain)
}
