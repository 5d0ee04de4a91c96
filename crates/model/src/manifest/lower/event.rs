//! Triggers whose events are delivered one by one.

use std::time::Duration;

use super::super::measures::parse_duration;
use super::super::value::{Node, Value};
use super::Lowering;
use crate::events::{
    Batch, CronSource, Delivery, EventSource, EventTrigger, MqttSource, Order, Output, RedisFrom,
    RedisSource, Retry, Schedule,
};
use crate::template::Template;

/// The keys that say where a Redis trigger's messages come from.
const REDIS_FROM: [&str; 4] = ["channel", "pattern", "queue", "stream"];

/// How long the first event of a batch waits for others, unless that is stated.
const BATCH_WAIT: Duration = Duration::from_millis(100);

/// How many batches are handled at once, unless that is stated.
const BATCHES: u32 = 4;

impl Lowering<'_, '_> {
    /// What a trigger of some kind listens to: `None` for kinds that are none of ours, `Some(None)`
    /// for what was reported.
    pub(super) fn event_source(
        &mut self,
        kind: &str,
        node: &Node,
        root: &Node,
        path: &str,
    ) -> Option<Option<EventSource>> {
        match kind {
            "redis" => Some(self.redis_source(node, root, path).map(EventSource::Redis)),
            "mqtt" => Some(self.mqtt_source(node, root, path).map(EventSource::Mqtt)),
            "nats" => Some(self.nats_source(node, root, path).map(EventSource::Nats)),
            "cron" => Some(self.cron_source(node).map(EventSource::Cron)),
            "queue" => Some(node.text("queue").map(|name| EventSource::Queue(name.to_owned()))),
            _ => None,
        }
    }

    pub(super) fn event_trigger(
        &mut self,
        source: EventSource,
        node: &Node,
        id: &str,
        path: &str,
    ) -> Option<EventTrigger> {
        let handler = node.get("component")?;
        let component = self.handler(handler, id, true, &format!("{path}.component"))?;
        let output = self.output(node);
        self.is_no_batch_by_key(node, path);
        Some(EventTrigger { component, source, delivery: delivery(node), output })
    }

    /// Where the answers of a trigger's handler go.
    pub(super) fn output(&mut self, node: &Node) -> Option<Output> {
        let entry = node.entry("output")?;
        let output = Output::parse(entry.node.as_text()?).ok()?;
        if let Output::Component(id) = &output {
            self.reference(&id.0, &entry.node.span);
        }
        Some(output)
    }

    /// What is handed over together cannot wait for one another.
    fn is_no_batch_by_key(&mut self, node: &Node, path: &str) {
        let by_key = node.text("ordered").is_some();
        if let Some(batch) = node.entry("batch").filter(|_| by_key) {
            let message = format!("`{path}` has both `batch` and a key of its order");
            let hint = "remove one of them, or write `ordered = true`";
            self.report(&batch.key_span, message, Some(hint.to_owned()));
        }
        if let Some(wait) = node.entry("batch_wait").filter(|_| node.get("batch").is_none()) {
            let message = format!("`{path}.batch_wait` means nothing without `batch`");
            self.report(&wait.key_span, message, None);
        }
    }

    fn redis_source(&mut self, node: &Node, root: &Node, path: &str) -> Option<RedisSource> {
        let settings = root.get("application").and_then(|details| details.get("trigger"));
        let settings = settings.and_then(|settings| settings.get("redis"));
        let Some(address) =
            node.get("address").or_else(|| settings.and_then(|settings| settings.get("address")))
        else {
            let message = format!("`{path}` has no server");
            let hint = "add `address = \"redis://…\"`, there or in `[application.trigger.redis]`";
            self.report(&node.span, message, Some(hint.to_owned()));
            return None;
        };
        let address = self.template(address);
        let stated: Vec<_> = REDIS_FROM.iter().filter_map(|key| node.entry(key)).collect();
        let [from] = stated[..] else {
            let (span, message) = match stated.get(1) {
                Some(second) => (
                    &second.key_span,
                    format!("`{path}` has both `{}` and `{}`", stated[0].key, second.key),
                ),
                None => (&node.span, format!("`{path}` does not say where messages come from")),
            };
            let hint = "write one of `channel`, `pattern`, `queue` and `stream`";
            self.report(span, message, Some(hint.to_owned()));
            return None;
        };
        for key in ["group", "start"] {
            if let Some(entry) = node.entry(key).filter(|_| from.key != "stream") {
                let message = format!("`{path}.{key}` is only for a `stream`");
                self.report(&entry.key_span, message, None);
            }
        }
        for key in ["batch", "batch_wait"] {
            let is_published = ["channel", "pattern"].contains(&from.key.as_str());
            if let Some(entry) = node.entry(key).filter(|_| is_published) {
                let message = format!("`{path}.{key}` is only for a `queue` or a `stream`");
                self.report(&entry.key_span, message, None);
            }
        }
        let name: Template = self.template(&from.node)?;
        let from = match from.key.as_str() {
            "channel" => RedisFrom::Channel(name),
            "pattern" => RedisFrom::Pattern(name),
            "queue" => RedisFrom::Queue(name),
            _ => RedisFrom::Stream {
                key: name,
                group: node.text("group").map(str::to_owned),
                from_start: node.text("start") != Some("next"),
            },
        };
        Some(RedisSource { address: address?, from })
    }

