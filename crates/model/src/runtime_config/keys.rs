//! Every table and key of a runtime configuration, described once, as those of manifests are.

use super::formats::{
    BUCKET, HOST, LLM_API, MQTT_URL, NATS_URL, NETWORK, PATH, PREFIX, REDIS_URL, TYPE,
};
use crate::manifest::form::{Form, Key, Table, Tagged};
use crate::manifest::formats::{COMPONENT_ID, LABEL, NAME, TEXT, URL, VARIABLE};

const A_PATH: Form = Form::Text(&PATH);
const SECRET: Form = Form::Secret(&TEXT);
const COUNT: Form = Form::Integer { min: 0, max: u32::MAX as i64 };
const WHICH: Key = Key::new("type", Form::Text(&TYPE), "What the table is about, as named above.");

/// A whole runtime configuration.
pub(super) static RUNTIME_CONFIG: Table = Table::new(
    "runtime configuration",
    "The file itself.",
    &[
        Key::new(
            "state_dir",
            A_PATH,
            "The folder for what the app keeps. `--state-dir` is stronger.",
        )
        .default("`.dayfly` beside the manifest"),
        Key::new(
            "log_dir",
            A_PATH,
            "The folder of the components' log files. `--log-dir` is stronger.",
        )
        .default("`logs` in the state folder"),
        Key::new(
            "max_instance_memory",
            Form::Integer { min: 1, max: i64::MAX },
            "The most linear memory that an instance may have, in bytes, whatever its manifest says. `--limit memory=…` is stronger.",
        ),
        Key::new(
            "key_value_store",
            Form::Map { key: &LABEL, value: &Form::Tagged(&KEY_VALUE_STORES) },
            "What is behind key-value stores, by label: `[key_value_store.cache]`.",
        ),
        Key::new(
            "sqlite_database",
            Form::Map { key: &LABEL, value: &Form::Tagged(&SQLITE_DATABASES) },
            "What is behind SQL databases, by label: `[sqlite_database.orders]`.",
        ),
        Key::new(
            "blob_store",
            Form::Map { key: &LABEL, value: &Form::Tagged(&BLOB_STORES) },
            "What is behind containers of blobs, by name: `[blob_store.pictures]`. `default` is behind those that have no entry of their own. Only Dayfly has it.",
        )
        .default("a folder each in the state folder"),
        Key::new(
            "messaging",
            Form::Map { key: &LABEL, value: &Form::Tagged(&MESSAGING) },
            "What is behind messaging clients, by name: `[messaging.orders]`. Behind `default` are the app's own queues unless it says otherwise. Only Dayfly has it.",
        ),
        Key::new(
            "variables_provider",
            PROVIDERS,
            "Who is asked for the values of variables, in this order: `[[variables_provider]]`. The command line is asked before them, the process environment after them.",
        ),
        Key::new("config_provider", PROVIDERS, "The older name.").deprecated("variables_provider"),
        Key::new(
            "llm_compute",
            Form::Tagged(&LLM_COMPUTE),
            "Who answers language models' prompts.",
        ),
        Key::new(
            "client_tls",
            Form::List(&Form::Table(&CLIENT_TLS)),
            "What clients of some components trust and show at some hosts: `[[client_tls]]`. The first entry that names a component and a host holds for them.",
        ),
        Key::new(
            "outbound_networking",
            Form::Table(&OUTBOUND_NETWORKING),
            "Bounds of all that goes out.",
        ),
        Key::new("outbound_http", Form::Table(&OUTBOUND_HTTP), "Bounds of outbound HTTP."),
        Key::new(
            "outbound_redis",
            Form::Table(&OUTBOUND),
            "Bounds of connections to Redis servers.",
        ),
        Key::new(
            "outbound_mqtt",
            Form::Table(&OUTBOUND_MQTT),
            "Bounds of connections to MQTT brokers.",
        ),
        Key::new(
            "outbound_pg",
            Form::Table(&OUTBOUND),
            "Bounds of connections to PostgreSQL servers.",
        ),
        Key::new(
            "outbound_mysql",
            Form::Table(&OUTBOUND),
            "Bounds of connections to MySQL servers.",
        ),
        Key::new("postgres", Form::Table(&POSTGRES), "What clients of PostgreSQL servers trust."),
    ],
);

static KEY_VALUE_STORES: Tagged = Tagged {
    tag: "type",
    tables: &[("spin", &KV_SPIN), ("redis", &KV_REDIS), ("memory", &KV_MEMORY)],
    refused: &[
        ("azure_cosmos", "use `spin`, `redis` or `memory`"),
        ("aws_dynamo", "use `spin`, `redis` or `memory`"),
    ],
};

static KV_SPIN: Table = Table::new(
    "embedded key-value store",
    "A key-value store in an SQLite file.",
    &[
        WHICH,
        Key::new("path", A_PATH, "The file.")
            .default("one in the state folder, named by the label"),
    ],
);

