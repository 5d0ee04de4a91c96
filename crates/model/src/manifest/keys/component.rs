//! A component's keys.

use super::super::form::{Form, Key, Table};
use super::super::formats;
use super::{GLOBS, LABELS, PATH, TARGETS, TEXT, TEXTS, TOOLS, text};

const HOSTS: Form = Form::List(&Form::Text(&formats::OUTBOUND_HOST));
const HTTP_HOSTS: Form = Form::List(&Form::Text(&formats::HTTP_HOST));
pub(super) const ENVIRONMENT: Form = Form::Map { key: &formats::ENVIRONMENT, value: &TEXT };
pub(super) const CONFIGURATION: Form =
    Form::Map { key: &formats::VARIABLE, value: &Form::Text(&formats::TEMPLATE) };
const DEPENDENCIES: Form = Form::Map { key: &formats::DEPENDENCY, value: &DEPENDENCY };
pub(super) const COMMANDS: Form = Form::OneOf(&[TEXT, TEXTS]);

/// The keys that grant something, shared with version 1.
pub(in super::super) static COMPONENT: Table = Table::new(
    "component",
    "A component: its code and what it may use.",
    &[
        Key::new("source", SOURCE, "Where its code comes from: a file, an address with a digest, or a package of a registry.").required(),
        Key::new("description", TEXT, "What it is for, for people."),
        Key::new("variables", CONFIGURATION, "What it reads as configuration, by name. `{{ name }}` stands for a variable of the app."),
        Key::new("environment", ENVIRONMENT, "Its environment variables."),
        Key::new("files", FILES, "The files that it may see: globs, read-only at the same path, or folders with a path of their own."),
        Key::new("exclude_files", GLOBS, "Files that it may not see although `files` covers them."),
        Key::new("allowed_outbound_hosts", HOSTS, "The hosts that it may reach. A wildcard grants public addresses only; name a private host to grant it."),
        Key::new("allowed_http_hosts", HTTP_HOSTS, "The hosts that it may reach by HTTP.").deprecated("allowed_outbound_hosts"),
        Key::new("key_value_stores", LABELS, "The key-value stores that it may open, by label."),
        Key::new("blob_containers", LABELS, "The containers of blobs that it may use, by name.").dayfly(),
        Key::new("messaging", LABELS, "The messaging clients that it may use, by name.").dayfly(),
        Key::new("sqlite_databases", LABELS, "The SQL databases that it may open, by label."),
        Key::new("ai_models", Form::List(&Form::Text(&formats::NAME)), "The language models that it may ask, by name."),
        Key::new("websockets", Form::Bool, "Whether it may send to the app's WebSockets. The components of routes with `websocket` may.").default("false").dayfly(),
        Key::new("limits", Form::Table(&LIMITS), "Its bounds.").dayfly(),
        Key::new("reuse", Form::Table(&REUSE), "Whether an instance serves more than one request.").dayfly(),
        Key::new("build", Form::Table(&BUILD), "How it is built from source."),
        Key::new("dependencies", DEPENDENCIES, "What satisfies its imports, by import: a version range, or a table."),
        Key::new("dependencies_inherit_configuration", Form::Bool, "Whether its dependencies may use what it may use.").default("false"),
        Key::new("targets", TARGETS, "The environments that it must fit, in place of the app's."),
        Key::new("profile", Form::Map { key: &formats::NAME, value: &Form::Table(&PROFILE) }, "What differs when the app runs with `--profile NAME`, by name."),
        Key::new("tool", TOOLS, "Settings of other tools, not read by Dayfly."),
    ],
);

pub(super) const SOURCE: Form = Form::OneOf(&[
    Form::Text(&formats::PATH),
    Form::Table(&SOURCE_URL),
    Form::Table(&SOURCE_REGISTRY),
]);

static SOURCE_URL: Table = Table::new(
    "source at an address",
    "Code fetched from an address.",
    &[
        Key::new("url", text(&formats::URL), "The address.").required(),
        Key::new("digest", text(&formats::DIGEST), "The SHA-256 digest of what it must serve.")
            .required(),
    ],
);

static SOURCE_REGISTRY: Table = Table::new(
    "source in a registry",
    "Code fetched from a registry.",
    &[
        Key::new("registry", text(&formats::NAME), "The registry's host."),
        Key::new("package", text(&formats::PACKAGE), "The package.").required(),
        Key::new("version", text(&formats::VERSION), "The exact version.").required(),
    ],
);