    fn mqtt_source(&mut self, node: &Node, root: &Node, path: &str) -> Option<MqttSource> {
        let settings = root.get("application").and_then(|details| details.get("trigger"));
        let settings = settings.and_then(|settings| settings.get("mqtt"));
        let setting = |key| settings.and_then(|settings| settings.get(key));
        let Some(address) = node.get("address").or_else(|| setting("address")) else {
            let message = format!("`{path}` has no broker");
            let hint = "add `address = \"mqtt://…\"` to `[application.trigger.mqtt]`";
            self.report(&node.span, message, Some(hint.to_owned()));
            return None;
        };
        let keep_alive = setting("keep_alive_interval").and_then(number).unwrap_or(30);
        let mut text = |key| setting(key).map_or(Some(Template::default()), |it| self.template(it));
        let (username, password) = (text("username"), text("password"));
        Some(MqttSource {
            address: self.template(address)?,
            username: username?,
            password: password?,
            topic: self.template(node.get("topic")?)?,
            quality: node.get("qos").and_then(number).unwrap_or(1),
            keep_alive,
        })
    }

    fn cron_source(&mut self, node: &Node) -> Option<CronSource> {
        // What cannot be read was reported.
        let schedule = Schedule::parse(node.text("cron_expression")?, node.text("time_zone"));
        Some(CronSource {
            schedule: schedule.ok()?,
            jitter: duration(node, "jitter").unwrap_or_default(),
            makes_up: node.text("missed") == Some("once"),
            overlaps: node.bool("overlap").unwrap_or(false),
        })
    }
}

fn delivery(node: &Node) -> Delivery {
    let default = Delivery::default();
    let order = match node.text("ordered") {
        Some(pointer) if pointer.starts_with('/') => Order::Pointer(pointer.to_owned()),
        Some(attribute) => Order::Attribute(attribute.to_owned()),
        None if node.bool("ordered") == Some(true) => Order::All,
        None => Order::None,
    };
    let most = node.integer("batch").and_then(|number| u32::try_from(number).ok());
    let wait = duration(node, "batch_wait").unwrap_or(BATCH_WAIT);
    let batch = most.map(|most| Batch { most, wait });
    let stated = node.integer("concurrency").and_then(|number| u32::try_from(number).ok());
    let mut retry = Retry::default();
    if let Some(table) = node.get("retry") {
        let attempts = table.integer("attempts").and_then(|number| u32::try_from(number).ok());
        retry.attempts = attempts.unwrap_or(retry.attempts);
        retry.delay = duration(table, "delay").unwrap_or(retry.delay);
        retry.max_delay = duration(table, "max_delay").unwrap_or(retry.max_delay).max(retry.delay);
    }
    let usual = if batch.is_some() { BATCHES } else { default.concurrency };
    let concurrency = if order == Order::All { 1 } else { stated.unwrap_or(usual) };
    Delivery { concurrency, order, batch, retry }
}

/// A number, as one or as text: Spin's plugins have text.
fn number<N: TryFrom<i64> + std::str::FromStr>(node: &Node) -> Option<N> {
    match &node.value {
        Value::Integer(number) => N::try_from(*number).ok(),
        _ => node.as_text()?.parse().ok(),
    }
}

pub(super) fn duration(node: &Node, key: &str) -> Option<Duration> {
    parse_duration(node.text(key)?).ok()
}
