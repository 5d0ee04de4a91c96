//! Every table and key of a file of tests, described once, as those of manifests are.

use super::formats::{ASKED, ATTRIBUTE, FILE, METHOD, POINTER, REGEX, REQUEST_LINE, TARGET};
use crate::manifest::form::{Form, Key, Table};
use crate::manifest::formats::{
    DURATION, ENVIRONMENT, HEADER, HEADER_VALUE, LABEL, NAME, OUTBOUND_HOST, OUTPUT, TEXT, VARIABLE,
};

const A_TEXT: Form = Form::Text(&TEXT);
const CONTENT: Form = Form::OneOf(&[A_TEXT, Form::Table(&OTHER_CONTENT)]);
const MATCH: Form = Form::OneOf(&[A_TEXT, Form::Table(&MATCHER)]);
const HEADERS: Form = Form::Map { key: &HEADER, value: &Form::Text(&HEADER_VALUE) };
const MATCHED_HEADERS: Form = Form::Map { key: &HEADER, value: &MATCH };
const TEXTS: Form = Form::OneOf(&[A_TEXT, Form::List(&A_TEXT)]);
const STATUS: Form = Form::Integer { min: 100, max: 599 };

/// A whole file of tests.
pub(super) static TEST_FILE: Table = Table::new(
    "test file",
    "The file itself.",
    &[
        Key::new("setup", Form::Table(&SETUP), "What the app finds in every test of the file."),
        Key::new(
            "test",
            Form::List(&Form::Table(&TEST)),
            "The tests: `[[test]]`. Each has an app and a state folder of its own.",
        )
        .required(),
    ],
);

static SETUP: Table = Table::new(
    "setup",
    "What the app finds when a test begins, beside what its manifest says.",
    &[
        Key::new(
            "variables",
            Form::Map { key: &VARIABLE, value: &A_TEXT },
            "Values of the app's variables.",
        ),
        Key::new(
            "environment",
            Form::Map { key: &ENVIRONMENT, value: &A_TEXT },
            "Environment variables of every component.",
        ),
        Key::new(
            "key_value",
            Form::Map { key: &LABEL, value: &Form::Map { key: &NAME, value: &CONTENT } },
            "What is in key-value stores, by label and key: `[setup.key_value.default]`.",
        ),
        Key::new(
            "sqlite",
            Form::Map {
                key: &LABEL,
                value: &Form::OneOf(&[A_TEXT, Form::Table(&OTHER_CONTENT), Form::List(&CONTENT)]),
            },
            "SQL that runs on databases, by label: `sqlite.default = { file = \"schema.sql\" }`.",
        ),
        Key::new(
            "http",
            Form::List(&Form::Table(&HTTP_FAKE)),
            "What answers requests that leave the app: `[[setup.http]]`. The first that a request fits answers it; those of a test come before those of its file.",
        ),
        Key::new(
            "llm",
            Form::List(&Form::Table(&LLM_FAKE)),
            "What language models answer: `[[setup.llm]]`. The first that a prompt fits answers it.",
        ),
        Key::new(
            "real",
            Form::List(&Form::Text(&OUTBOUND_HOST)),
            "The servers that are really reached, of those that components are granted. All others are refused, unless `http` answers.",
        ),
    ],
);

static HTTP_FAKE: Table = Table::new(
    "HTTP answer",
    "What answers a request that leaves the app. The component needs its grant all the same.",
    &[
        Key::new("request", Form::Text(&ASKED), "The requests that are answered.").required(),
        Key::new("body", MATCH, "What the body of the request is like."),
        Key::new(
            "response",
            Form::OneOf(&[A_TEXT, Form::Table(&RESPONSE)]),
            "The answer; a text is the body of a `200`.",
        )
        .required(),
    ],
);

static RESPONSE: Table = Table::new(
    "HTTP response",
    "What a server answers.",
    &[
        Key::new("status", STATUS, "Its status.").default("200"),
        Key::new("headers", HEADERS, "Its headers."),
        Key::new("body", A_TEXT, "Its body."),
        Key::new("json", Form::Free, "Its body, as JSON."),
        Key::new("file", Form::Text(&FILE), "Its body, from a file."),
    ],
);

static LLM_FAKE: Table = Table::new(
    "answer of a model",
    "What a language model answers to prompts.",
    &[
        Key::new("prompt", MATCH, "What the prompt is like.").default("any"),
        Key::new("model", Form::Text(&NAME), "The model.").default("any"),
        Key::new("answer", A_TEXT, "The answer.").required(),
    ],
);