pub(super) const FILES: Form =
    Form::List(&Form::OneOf(&[Form::Text(&formats::GLOB), Form::Table(&MOUNT)]));

static MOUNT: Table = Table::new(
    "mount",
    "A folder of the host at a path of the guest's.",
    &[
        Key::new("source", PATH, "The host's folder or file.").required(),
        Key::new("destination", text(&formats::GUEST_PATH), "The guest's absolute path.")
            .required(),
        Key::new("writable", Form::Bool, "Whether the guest may write.").default("false").dayfly(),
    ],
);

/// A number of things.
const COUNT: Form = Form::Integer { min: 1, max: 1_000_000 };

/// More than any request can execute.
const INSTRUCTIONS: Form = Form::Integer { min: 1, max: 1_000_000_000_000_000 };

static LIMITS: Table = Table::new(
    "limits",
    "A component's bounds.",
    &[
        Key::new("memory", text(&formats::SIZE), "Linear memory of one instance, all its memories together.").default("256MiB"),
        Key::new("tables", COUNT, "Elements of one instance's tables, all together.").default("1000000"),
        Key::new("stack", text(&formats::STACK), "Stack of one instance, from 64KiB to 64MiB. Every instance of a process has the largest that any of its components asks for.").default("1MiB"),
        Key::new("cpu", text(&formats::DURATION), "CPU time of one request, with that of the components that it calls.").default("10s"),
        Key::new("instructions", INSTRUCTIONS, "WebAssembly instructions of one request, counted alike on every machine; counting them slows the component.").default("not counted"),
        Key::new("time", text(&formats::DURATION), "Wall time of one request until its response's headers, and between two pieces of its body.").default("30s"),
        Key::new("concurrency", COUNT, "Instances that run at once; fewer where each needs much of what all share, and of several components at most three quarters of `--max-instances`.").default("1024"),
        Key::new("body", text(&formats::SIZE), "The request's body, which is streamed: however long it is, little of it is in memory. A longer one is answered by 413.").default("16GiB"),
        Key::new("output", text(&formats::SIZE), "The response's body, which is streamed as well. A longer one breaks off.").default("16GiB"),
        Key::new("headers", text(&formats::SIZE), "One set of headers or trailers that the guest builds.").default("128KiB"),
        Key::new("log", text(&formats::SIZE), "What one instance writes to each of its log streams.").default("1MiB"),
        Key::new("log_rate", text(&formats::SIZE), "What all its instances write to the log in a second.").default("4MiB"),
        Key::new("files", COUNT, "Files and folders that one instance holds open, those that only a stream keeps open and listings that are not read to their end included; twice as many file streams.").default("256"),
        Key::new("sockets", COUNT, "Sockets that one instance holds open.").default("64"),
        Key::new("outbound", COUNT, "Outbound requests and connections that one instance makes.").default("1000"),
        Key::new("depth", COUNT, "Calls of the app's components behind one another, from the request that came from outside to the last that this component may make.").default("8"),
        Key::new("resources", COUNT, "Resources, futures and streams that one instance holds.").default("10000"),
        Key::new("database", text(&formats::SIZE), "What an SQL database may grow to by its statements.").default("1GiB"),
    ],
);

static REUSE: Table = Table::new(
    "reuse",
    "Whether an instance serves more than one request.",
    &[
        Key::new(
            "requests",
            Form::Integer { min: 1, max: 1_000_000 },
            "How many requests one instance serves, one after the other.",
        )
        .default("1: a fresh instance for each"),
        Key::new("idle", Form::Text(&formats::DURATION), "How long it waits for the next one.")
            .default("30s"),
        Key::new(
            "growth",
            Form::Text(&formats::SIZE),
            "How much more memory it may have than after its first request.",
        )
        .default("16MiB"),
    ],
);

