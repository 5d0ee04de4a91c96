//! The triggers' keys.

use super::super::form::{Form, Key, Table};
use super::super::formats;
use super::component::{COMPONENT, MIDDLEWARE};
use super::{TEXT, text};

pub(super) static TRIGGERS: Table = Table::new(
    "trigger",
    "The sources of events, as lists by kind.",
    &[
        Key::new("http", Form::List(&Form::Table(&HTTP_TRIGGER)), "HTTP requests, by route."),
        Key::new("redis", Form::List(&Form::Table(&REDIS_TRIGGER)), "Messages of a Redis server."),
        Key::new("mqtt", Form::List(&Form::Table(&MQTT_TRIGGER)), "Messages of an MQTT broker."),
        Key::new("nats", Form::List(&Form::Table(&NATS_TRIGGER)), "Messages of a NATS server.")
            .dayfly(),
        Key::new("cron", Form::List(&Form::Table(&CRON_TRIGGER)), "Events at times of a schedule."),
        Key::new(
            "queue",
            Form::List(&Form::Table(&QUEUE_TRIGGER)),
            "Messages of a queue that Dayfly itself keeps.",
        )
        .dayfly(),
        Key::new(
            "command",
            Form::List(&Form::Table(&COMMAND_TRIGGER)),
            "Commands that run once, when the app starts.",
        ),
    ],
)
.others(&formats::TRIGGER_KIND, &Form::List(&Form::Table(&OTHER_TRIGGER)));

/// A component by its id, or written out in place.
const HANDLER: Form = Form::OneOf(&[Form::Text(&formats::COMPONENT_ID), Form::Table(&COMPONENT)]);
const HANDLERS: Form = Form::OneOf(&[
    Form::Text(&formats::COMPONENT_ID),
    Form::Table(&COMPONENT),
    Form::List(&HANDLER),
]);

const BATCH: Key = Key::new(
    "batch",
    Form::Integer { min: 1, max: 1000 },
    "How many events are handed over together at most.",
)
.default("each by itself")
.dayfly();
const BATCH_WAIT: Key = Key::new(
    "batch_wait",
    text(&formats::DURATION),
    "How long the first event of a batch waits for others.",
)
.default("100ms")
.dayfly();

const TEMPLATE: Form = Form::Text(&formats::TEMPLATE);

const ID: Key = Key::new("id", TEXT, "A name for the trigger.");

pub(in super::super) static HTTP_TRIGGER: Table = Table::new(
    "HTTP trigger",
    "A route and what answers on it: a component or a fixed response.",
    &[
        ID,
        Key::new("route", Form::OneOf(&[Form::Text(&formats::ROUTE), Form::Table(&PRIVATE)]), "The paths that it answers on, or `{ private = true }` for calls from other components only.").required(),
        Key::new("component", HANDLER, "The component that answers, by id or written out."),
        Key::new("static_response", Form::Table(&STATIC_RESPONSE), "A fixed response, in place of a component."),
        Key::new("queue", text(&formats::QUEUE), "A queue of the app's own that the bodies of requests are put into, in place of a component.").dayfly(),
        Key::new("executor", EXECUTOR, "How the component takes the request.").default("as its exports say"),
        Key::new("websocket", WEBSOCKET, "Whether its connections become WebSockets, each message of which wakes the component; a table says how they are kept.").default("false").dayfly(),
        Key::new("components", Form::Table(&HTTP_COMPONENTS), "Other components of the route."),
        Key::new("dependencies", Form::Table(&HTTP_DEPENDENCIES), "Other components of the route, from elsewhere."),
    ],
);

const WEBSOCKET: Form = Form::OneOf(&[Form::Bool, Form::Table(&WEBSOCKET_TABLE)]);

static WEBSOCKET_TABLE: Table = Table::new(
    "WebSockets",
    "How the WebSockets of a route are kept.",
    &[
        Key::new("origins", Form::List(&Form::Text(&formats::ORIGIN)), "The origins whose pages may connect beside those of the same host; `*` stands for all. Clients that are no browsers send none, and may.").default("those of the same host"),
        Key::new("join", Form::List(&Form::Text(&formats::TOPIC)), "Topics that each connection joins by itself."),
        Key::new("output", text(&formats::OUTPUT), "Where the handler's answers to messages go, in place of the connection."),
        Key::new("connections", Form::Integer { min: 1, max: 1_000_000 }, "Connections of the route at once; more are answered by 429.").default("as many as `--max-websockets`"),
        Key::new("message", text(&formats::SIZE), "The longest message that a client sends, up to 16MiB. A longer one closes its connection, with 1009.").default("128KiB"),
        Key::new("queue", text(&formats::SIZE), "What may wait for a client to take it, up to 64MiB. What is published to a client that is that slow closes its connection, with 1013.").default("1MiB"),
        Key::new("topics", Form::Integer { min: 1, max: 10_000 }, "Topics that one connection is in at once.").default("64"),
        Key::new("ping", text(&formats::DURATION), "How long a client may be silent before it is sent a ping.").default("30s"),
        Key::new("idle", text(&formats::DURATION), "How long a client may be silent, answering no ping either, before it counts as gone.").default("75s"),
    ],
);

