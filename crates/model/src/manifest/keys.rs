//! Every table and key of a manifest, described once.
//!
//! The checker, the JSON schema and the reference page all read these tables. A new key is a line
//! here and its meaning in [`super::lower`].

mod component;
mod spin1;
mod trigger;

pub(super) use component::COMPONENT;
pub(super) use spin1::SPIN_1;
pub(super) use trigger::HTTP_TRIGGER;

use super::form::{Form, Format, Key, Table};
use super::formats;

/// Any text.
const TEXT: Form = Form::Text(&formats::TEXT);
const PATH: Form = Form::Text(&formats::PATH);
const GLOBS: Form = Form::List(&Form::Text(&formats::GLOB));
const TEXTS: Form = Form::List(&TEXT);
const LABELS: Form = Form::List(&Form::Text(&formats::LABEL));
/// Tables for other tools, by the tools' names.
const TOOLS: Form = Form::Map { key: &formats::NAME, value: &Form::Table(&SETTINGS) };

const fn text(format: &'static Format) -> Form {
    Form::Text(format)
}

/// A whole manifest of version 2, and of Dayfly.
pub(super) static MANIFEST: Table = Table::new(
    "manifest",
    "The manifest itself.",
    &[
        Key::new(
            "dayfly",
            Form::Integer { min: 1, max: 1 },
            "The version of Dayfly's manifest: 1. Stands in place of `spin_manifest_version`.",
        ),
        Key::new(
            "spin_manifest_version",
            Form::OneOf(&[Form::Integer { min: 2, max: 2 }, Form::Text(&formats::VERSION_1)]),
            "The version of Spin's manifest: 2, or \"1\" for the form described under *Spin's version 1*.",
        ),
        Key::new(
            "application",
            Form::Table(&APPLICATION),
            "What the app is called, and what holds for all of it.",
        )
        .required(),
        Key::new(
            "variables",
            VARIABLES,
            "The variables that the app declares. Components read them through their own `variables`.",
        ),
        Key::new(
            "trigger",
            Form::Table(&trigger::TRIGGERS),
            "The sources of events, as lists by kind: `[[trigger.http]]`.",
        )
        .required(),
        Key::new(
            "component",
            Form::Map { key: &formats::COMPONENT_ID, value: &Form::Table(&COMPONENT) },
            "The components, by id: `[component.cart]`.",
        ),
    ],
);

const VARIABLES: Form = Form::Map { key: &formats::VARIABLE, value: &Form::Table(&VARIABLE) };

static APPLICATION: Table = Table::new(
    "application",
    "What the app is called, and what holds for all of it.",
    &[
        Key::new("name", text(&formats::NAME), "The app's name.").required(),
        Key::new("version", TEXT, "The app's version."),
        Key::new("description", TEXT, "What the app is, for people."),
        Key::new("authors", TEXTS, "Who wrote the app, for people."),
        Key::new("targets", TARGETS, "The environments that the app must fit."),
        Key::new("trigger", Form::Table(&TRIGGER_SETTINGS), "Settings for all triggers of a kind."),
        Key::new("tool", TOOLS, "Settings of other tools, not read by Dayfly."),
    ],
);

static TRIGGER_SETTINGS: Table = Table::new(
    "trigger settings",
    "Settings for all triggers of a kind, by the kind.",
    &[
        Key::new("http", Form::Table(&HTTP_SETTINGS), "Settings for all HTTP triggers."),
        Key::new("redis", Form::Table(&REDIS_SETTINGS), "Settings for all Redis triggers."),
        Key::new("mqtt", Form::Table(&MQTT_SETTINGS), "Settings for all MQTT triggers."),
        Key::new("nats", Form::Table(&NATS_SETTINGS), "Settings for all NATS triggers.").dayfly(),
    ],
)
.others(&formats::TRIGGER_KIND, &Form::Table(&SETTINGS));

static REDIS_SETTINGS: Table = Table::new(
    "Redis settings",
    "Settings for all Redis triggers.",
    &[Key::new("address", text(&formats::REDIS_ADDRESS), "The server of triggers that name none.")],
);

static MQTT_SETTINGS: Table = Table::new(
    "MQTT settings",
    "Settings for all MQTT triggers.",
    &[
        Key::new("address", text(&formats::MQTT_ADDRESS), "The broker of triggers that name none."),
        Key::new("username", text(&formats::TEMPLATE), "The user, where the address names none."),
        Key::new(
            "password",
            Form::Secret(&formats::TEMPLATE),
            "The password, where the address has none.",
        ),
        Key::new(
            "keep_alive_interval",
            Form::OneOf(&[Form::Integer { min: 1, max: 65_535 }, Form::Text(&formats::SECONDS)]),
            "How long the connection may be silent, in seconds.",
        )
        .default("30"),
    ],
);

static NATS_SETTINGS: Table = Table::new(
    "NATS settings",
    "Settings for all NATS triggers.",
    &[Key::new("address", text(&formats::NATS_ADDRESS), "The server of triggers that name none.")],
);

static HTTP_SETTINGS: Table = Table::new(
    "HTTP settings",
    "Settings for all HTTP triggers.",
    &[
        Key::new("base", text(&formats::BASE), "A path that is put before every route.")
            .default("`/`"),
        Key::new(
            "health",
            text(&formats::HEALTH),
            "The path, as clients ask for it, that a platform asks a new release for before it gives it any traffic, until that answers with a status from 200 to 399. `dayfly deploy --health-path` goes before it.",
        )
        .dayfly(),
    ],
);

static SETTINGS: Table =
    Table::new("settings", "Any keys.", &[]).others(&formats::TEXT, &Form::Free);

static VARIABLE: Table = Table::new(
    "variable",
    "A variable of the app. Either it has a default, or it is required.",
    &[
        Key::new("default", TEXT, "The value when nothing else provides one."),
        Key::new("required", Form::Bool, "Whether a value must be provided to run the app.")
            .default("false"),
        Key::new("secret", Form::Bool, "Whether the value must never be shown.").default("false"),
        Key::new("description", TEXT, "What the variable is for, for people."),
    ],
);

const TARGETS: Form = Form::List(&Form::OneOf(&[
    Form::Text(&formats::NAME),
    Form::Table(&TARGET_REGISTRY),
    Form::Table(&TARGET_FILE),
]));

static TARGET_REGISTRY: Table = Table::new(
    "target of a registry",
    "An environment's definition in a registry.",
    &[
        Key::new(
            "registry",
            text(&formats::NAME),
            "The registry's host, with a prefix if it needs one.",
        )
        .required(),
        Key::new(
            "id",
            text(&formats::NAME),
            "The definition's name, with a version after a colon.",
        )
        .required(),
    ],
);

static TARGET_FILE: Table = Table::new(
    "target of a file",
    "An environment's definition in a file.",
    &[Key::new("path", PATH, "The file.").required()],
);
