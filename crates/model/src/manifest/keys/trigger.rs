//! The triggers' keys.

use super::super::form::{Form, Key, Table};
use super::super::formats;
use super::component::{COMPONENT, MIDDLEWARE};
use super::{TEXT, text};

pub(super) static TRIGGERS: Table = Table::new(
    "trigger",
    "The sources of events, as lists by kind.",
    &[Key::new("http", Form::List(&Form::Table(&HTTP_TRIGGER)), "HTTP requests, by route.")],
)
.others(&formats::TRIGGER_KIND, &Form::List(&Form::Table(&OTHER_TRIGGER)));

/// A component by its id, or written out in place.
const HANDLER: Form = Form::OneOf(&[Form::Text(&formats::COMPONENT_ID), Form::Table(&COMPONENT)]);
const HANDLERS: Form = Form::OneOf(&[
    Form::Text(&formats::COMPONENT_ID),
    Form::Table(&COMPONENT),
    Form::List(&HANDLER),
]);

const ID: Key = Key::new("id", TEXT, "A name for the trigger.");

pub(in super::super) static HTTP_TRIGGER: Table = Table::new(
    "HTTP trigger",
    "A route and what answers on it: a component or a fixed response.",
    &[
        ID,
        Key::new("route", Form::OneOf(&[Form::Text(&formats::ROUTE), Form::Table(&PRIVATE)]), "The paths that it answers on, or `{ private = true }` for calls from other components only.").required(),
        Key::new("component", HANDLER, "The component that answers, by id or written out."),
        Key::new("static_response", Form::Table(&STATIC_RESPONSE), "A fixed response, in place of a component."),
        Key::new("executor", EXECUTOR, "How the component takes the request.").default("as its exports say"),
        Key::new("components", Form::Table(&HTTP_COMPONENTS), "Other components of the route."),
        Key::new("dependencies", Form::Table(&HTTP_DEPENDENCIES), "Other components of the route, from elsewhere."),
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

static OTHER_TRIGGER: Table = Table::new(
    "other trigger",
    "A source of events of another kind. The keys that are not named here belong to the kind.",
    &[
        ID,
        Key::new("component", HANDLER, "The component that its events wake, by id or written out."),
        Key::new("components", Form::Map { key: &formats::NAME, value: &HANDLERS }, "Other components, by the role they play."),
        Key::new("dependencies", Form::Map { key: &formats::NAME, value: &Form::List(&MIDDLEWARE) }, "Other components from elsewhere, by the role they play."),
        Key::new("output", TEXT, "Where the handler's output goes: `redis://channel`, `nats://subject`, `component:ID` or `queue:NAME`.").dayfly(),
    ],
)
.others(&formats::NAME, &Form::Free);
