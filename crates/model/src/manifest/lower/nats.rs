//! NATS triggers.

use std::time::Duration;

use super::super::value::Node;
use super::Lowering;
use super::event::duration;
use crate::events::{NatsFrom, NatsSource, NatsStream};
use crate::template::Template;

/// The keys that only a stream has.
const OF_STREAMS: [&str; 6] = ["durable", "start", "ack_wait", "create", "batch", "batch_wait"];

/// After how long a message comes again of which nothing was heard, unless stated, and at least.
const ACK_WAIT: Duration = Duration::from_secs(30);
const LEAST_ACK_WAIT: Duration = Duration::from_secs(1);

impl Lowering<'_, '_> {
    pub(super) fn nats_source(
        &mut self,
        node: &Node,
        root: &Node,
        path: &str,
    ) -> Option<NatsSource> {
        let settings = root.get("application").and_then(|details| details.get("trigger"));
        let settings = settings.and_then(|settings| settings.get("nats"));
        let address = |node: &Node| node.get("address").cloned();
        let Some(address) = address(node).or_else(|| settings.and_then(address)) else {
            let message = format!("`{path}` has no server");
            let hint = "add `address = \"nats://…\"`, there or in `[application.trigger.nats]`";
            self.report(&node.span, message, Some(hint.to_owned()));
            return None;
        };
        let address = self.template(&address);
        let subject = match node.get("subject") {
            Some(subject) => Some(self.template(subject)?),
            None => None,
        };
        let from = match node.text("stream") {
            Some(name) => self.nats_stream((node, name), subject, root, path).map(NatsFrom::Stream),
            None => self.nats_subject(node, subject, path),
        };
        Some(NatsSource { address: address?, from: from? })
    }

    fn nats_subject(
        &mut self,
        node: &Node,
        subject: Option<Template>,
        path: &str,
    ) -> Option<NatsFrom> {
        for key in OF_STREAMS {
            if let Some(entry) = node.entry(key) {
                self.report(
                    &entry.key_span,
                    format!("`{path}.{key}` is only for a `stream`"),
                    None,
                );
            }
        }
        let Some(subject) = subject else {
            let message = format!("`{path}` does not say where messages come from");
            let hint = "write `subject`, `stream`, or both for some subjects of a stream";
            self.report(&node.span, message, Some(hint.to_owned()));
            return None;
        };
        Some(NatsFrom::Subject { subject, group: node.text("queue_group").map(str::to_owned) })
    }

    fn nats_stream(
        &mut self,
        (node, name): (&Node, &str),
        subject: Option<Template>,
        root: &Node,
        path: &str,
    ) -> Option<NatsStream> {
        if let Some(entry) = node.entry("queue_group") {
            let message = format!("`{path}.queue_group` is not for a `stream`");
            let hint = "those who share a stream's messages have the same `durable`";
            self.report(&entry.key_span, message, Some(hint.to_owned()));
        }
        let is_ordered = node.bool("ordered") == Some(true);
        if let Some(entry) = node.entry("batch").filter(|_| is_ordered) {
            let message = format!("`{path}` has both `batch` and `ordered`");
            let hint = "JetStream keeps the order only of what it gives out one by one";
            self.report(&entry.key_span, message, Some(hint.to_owned()));
        }
        let makes_it = node.bool("create").unwrap_or(false);
        if makes_it && subject.is_none() {
            let message = format!("`{path}` creates a stream of no subject");
            self.report(&node.span, message, Some("add `subject`".to_owned()));
        }
        let consumer = |node: &Node| {
            ["address", "stream", "durable"].map(|key| node.text(key).map(str::to_owned))
        };
        let all = root.get("trigger").and_then(|kinds| kinds.get("nats"));
        let mut before = all.map_or(&[][..], Node::items).iter();
        if before.any(|it| it.span.start < node.span.start && consumer(it) == consumer(node)) {
            let message = format!("`{path}` has the consumer of another trigger");
            let hint = "give it a `durable` of its own, or messages reach only one of the two";
            self.report(&node.span, message, Some(hint.to_owned()));
        }
        let ack_wait = duration(node, "ack_wait").unwrap_or(ACK_WAIT);
        if let Some(entry) = node.entry("ack_wait").filter(|_| ack_wait < LEAST_ACK_WAIT) {
            self.report(&entry.node.span, format!("`{path}.ack_wait` is less than `1s`"), None);
        }
        Some(NatsStream {
            name: name.to_owned(),
            subject,
            durable: node.text("durable").map(str::to_owned),
            from_start: node.text("start") != Some("next"),
            ack_wait,
            makes_it,
        })
    }
}
