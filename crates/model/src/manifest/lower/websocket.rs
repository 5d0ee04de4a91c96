//! Routes whose connections become WebSockets.

use std::time::Duration;

use super::super::value::{Entry, Node, Value};
use super::Lowering;
use super::event::duration;
use crate::app::{Executor, HttpTarget};
use crate::manifest::parse_size;
use crate::websocket::Websocket;

/// The largest bounds that a manifest can state, in bytes.
const MESSAGE_BYTES: u64 = 16 << 20;
const QUEUE_BYTES: u64 = 64 << 20;

/// The shortest time between two pings.
const SHORTEST: Duration = Duration::from_millis(100);

impl Lowering<'_, '_> {
    /// How the WebSockets of the route that `node` states are kept, if it has any.
    pub(super) fn websocket(
        &mut self,
        node: &Node,
        target: Option<&HttpTarget>,
        path: &str,
    ) -> Option<Websocket> {
        let entry = node.entry("websocket")?;
        if let Value::Bool(false) = entry.node.value {
            return None;
        }
        self.can_have_websockets(node, entry, target, path);
        let stated = &entry.node;
        let default = Websocket::default();
        let number = |key| stated.integer(key).and_then(|number| u32::try_from(number).ok());
        let (message, queue) = (default.message_bytes, default.queue_bytes);
        let path = format!("{path}.websocket");
        let websocket = Websocket {
            origins: stated.texts("origins"),
            join: stated.texts("join"),
            output: self.output(stated),
            connections: number("connections"),
            message_bytes: self.size(stated, "message", MESSAGE_BYTES, &path).unwrap_or(message),
            queue_bytes: self.size(stated, "queue", QUEUE_BYTES, &path).unwrap_or(queue),
            topics: number("topics").unwrap_or(default.topics),
            ping: duration(stated, "ping").unwrap_or(default.ping),
            idle: duration(stated, "idle").unwrap_or(default.idle),
        };
        self.fits(&websocket, entry, &path);
        Some(websocket)
    }

    fn can_have_websockets(
        &mut self,
        node: &Node,
        entry: &Entry,
        target: Option<&HttpTarget>,
        path: &str,
    ) {
        let why = match target {
            Some(HttpTarget::Static(_) | HttpTarget::Queue(_)) => {
                "no component that their messages could wake"
            }
            Some(HttpTarget::Component { executor: Executor::Wagi { .. }, .. }) => {
                "an executor, which calls by CGI; commands take messages without one"
            }
            _ if matches!(node.get("route"), Some(Node { value: Value::Table(_), .. })) => {
                "a private route, which no client reaches"
            }
            _ => return,
        };
        let message = format!("`{path}` has WebSockets, but {why}");
        self.report(&entry.key_span, message, None);
    }

    fn size(&mut self, node: &Node, key: &str, most: u64, path: &str) -> Option<u64> {
        let entry = node.entry(key)?;
        let bytes = parse_size(entry.node.as_text()?).ok()?;
        if bytes == 0 || bytes > most {
            let message = format!("`{path}.{key}` is not between 1B and {}MiB", most >> 20);
            self.report(&entry.node.span, message, None);
        }
        Some(bytes)
    }

    fn fits(&mut self, websocket: &Websocket, entry: &Entry, path: &str) {
        let Websocket { join, topics, ping, idle, .. } = websocket;
        if join.len() > *topics as usize {
            let message = format!("`{path}.join` has more than the {topics} of `{path}.topics`");
            self.report(&entry.key_span, message, None);
        }
        if *ping < SHORTEST {
            let message = format!("`{path}.ping` is shorter than {SHORTEST:?}");
            self.report(&entry.key_span, message, None);
        }
        if idle <= ping {
            let message = format!("`{path}.idle` is not longer than its `ping`");
            let hint = "a client must have time to answer a ping";
            self.report(&entry.key_span, message, Some(hint.to_owned()));
        }
    }
}