static BUILD: Table = Table::new(
    "build",
    "How a component is built from source.",
    &[
        Key::new("command", COMMANDS, "A shell command, or several to run one after the other.")
            .required(),
        Key::new("workdir", PATH, "The folder to run them in.").default("the manifest's folder"),
        Key::new("watch", GLOBS, "What `dayfly watch` watches, relative to `workdir`."),
        Key::new(
            "freeze",
            Form::OneOf(&[Form::Bool, Form::Text(&formats::NAME)]),
            "Whether to do its start-up work at build time and save its memory; with a name, by the function of that name.",
        )
        .default("false")
        .dayfly(),
        Key::new("optimize", text(&formats::OPTIMIZE), "What to optimise the code for.").dayfly(),
    ],
);

/// Version 1 knows fewer keys.
pub(super) static BUILD_1: Table = Table::new(
    "build (version 1)",
    "How a component is built from source.",
    &[
        Key::new("command", COMMANDS, "A shell command, or several to run one after the other.")
            .required(),
        Key::new("workdir", PATH, "The folder to run them in.").default("the manifest's folder"),
        Key::new("watch", GLOBS, "What `dayfly watch` watches, relative to `workdir`."),
    ],
);

static PROFILE: Table = Table::new(
    "profile",
    "What differs in a component when the app runs with this profile.",
    &[
        Key::new("source", SOURCE, "Code in place of the component's."),
        Key::new(
            "environment",
            ENVIRONMENT,
            "Environment variables, added to the component's or in their place.",
        ),
        Key::new(
            "dependencies",
            DEPENDENCIES,
            "Dependencies, added to the component's or in their place.",
        ),
        Key::new("build", Form::Table(&PROFILE_BUILD), "How the component is built."),
    ],
);

static PROFILE_BUILD: Table = Table::new(
    "profile's build",
    "How a component is built with this profile.",
    &[Key::new("command", COMMANDS, "Shell commands in place of the component's.").required()],
);

const DEPENDENCY: Form = Form::OneOf(&[
    Form::Text(&formats::VERSION_RANGE),
    Form::Table(&DEPENDENCY_REGISTRY),
    Form::Table(&DEPENDENCY_FILE),
    Form::Table(&DEPENDENCY_URL),
    Form::Table(&DEPENDENCY_COMPONENT),
]);

/// What stands before the handler of a route: a dependency without a name of its own.
pub(super) const MIDDLEWARE: Form = Form::OneOf(&[
    Form::Table(&DEPENDENCY_REGISTRY),
    Form::Table(&DEPENDENCY_FILE),
    Form::Table(&DEPENDENCY_URL),
    Form::Table(&DEPENDENCY_COMPONENT),
]);

const EXPORT: Key =
    Key::new("export", TEXT, "The export that satisfies the import.").default("the import's name");
const INHERITED: &[Form] = &[Form::Bool, Form::List(&Form::Text(&formats::CONFIGURATION))];
const INHERIT: Key = Key::new(
    "inherit_configuration",
    Form::OneOf(INHERITED),
    "Whether it may use what the component may use, or which kinds of it.",
)
.default("false");
const EXTRA: Key = Key::new("environment", ENVIRONMENT, "Its environment variables.");

static DEPENDENCY_REGISTRY: Table = Table::new(
    "dependency in a registry",
    "A package of a registry.",
    &[
        Key::new("version", text(&formats::VERSION_RANGE), "The versions that will do.").required(),
        Key::new("registry", text(&formats::NAME), "The registry's host."),
        Key::new("package", text(&formats::PACKAGE), "The package.")
            .default("the import's package"),
        EXPORT,
        INHERIT,
        EXTRA,
    ],
);

static DEPENDENCY_FILE: Table = Table::new(
    "dependency in a file",
    "A component in a file.",
    &[Key::new("path", PATH, "The file.").required(), EXPORT, INHERIT, EXTRA],
);

static DEPENDENCY_URL: Table = Table::new(
    "dependency at an address",
    "A component fetched from an address.",
    &[
        Key::new("url", text(&formats::URL), "The address.").required(),
        Key::new("digest", text(&formats::DIGEST), "The SHA-256 digest of what it must serve.")
            .required(),
        EXPORT,
        INHERIT,
        EXTRA,
    ],
);

static DEPENDENCY_COMPONENT: Table = Table::new(
    "dependency of the app",
    "Another component of this app, which must have no grants of its own.",
    &[
        Key::new("component", text(&formats::COMPONENT_ID), "The component's id.").required(),
        EXPORT,
        INHERIT,
        EXTRA,
    ],
);