static KV_REDIS: Table = Table::new(
    "Redis key-value store",
    "A key-value store on a Redis server.",
    &[WHICH, Key::new("url", Form::Secret(&REDIS_URL), "The server.").required()],
);

static KV_MEMORY: Table = Table::new(
    "key-value store in memory",
    "A key-value store in the process's memory, gone when it ends. Only Dayfly has it.",
    &[WHICH],
);

static SQLITE_DATABASES: Tagged = Tagged {
    tag: "type",
    tables: &[("spin", &SQLITE_SPIN)],
    refused: &[("libsql", "use `spin`, an embedded SQLite file")],
};

static SQLITE_SPIN: Table = Table::new(
    "embedded SQL database",
    "A database in an SQLite file.",
    &[
        WHICH,
        Key::new("path", A_PATH, "The file.")
            .default("one in the state folder, named by the label"),
    ],
);

static BLOB_STORES: Tagged = Tagged { tag: "type", tables: &[("s3", &S3)], refused: &[] };

static S3: Table = Table::new(
    "S3 blob store",
    "A bucket of AWS or of another server that speaks S3. A container's objects are the bucket's whose keys begin with the prefix and the container's name.",
    &[
        WHICH,
        Key::new("bucket", Form::Text(&BUCKET), "The bucket. It must exist.").required(),
        Key::new(
            "prefix",
            Form::Text(&PREFIX),
            "What stands, with a slash, before the containers' names; nothing does if it is empty.",
        )
        .default("the app's name"),
        Key::new("endpoint", Form::Secret(&URL), "The server.")
            .default("`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` of the environment, then AWS"),
        Key::new("region", Form::Text(&NAME), "The region that requests are signed for.")
            .default("`AWS_REGION` or `AWS_DEFAULT_REGION`, then `us-east-1`"),
        Key::new(
            "path_style",
            Form::Bool,
            "Whether the bucket stands in the path of requests rather than before the host's name.",
        )
        .default("`true` with an endpoint, `false` without"),
        Key::new("access_key_id", SECRET, "The name of the key that opens it.")
            .default("`AWS_ACCESS_KEY_ID`"),
        Key::new("secret_access_key", SECRET, "The key.").default("`AWS_SECRET_ACCESS_KEY`"),
        Key::new("session_token", SECRET, "What belongs to a temporary key.")
            .default("`AWS_SESSION_TOKEN`, if the key is the environment's too"),
    ],
);

static MESSAGING: Tagged = Tagged {
    tag: "type",
    tables: &[
        ("nats", &MESSAGING_NATS),
        ("redis", &MESSAGING_REDIS),
        ("mqtt", &MESSAGING_MQTT),
        ("queue", &MESSAGING_QUEUE),
    ],
    refused: &[("kafka", "use `nats`, `redis`, `mqtt` or `queue`")],
};

static TOPIC: Form = Form::Text(&NAME);
const TOPIC_LIST: Form = Form::List(&TOPIC);

const TOPICS: Key = Key::new(
    "topics",
    TOPIC_LIST,
    "The topics that messages may be sent to; a `*` at the end stands for whatever follows.",
)
.default("all but those that begin with `$` or `_INBOX.`");

static MESSAGING_NATS: Table = Table::new(
    "NATS messaging client",
    "A NATS server.",
    &[WHICH, Key::new("url", Form::Secret(&NATS_URL), "The server.").required(), TOPICS],
);

static MESSAGING_REDIS: Table = Table::new(
    "Redis messaging client",
    "A Redis server, whose channels are the topics.",
    &[WHICH, Key::new("url", Form::Secret(&REDIS_URL), "The server.").required(), TOPICS],
);

static MESSAGING_MQTT: Table = Table::new(
    "MQTT messaging client",
    "An MQTT broker, asked by version 5, or 3.1.1 where it knows no other.",
    &[WHICH, Key::new("url", Form::Secret(&MQTT_URL), "The broker.").required(), TOPICS],
);

static MESSAGING_QUEUE: Table = Table::new(
    "queue messaging client",
    "The app's own queues, whose names are the topics.",
    &[
        WHICH,
        Key::new(
            "topics",
            TOPIC_LIST,
            "The queues that messages may be put into; a `*` at the end stands for whatever follows.",
        )
        .default("those that the app's manifest names"),
    ],
);

const PROVIDERS: Form = Form::List(&Form::Tagged(&VARIABLES_PROVIDERS));

static VARIABLES_PROVIDERS: Tagged = Tagged {
    tag: "type",
    tables: &[("env", &ENV), ("static", &STATIC), ("vault", &VAULT), ("open_bao", &VAULT)],
    refused: &[("azure_key_vault", "use `vault`, `env` or `static`")],
};

