//! Spin's manifest of version 1.

use super::super::form::{Form, Key, Table};
use super::super::formats;
use super::component::{BUILD_1, CONFIGURATION, ENVIRONMENT, FILES, SOURCE};
use super::{GLOBS, LABELS, TEXT, TEXTS, VARIABLES, text};

pub(in super::super) static SPIN_1: Table = Table::new(
    "manifest (version 1)",
    "Spin's manifest of version 1: one kind of trigger, and one trigger a component.",
    &[
        Key::new(
            "spin_manifest_version",
            text(&formats::VERSION_1),
            "The version of the manifest: \"1\".",
        ),
        Key::new(
            "spin_version",
            text(&formats::VERSION_1),
            "The older name of `spin_manifest_version`.",
        ),
        Key::new("name", text(&formats::NAME), "The app's name.").required(),
        Key::new("version", TEXT, "The app's version."),
        Key::new("description", TEXT, "What the app is, for people."),
        Key::new("authors", TEXTS, "Who wrote the app, for people."),
        Key::new("trigger", Form::Table(&TRIGGER), "The kind of all triggers.").required(),
        Key::new("variables", VARIABLES, "The variables that the app declares."),
        Key::new(
            "component",
            Form::List(&Form::Table(&COMPONENT)),
            "The components: `[[component]]`.",
        ),
    ],
);

static TRIGGER: Table = Table::new(
    "app trigger (version 1)",
    "The kind of all triggers, and the settings for all of them.",
    &[
        Key::new("type", text(&formats::TRIGGER_KIND), "The kind.").required(),
        Key::new(
            "base",
            text(&formats::BASE),
            "For `http`: a path that is put before every route.",
        )
        .default("`/`"),
    ],
)
.others(&formats::NAME, &Form::Free);

static COMPONENT: Table = Table::new(
    "component (version 1)",
    "A component: its code, its trigger and what it may use.",
    &[
        Key::new("id", text(&formats::COMPONENT_ID_1), "The component's name.").required(),
        Key::new("description", TEXT, "What it is for, for people."),
        Key::new("source", SOURCE, "Where its code comes from.").required(),
        Key::new("trigger", Form::Table(&COMPONENT_TRIGGER), "What wakes it.").required(),
        Key::new("environment", ENVIRONMENT, "Its environment variables."),
        Key::new("config", CONFIGURATION, "What it reads as configuration, by name."),
        Key::new("files", FILES, "The files that it may see."),
        Key::new("exclude_files", GLOBS, "Files that it may not see although `files` covers them."),
        Key::new(
            "allowed_http_hosts",
            Form::List(&Form::Text(&formats::HTTP_HOST)),
            "The hosts that it may reach by HTTP.",
        )
        .deprecated("allowed_outbound_hosts"),
        Key::new(
            "allowed_outbound_hosts",
            Form::List(&Form::Text(&formats::OUTBOUND_HOST)),
            "The hosts that it may reach. Without this key, Redis, MySQL and PostgreSQL servers are granted.",
        ),
        Key::new("key_value_stores", LABELS, "The key-value stores that it may open, by label."),
        Key::new("sqlite_databases", LABELS, "The SQL databases that it may open, by label."),
        Key::new(
            "ai_models",
            Form::List(&Form::Text(&formats::NAME)),
            "The language models that it may ask, by name.",
        ),
        Key::new("build", Form::Table(&BUILD_1), "How it is built from source."),
    ],
);

/// Checked as a trigger of version 2 once its kind is known.
static COMPONENT_TRIGGER: Table = Table::new(
    "component trigger (version 1)",
    "What wakes a component. The keys belong to the kind of trigger; for `http` they are `route` and `executor`.",
    &[],
)
.others(&formats::NAME, &Form::Free);