static COMMAND_TRIGGER: Table = Table::new(
    "command trigger",
    "A command that runs once, when the app starts, on the process's standard streams.",
    &[
        ID,
        Key::new("component", HANDLER, "The command, by id or written out.").required(),
        Key::new(
            "args",
            Form::List(&TEXT),
            "Its arguments; those behind `dayfly up --` follow them.",
        )
        .dayfly(),
    ],
);

static PRIVATE: Table = Table::new(
    "private route",
    "A handler without a route, reached at `http://ID.spin.internal` by components that are granted it.",
    &[Key::new("private", Form::Bool, "Must be true.").required()],
);

static STATIC_RESPONSE: Table = Table::new(
    "static response",
    "A response that needs no component.",
    &[
        Key::new("status_code", Form::Integer { min: 200, max: 999 }, "The status.").default("200"),
        Key::new(
            "headers",
            Form::Map { key: &formats::HEADER, value: &Form::Text(&formats::HEADER_VALUE) },
            "The headers.",
        ),
        Key::new("body", TEXT, "The body."),
    ],
);

const EXECUTOR: Form = Form::Table(&EXECUTOR_TABLE);

static EXECUTOR_TABLE: Table = Table::new(
    "executor",
    "How a component takes an HTTP request.",
    &[
        Key::new(
            "type",
            text(&formats::EXECUTOR),
            "`http` (also called `spin`) for an HTTP handler, `wagi` for a command called by CGI.",
        )
        .required(),
        Key::new(
            "argv",
            TEXT,
            "For `wagi`: the argument line. `${SCRIPT_NAME}` and `${ARGS}` are replaced.",
        )
        .default("`${SCRIPT_NAME} ${ARGS}`"),
        Key::new("entrypoint", TEXT, "For `wagi`: the exported function to run.")
            .default("`_start`"),
    ],
);

static HTTP_COMPONENTS: Table = Table::new(
    "HTTP components",
    "Other components of a route.",
    &[Key::new(
        "middleware",
        HANDLERS,
        "Components that stand before the handler, outermost first.",
    )],
);

static HTTP_DEPENDENCIES: Table = Table::new(
    "HTTP dependencies",
    "Other components of a route, from elsewhere.",
    &[Key::new(
        "middleware",
        Form::List(&MIDDLEWARE),
        "Components that stand before the handler, outermost first.",
    )],
);

/// Declares a trigger whose events are delivered one by one: its own keys, then those that all such
/// triggers have.
macro_rules! event_trigger {
    ($id:ident, $name:literal, $doc:literal, [$($key:expr),* $(,)?]) => {
        static $id: Table = Table::new($name, $doc, &[
            ID,
            Key::new("component", HANDLER, "The component that its events wake, by id or written out.").required(),
            $($key,)*
            Key::new("output", text(&formats::OUTPUT), "Where the handler's answer goes: `component:ID`, `queue:NAME`, `redis://CHANNEL`, `mqtt:///TOPIC`, `nats://SUBJECT`, `websocket:TOPIC` or a URL of HTTP.").dayfly(),
            Key::new("concurrency", Form::Integer { min: 1, max: 10_000 }, "How many events are handled at once, or batches of them.").default("64 events, or 4 batches").dayfly(),
            Key::new("ordered", Form::OneOf(&[Form::Bool, Form::Text(&formats::ORDER)]), "Whether each event waits until the one before it was handled; with a key, until those before it were that have the same.").default("false").dayfly(),
            Key::new("retry", Form::Table(&RETRY), "How often and how fast what failed is tried again.").dayfly(),
        ]);
    };
}

event_trigger!(REDIS_TRIGGER, "Redis trigger", "Messages of a Redis server. One of `channel`, `pattern`, `queue` and `stream` says where they come from.", [
    Key::new("address", text(&formats::REDIS_ADDRESS), "The server; in place of the one of `[application.trigger.redis]`."),
    Key::new("channel", TEMPLATE, "A channel: what is published while it is listened to."),
    Key::new("pattern", TEMPLATE, "Channels of a pattern, such as `orders.*`.").dayfly(),
    Key::new("queue", TEMPLATE, "A list that others `LPUSH` to. What is taken from its right end lies in a list of what is handled until it was.").dayfly(),
    Key::new("stream", TEMPLATE, "A stream, read by a consumer group.").dayfly(),
    Key::new("group", text(&formats::NAME), "The consumer group of a stream.").default("the app's name").dayfly(),
    BATCH,
    BATCH_WAIT,
    Key::new("start", text(&formats::START), "Where a new consumer group begins: with the `first` entry of the stream, or the `next` that comes.").default("`first`").dayfly(),
]);