static OTHER_CONTENT: Table = Table::new(
    "content",
    "Bytes that are stored or sent: one of these keys.",
    &[
        Key::new("json", Form::Free, "This, as JSON; a text is JSON itself."),
        Key::new("file", Form::Text(&FILE), "What a file holds."),
    ],
);

const A_REQUEST: Form = Form::OneOf(&[Form::Text(&REQUEST_LINE), Form::Table(&REQUEST)]);
const A_WEBSOCKET: Form = Form::OneOf(&[Form::Text(&TARGET), Form::Table(&WEBSOCKET)]);
const A_COMMAND: Form = Form::OneOf(&[Form::Text(&NAME), Form::Table(&COMMAND)]);

const REQUEST_KEY: Key = Key::new("request", A_REQUEST, "A request comes.");
const EVENT_KEY: Key = Key::new(
    "event",
    Form::Table(&EVENT),
    "An event comes, without any server behind its trigger.",
);
const WEBSOCKET_KEY: Key = Key::new(
    "websocket",
    A_WEBSOCKET,
    "Something happens on a WebSocket; a path is one to connect to.",
);
const COMMAND_KEY: Key = Key::new(
    "command",
    A_COMMAND,
    "A command of a `[[trigger.command]]` runs; a text is the component.",
);
const EXPECT_KEY: Key = Key::new("expect", Form::Table(&EXPECT), "What is expected then.");

static TEST: Table = Table::new(
    "test",
    "A test. If there is only one step, its keys stand here.",
    &[
        Key::new(
            "name",
            Form::Text(&NAME),
            "What it is called; no other of the file has the same name.",
        )
        .required(),
        Key::new(
            "setup",
            Form::Table(&SETUP),
            "What the app finds in this test, beside what the file says for all.",
        ),
        Key::new("timeout", Form::Text(&DURATION), "How long all steps may take.").default("`30s`"),
        REQUEST_KEY,
        EVENT_KEY,
        WEBSOCKET_KEY,
        COMMAND_KEY,
        EXPECT_KEY,
        Key::new(
            "step",
            Form::List(&Form::Table(&STEP)),
            "The steps, one after the other: `[[test.step]]`.",
        ),
    ],
);

static STEP: Table = Table::new(
    "step",
    "One thing that happens: one of `request`, `event`, `websocket` and `command`, or nothing if it is only to be looked at what is there.",
    &[REQUEST_KEY, EVENT_KEY, WEBSOCKET_KEY, COMMAND_KEY, EXPECT_KEY],
);

static REQUEST: Table = Table::new(
    "request",
    "A request of a client. Redirects are not followed.",
    &[
        Key::new("method", Form::Text(&METHOD), "Its method.")
            .default("`POST` with a body, else `GET`"),
        Key::new("path", Form::Text(&TARGET), "Its path and query.").required(),
        Key::new("headers", HEADERS, "Its headers."),
        Key::new("body", A_TEXT, "Its body."),
        Key::new("json", Form::Free, "Its body, as JSON, with the media type of that."),
        Key::new("file", Form::Text(&FILE), "Its body, from a file."),
    ],
);

static EVENT: Table = Table::new(
    "event",
    "An event of a trigger, as `dayfly send` gives it. It goes the trigger's whole way, and is waited for.",
    &[
        Key::new("trigger", Form::Text(&NAME), "The trigger's id, or the component that it wakes.")
            .required(),
        Key::new("type", Form::Text(&NAME), "What has happened.").default("what the trigger says"),
        Key::new("subject", A_TEXT, "What it is about: a channel, a topic, a key.")
            .default("what the trigger says"),
        Key::new(
            "attributes",
            Form::Map { key: &ATTRIBUTE, value: &A_TEXT },
            "Further attributes.",
        ),
        Key::new("content_type", Form::Text(&HEADER_VALUE), "The media type of the data."),
        Key::new("body", A_TEXT, "Its data."),
        Key::new("json", Form::Free, "Its data, as JSON, with the media type of that."),
        Key::new("file", Form::Text(&FILE), "Its data, from a file."),
    ],
);

static WEBSOCKET: Table = Table::new(
    "websocket",
    "What happens on a WebSocket: it connects, a message is sent, it is closed, in this order.",
    &[
        Key::new(
            "name",
            Form::Text(&NAME),
            "Which of the test's connections, if there are several.",
        )
        .default("`main`"),
        Key::new("connect", Form::Text(&TARGET), "The path that it connects to."),
        Key::new("headers", HEADERS, "The headers of the handshake."),
        Key::new("send", CONTENT, "A message, of text."),
        Key::new("send_bytes", CONTENT, "A message, of bytes."),
        Key::new("close", Form::Bool, "Whether it is closed.").default("`false`"),
    ],
);