static ENV: Table = Table::new(
    "environment provider",
    "Values of the process environment, and of a dotenv file.",
    &[
        WHICH,
        Key::new(
            "prefix",
            Form::Text(&TEXT),
            "What stands, with an underscore, before a variable's name in capitals; if it is empty, nothing does.",
        )
        .default("`SPIN_VARIABLE`"),
        Key::new(
            "dotenv_path",
            A_PATH,
            "A file of `NAME=VALUE` lines, asked after the environment. It need not exist.",
        ),
    ],
);

static STATIC: Table = Table::new(
    "static provider",
    "Values that stand in the file itself.",
    &[
        WHICH,
        Key::new("values", Form::Map { key: &VARIABLE, value: &SECRET }, "The values, by name.")
            .required(),
    ],
);

static VAULT: Table = Table::new(
    "Vault provider",
    "HashiCorp Vault or OpenBao: the field `value` of a secret of the key-value engine, version 2.",
    &[
        WHICH,
        Key::new("url", Form::Secret(&URL), "The server.").required(),
        Key::new("token", SECRET, "The token that opens it.").required(),
        Key::new("mount", Form::Text(&NAME), "Where the engine is mounted, such as `secret`.")
            .required(),
        Key::new(
            "prefix",
            Form::Text(&TEXT),
            "What stands, with a slash, before the variables' names.",
        ),
    ],
);

static LLM_COMPUTE: Tagged = Tagged {
    tag: "type",
    tables: &[("remote_http", &LLM_REMOTE)],
    refused: &[("spin", "Dayfly runs no models itself: use `remote_http`")],
};

static LLM_REMOTE: Table = Table::new(
    "remote language models",
    "A server of language models.",
    &[
        WHICH,
        Key::new("url", Form::Secret(&URL), "The server.").required(),
        Key::new("auth_token", SECRET, "The token that opens it.").required(),
        Key::new("api_type", Form::Text(&LLM_API), "Which interface the server has.")
            .default("`default`"),
    ],
);

static CLIENT_TLS: Table = Table::new(
    "client TLS",
    "What clients of some components trust and show at some hosts. At all others, the platform's authorities are trusted, and no certificate is shown.",
    &[
        Key::new(
            "component_ids",
            Form::List(&Form::Text(&COMPONENT_ID)),
            "The components that it holds for.",
        )
        .required(),
        Key::new("hosts", Form::List(&Form::Text(&HOST)), "The hosts that it holds for.")
            .required(),
        Key::new(
            "ca_use_platform_roots",
            Form::Bool,
            "Whether the platform's authorities are trusted.",
        )
        .default("`true`, if the other two are not there"),
        Key::new("ca_use_webpki_roots", Form::Bool, "Whether Mozilla's authorities are trusted.")
            .default("`false`"),
        Key::new("ca_roots_file", A_PATH, "Further authorities that are trusted, PEM."),
        Key::new("client_cert_file", A_PATH, "The certificate chain that is shown, PEM."),
        Key::new("client_private_key_file", A_PATH, "The certificate's private key, PEM."),
    ],
);

static OUTBOUND_NETWORKING: Table = Table::new(
    "outbound networking",
    "Bounds of all that goes out, for all components of the app together.",
    &[
        Key::new(
            "block_networks",
            Form::List(&Form::Text(&NETWORK)),
            "Networks that nobody reaches, whatever a manifest grants.",
        ),
        Key::new("max_socket_connections", COUNT, "How many sockets of guests may be open."),
        Key::new("max_total_connections", COUNT, "How many connections of all kinds may be open."),
    ],
);

static OUTBOUND_HTTP: Table = Table::new(
    "outbound HTTP",
    "Bounds of outbound HTTP, for all components of the app together.",
    &[
        Key::new(
            "connection_pooling",
            Form::Bool,
            "Whether connections are kept for later requests.",
        )
        .default("`true`"),
        Key::new("max_connections", COUNT, "How many connections may be open."),
        Key::new("max_concurrent_requests", COUNT, "The older key, which permits one more.")
            .deprecated("max_connections"),
    ],
);

static OUTBOUND: Table = Table::new(
    "outbound connections",
    "Bounds of connections of one kind, for all components of the app together.",
    &[Key::new("max_connections", COUNT, "How many may be open.")],
);

static OUTBOUND_MQTT: Table = Table::new(
    "outbound MQTT",
    "Bounds of connections to MQTT brokers, for all components of the app together.",
    &[
        Key::new("max_connections", COUNT, "How many may be open."),
        Key::new("max_payload_size_bytes", COUNT, "The longest message that a guest may publish."),
    ],
);

static POSTGRES: Table = Table::new(
    "PostgreSQL",
    "What clients of PostgreSQL servers trust.",
    &[Key::new(
        "root_certificates",
        Form::List(&A_PATH),
        "Files of authorities that are trusted beside the platform's, PEM.",
    )],
);