event_trigger!(MQTT_TRIGGER, "MQTT trigger", "Messages of an MQTT broker, by version 5, or 3.1.1 where it knows no other.", [
    Key::new("address", text(&formats::MQTT_ADDRESS), "The broker; in place of the one of `[application.trigger.mqtt]`.").dayfly(),
    Key::new("topic", TEMPLATE, "A topic, or a filter with `+` and `#`.").required(),
    Key::new("qos", Form::OneOf(&[Form::Integer { min: 0, max: 2 }, Form::Text(&formats::QUALITY)]), "The quality of service. Messages of 1 and 2 are acknowledged when they were handled, and kept by the broker until then.").default("1"),
]);

event_trigger!(NATS_TRIGGER, "NATS trigger", "Messages of a NATS server: what is published to a `subject`, or what a `stream` of JetStream keeps.", [
    Key::new("address", text(&formats::NATS_ADDRESS), "The server; in place of the one of `[application.trigger.nats]`."),
    Key::new("subject", TEMPLATE, "A subject, or subjects by `*` and `>`. With `stream`: which of the stream's."),
    Key::new("queue_group", text(&formats::QUEUE_GROUP), "Who has the same one shares the messages; with an empty one every process gets all of them.").default("the app's name, and the trigger's `id`"),
    Key::new("stream", text(&formats::JETSTREAM_NAME), "A stream, read by a durable consumer. A message is acknowledged when it was handled."),
    Key::new("durable", text(&formats::JETSTREAM_NAME), "The consumer of a stream. Who has the same one shares the messages.").default("the app's name"),
    Key::new("start", text(&formats::START), "Where a new consumer begins: with the `first` message of the stream, or the `next` that comes.").default("`first`"),
    Key::new("ack_wait", text(&formats::DURATION), "After how long the server delivers a message again of which it has heard nothing, as when a process was killed; at least `1s`. While a handler runs, it hears.").default("`30s`"),
    Key::new("create", Form::Bool, "Whether the stream is made, of `subject` and on the disk, if there is none of its name.").default("false"),
    BATCH,
    BATCH_WAIT,
]);

event_trigger!(CRON_TRIGGER, "cron trigger", "Events at times of a schedule.", [
    Key::new("cron_expression", text(&formats::CRON), "The schedule.").required(),
    Key::new("time_zone", text(&formats::TIME_ZONE), "Whose times they are.").default("`UTC`").dayfly(),
    Key::new("jitter", text(&formats::DURATION), "Each event comes up to this much later, at random.").default("none").dayfly(),
    Key::new("missed", text(&formats::MISSED), "What becomes of events that were due while nothing ran: `skip`, or `once` for one that makes up for all.").default("`skip`").dayfly(),
    Key::new("overlap", Form::Bool, "Whether a handler is woken though the last one still runs.").default("false").dayfly(),
]);

event_trigger!(
    QUEUE_TRIGGER,
    "queue trigger",
    "Messages of a queue that Dayfly itself keeps in the app's state folder.",
    [Key::new("queue", text(&formats::QUEUE), "The queue's name.").required(), BATCH, BATCH_WAIT]
);

static RETRY: Table = Table::new(
    "retry",
    "How often and how fast what failed is tried again. The time between attempts doubles, and up to half of it is left out at random.",
    &[
        Key::new("attempts", Form::Integer { min: 1, max: 100 }, "How often an event is delivered at most, the first time included. Then it is a dead letter.").default("5"),
        Key::new("delay", text(&formats::DURATION), "The time before the second attempt.").default("1s"),
        Key::new("max_delay", text(&formats::DURATION), "The longest time between two attempts.").default("5m"),
    ],
);

static OTHER_TRIGGER: Table = Table::new(
    "other trigger",
    "A source of events of another kind. The keys that are not named here belong to the kind.",
    &[
        ID,
        Key::new("component", HANDLER, "The component that its events wake, by id or written out."),
        Key::new(
            "components",
            Form::Map { key: &formats::NAME, value: &HANDLERS },
            "Other components, by the role they play.",
        ),
        Key::new(
            "dependencies",
            Form::Map { key: &formats::NAME, value: &Form::List(&MIDDLEWARE) },
            "Other components from elsewhere, by the role they play.",
        ),
    ],
)
.others(&formats::NAME, &Form::Free);