static COMMAND: Table = Table::new(
    "command",
    "A command that runs once. What it prints is the answer's body, its errors are logged.",
    &[
        Key::new("component", Form::Text(&NAME), "The component.").required(),
        Key::new(
            "arguments",
            Form::List(&A_TEXT),
            "What it is called with, behind what the manifest says.",
        ),
        Key::new("stdin", CONTENT, "What it reads."),
    ],
);

static EXPECT: Table = Table::new(
    "expect",
    "What is expected. What need not be there at once (messages, the log, what is stored, passed on or sent) is waited for.",
    &[
        Key::new(
            "status",
            Form::Integer { min: 0, max: 599 },
            "The status of the answer, or a command's.",
        )
        .default("below 400, or 0 of a command; `101` where a WebSocket connects"),
        Key::new("headers", MATCHED_HEADERS, "Headers of the answer."),
        Key::new(
            "body",
            MATCH,
            "The answer's body, what an event's handler answers, or what a command printed.",
        ),
        Key::new("error", MATCH, "Why the event is given up, or why the request breaks off.")
            .default("it is handled"),
        Key::new(
            "messages",
            Form::List(&MATCH),
            "The next messages on the WebSocket, in their order.",
        ),
        Key::new("log", MATCH, "What components logged in this step, all lines together."),
        Key::new(
            "key_value",
            Form::Map { key: &LABEL, value: &Form::Map { key: &NAME, value: &MATCH } },
            "What is in key-value stores, by label and key.",
        ),
        Key::new(
            "sqlite",
            Form::List(&Form::Table(&QUERY)),
            "What is in SQL databases: `[[test.expect.sqlite]]`.",
        ),
        Key::new(
            "outputs",
            Form::List(&Form::Table(&PASSED_ON)),
            "Answers that were passed on in this step, in any order.",
        ),
        Key::new(
            "requests",
            Form::List(&Form::Table(&SENT)),
            "Requests that left the app in this step, in any order.",
        ),
        Key::new("within", Form::Text(&DURATION), "How long is waited.").default("`2s`"),
    ],
);

static QUERY: Table = Table::new(
    "query",
    "What is in an SQL database.",
    &[
        Key::new("database", Form::Text(&LABEL), "Its label.").default("`default`"),
        Key::new("query", Form::Text(&NAME), "A `SELECT`.").required(),
        Key::new(
            "rows",
            Form::List(&Form::List(&Form::Free)),
            "Its rows, each a list of values; `{}` stands for any value, `NULL` too.",
        )
        .required(),
    ],
);

static PASSED_ON: Table = Table::new(
    "answer passed on",
    "An answer that went to its trigger's `output`. Nothing is sent to servers.",
    &[
        Key::new(
            "to",
            Form::Text(&OUTPUT),
            "Where to, as the manifest has it, with or without its server.",
        )
        .required(),
        Key::new("body", MATCH, "The answer."),
    ],
);

static SENT: Table = Table::new(
    "request that left the app",
    "A request of a component to the world outside, whoever answered it.",
    &[
        Key::new("request", Form::Text(&ASKED), "Which.").required(),
        Key::new("headers", MATCHED_HEADERS, "Its headers."),
        Key::new("body", MATCH, "Its body."),
    ],
);

static MATCHER: Table = Table::new(
    "matcher",
    "What a text must be like; all that is stated has to hold. A text in its place is what it must be equal to.",
    &[
        Key::new("equals", A_TEXT, "It is this."),
        Key::new("file", Form::Text(&FILE), "It is what a file holds."),
        Key::new("contains", TEXTS, "It has this part, or all of these."),
        Key::new("lacks", TEXTS, "It has no such part."),
        Key::new("regex", Form::Text(&REGEX), "This is found in it."),
        Key::new(
            "json",
            Form::Free,
            "It is JSON that holds at least this: objects may have more keys, lists are as long. A text is JSON itself.",
        ),
        Key::new(
            "at",
            Form::Map { key: &POINTER, value: &Form::OneOf(&[Form::Table(&MATCHER), Form::Free]) },
            "It is JSON, and this stands at these places: `at.\"/items/0/name\" = \"tea\"`. A table is a matcher.",
        ),
        Key::new("absent", Form::Bool, "It is not there at all: a header, a key, a place.")
            .default("`false`"),
    ],
);
