//! What guests are asked, and what they answer: a line of a script, then the answer's line. `…` at
//! the end of an answer stands for whatever follows, and names in braces for the test's servers.

/// Whether JavaScript can make a call: componentize-js 0.19 ends the program at a negative number of
/// 64 bits.
pub fn javascript_can(call: &str) -> bool {
    !call.contains(" -")
}

/// Calls with their answers.
pub type Conversation = &'static [(&'static str, &'static str)];

/// What an interface is asked where it is granted, by the word of its path and its name.
pub fn granted(word: &str, interface: &str) -> Vec<(&'static str, &'static str)> {
    let parts: &[Conversation] = match interface {
        "fermyon:spin/key-value@2.0.0" | "spin:key-value/key-value@3.0.0" => &[KEY_VALUE],
        "wasi:keyvalue/store@0.2.0-draft2" => &[WASI_KEY_VALUE, WASI_SWAPS],
        "fermyon:spin/sqlite@2.0.0" => &[SQLITE],
        "spin:sqlite/sqlite@3.0.0" | "spin:sqlite/sqlite@3.1.0" => &[SQLITE, SQLITE_COUNTS],
        "fermyon:spin/postgres@2.0.0" => &[POSTGRES, POSTGRES_2],
        "spin:postgres/postgres@3.0.0" => &[POSTGRES, POSTGRES_3],
        "spin:postgres/postgres@4.0.0" => &[POSTGRES, POSTGRES_3, POSTGRES_4],
        "spin:postgres/postgres@4.2.0" => &[POSTGRES, POSTGRES_3, POSTGRES_4],
        "fermyon:spin/mysql@2.0.0" | "spin:mysql/mysql@3.0.0" => &[MYSQL],
        "fermyon:spin/redis@2.0.0" | "spin:redis/redis@3.0.0" => &[REDIS],
        "fermyon:spin/mqtt@2.0.0" | "spin:mqtt/mqtt@3.0.0" => &[MQTT],
        "fermyon:spin/variables@2.0.0" | "spin:variables/variables@3.0.0" => &[VARIABLES],
        "wasi:config/store@0.2.0-draft-2024-09-27" => &[WASI_CONFIG],
        "fermyon:spin/llm@2.0.0" => &[LLM],
        other => panic!("no conversation about {other}"),
    };
    // What the SDKs' own modules have beside the interface's functions.
    let more = match word {
        "key-value" => KEY_VALUE_DEFAULT,
        "sqlite" => SQLITE_DEFAULT,
        _ => &[],
    };
    [parts.concat().as_slice(), more].concat()
}

/// What it is asked where nothing is granted.
pub fn denied(kind: &str) -> Conversation {
    match kind {
        "key-value" | "keyvalue" | "sqlite" => &[("open default", "error access-denied")],
        "postgres" | "mysql" => &[("open {address}", "error connection-failed …")],
        "redis" => &[("open {address}", "error invalid-address")],
        "mqtt" => &[("open {address}", "error connection-failed …")],
        "variables" => &[("get greeting", "error undefined …")],
        "config" => &[("get greeting", "none"), ("get-all", "")],
        "llm" => &[("infer test-model hello", "error invalid-input …")],
        other => panic!("no conversation about {other}"),
    }
}

/// What it is asked while its server is down.
pub fn without_server(kind: &str) -> Conversation {
    match kind {
        "postgres" | "mysql" | "mqtt" => &[("open {address}", "error connection-failed …")],
        "redis" => &[("open {address}", "error other …")],
        _ => &[],
    }
}

/// What it is asked when its server is there again.
pub fn with_server_again(kind: &str) -> Conversation {
    match kind {
        "postgres" | "mysql" => {
            &[("open {address}", "none"), ("query SELECT 1 AS one", "one: int…")]
        }
        "redis" => &[("open {address}", "none"), ("get text", "none")],
        "mqtt" => &[("open {address}", "none"), ("publish 1 home/door open", "none")],
        _ => &[],
    }
}

/// What it is asked where an instance may open two connections and a database have 1 MiB.
pub fn limited(kind: &str) -> Conversation {
    match kind {
        "key-value" | "keyvalue" => &[
            ("open default", "none"),
            ("set {long} value", "error other …"),
            ("get {long}", "error other …"),
            ("set a {huge}", "error other …"),
            ("exists a", "false"),
        ],
        "sqlite" => &[
            ("open default", "none"),
            ("execute DROP TABLE IF EXISTS big", ": "),
            ("execute CREATE TABLE big (a)", ": "),
            ("execute INSERT INTO big VALUES (?)\ttext {huge}", "error …"),
            ("execute SELECT count(*) AS n FROM big", "n: integer 0"),
        ],
        "postgres" | "mysql" => &[
            ("open {address}", "none"),
            ("open {address}", "none"),
            ("open {address}", "error connection-failed …"),
        ],
        "redis" => &[
            ("open {address}", "none"),
            ("set a {huge}", "error other …"),
            ("open {address}", "none"),
            ("open {address}", "error too-many-connections"),
        ],
        "mqtt" => &[
            ("open {address}", "none"),
            ("publish 1 home/door {huge}", "error other …"),
            ("open {address}", "none"),
            ("open {address}", "error too-many-connections"),
        ],
        "llm" => &[("infer test-model {huge}", "error invalid-input …")],
        "variables" | "config" => &[],
        other => panic!("no conversation about {other}"),
    }
}

const KEY_VALUE: Conversation = &[
    ("open default", "none"),
    ("get a", "none"),
    ("exists a", "false"),
    ("set a first", "none"),
    ("set b", "none"),
    ("set c grüße", "none"),
    ("get a", "first"),
    ("get b", ""),
    ("get c", "grüße"),
    ("set a second", "none"),
    ("get a", "second"),
    ("exists a", "true"),
    ("get-keys", "a b c"),
    ("delete a", "none"),
    ("delete a", "none"),
    ("get-keys", "b c"),
    ("delete b", "none"),
    ("delete c", "none"),
    ("get-keys", ""),
    ("open other", "error access-denied"),
];

const KEY_VALUE_DEFAULT: Conversation = &[("open-default", "none"), ("exists a", "false")];

const WASI_KEY_VALUE: Conversation = &[
    ("open default", "none"),
    ("get a", "none"),
    ("exists a", "false"),
    ("set a first", "none"),
    ("get a", "first"),
    ("exists a", "true"),
    ("list-keys", "a then none"),
    ("set-many b=1 c=2", "none"),
    ("get-many a x c", "a=first x=none c=2"),
    ("list-keys", "a b c then none"),
    ("delete a", "none"),
    ("delete-many b c x", "none"),
    ("list-keys", "then none"),
    ("increment n 5", "5"),
    ("increment n -7", "-2"),
    ("delete n", "none"),
    ("increment n 7", "7"),
    ("delete n", "none"),
    ("open other", "error access-denied"),
];

const WASI_SWAPS: Conversation = &[
    ("open default", "none"),
    ("watch s", "none"),
    ("swap one", "none"),
    ("watch s", "one"),
    ("set s meddled", "none"),
    ("swap two", "lost to meddled"),
    ("swap two", "none"),
    ("get s", "two"),
    ("delete s", "none"),
];

const SQLITE: Conversation = &[
    ("open default", "none"),
    ("execute DROP TABLE IF EXISTS t", ": "),
    ("execute CREATE TABLE t (a INTEGER PRIMARY KEY, b REAL, c TEXT, d BLOB, e)", ": "),
    (
        "execute INSERT INTO t VALUES (?, ?, ?, ?, ?)\tinteger 7\treal 1.5\ttext grüße\tblob ab\tnull",
        ": ",
    ),
    (
        "execute SELECT a, b, c, d AS last, e FROM t WHERE c = ?\ttext grüße",
        "a|b|c|last|e: integer 7, real 1.5, text grüße, blob ab, null",
    ),
    ("execute SELECT a FROM t WHERE a = ?\tinteger 1", "a: "),
    ("execute SELECT ? AS low\tinteger -9223372036854775808", "low: integer -9223372036854775808"),
    (
        "execute SELECT ? AS high UNION ALL SELECT 0 - ?\tinteger 9223372036854775807\tinteger 7",
        "high: integer 9223372036854775807; integer -7",
    ),
    ("execute SELECT * FROM missing", "error io no such table: missing"),
    ("execute SELECT ?\ttext a\ttext b", "error io …"),
    ("execute ATTACH 'other.db' AS other", "error io …"),
    ("open other", "error access-denied"),
];

const SQLITE_COUNTS: Conversation = &[
    ("open default", "none"),
    ("execute INSERT INTO t (a) VALUES (20), (30)", ": "),
    ("last-insert-rowid", "30"),
    ("changes", "2"),
];

const SQLITE_DEFAULT: Conversation =
    &[("open-default", "none"), ("execute SELECT 1 AS one", "one: integer 1")];

const POSTGRES: Conversation = &[
    ("open {address}", "none"),
    ("execute DROP TABLE IF EXISTS t", "0"),
    ("execute CREATE TABLE t (id int4 PRIMARY KEY, name text)", "0"),
    ("execute INSERT INTO t VALUES ($1, $2), (2, 'two')\tint32 1\tstr grüße", "2"),
    (
        "query SELECT id, name FROM t WHERE id > $1 ORDER BY id\tint32 0",
        "id|name: int32 1, str grüße; int32 2, str two",
    ),
    ("query SELECT id FROM t WHERE id > 9", "id: "),
    ("execute DELETE FROM t WHERE id = $1\tint32 2", "1"),
    ("query SELECT $1::bool AS v\tboolean true", "v: boolean true"),
    ("query SELECT $1::int2 AS v\tint16 -32768", "v: int16 -32768"),
    ("query SELECT $1::int8 AS v\tint64 -9223372036854775808", "v: int64 -9223372036854775808"),
    ("query SELECT $1::int8 AS v\tint64 9223372036854775807", "v: int64 9223372036854775807"),
    ("query SELECT $1::float4 AS v\tfloating32 1.5", "v: floating32 1.5"),
    ("query SELECT $1::float8 AS v\tfloating64 -2.25", "v: floating64 -2.25"),
    ("query SELECT $1::bytea AS v\tbinary ab", "v: binary ab"),
    ("query SELECT $1::text AS v\tdb-null", "v: db-null"),
    ("query SELEKT", "error query-failed …"),
    ("execute INSERT INTO t VALUES (1, 'again')", "error query-failed …"),
    ("query SELECT $1::int4\tstr text", "error …"),
    ("query SELECT 1 AS one", "one: int32 1"),
    ("open {address}/nothing", "error connection-failed …"),
];

const POSTGRES_2: Conversation = &[
    ("open {address}", "none"),
    ("query SELECT $1::int4 AS v\tuint16 65535", "v: int32 65535"),
    ("query SELECT '2024-02-29'::date AS v", "v: unsupported"),
];

const POSTGRES_3: Conversation = &[
    ("open {address}", "none"),
    ("query SELECT $1::date AS v\tdate 2024,2,29", "v: date 2024,2,29"),
    ("query SELECT $1::time AS v\ttime 23,59,59,5000", "v: time 23,59,59,5000"),
    (
        "query SELECT $1::timestamp AS v\tdatetime 1969,12,31,23,59,59,5000",
        "v: datetime 1969,12,31,23,59,59,5000",
    ),
    ("query SELECT $1::timestamptz AS v\ttimestamp 86400", "v: datetime 1970,1,2,0,0,0,0"),
];

const POSTGRES_4: Conversation = &[
    ("open {address}", "none"),
    (
        "query SELECT $1::uuid AS v\tuuid 67e55044-10b1-426f-9247-bb680e5fe0c8",
        "v: uuid 67e55044-10b1-426f-9247-bb680e5fe0c8",
    ),
    ("query SELECT $1::jsonb AS v\tjsonb {\"a\":1}", "v: jsonb {\"a\": 1}"),
    ("query SELECT $1::numeric AS v\tdecimal -1234567890.0123", "v: decimal -1234567890.0123"),
    ("query SELECT $1::text[] AS v\tarray-str a,b", "v: array-str a,b"),
    ("query SELECT $1::int4[] AS v\tarray-int32 1,-2", "v: array-int32 1,-2"),
];

const MYSQL: Conversation = &[
    ("open {address}", "none"),
    ("execute CREATE OR REPLACE TABLE t (id int PRIMARY KEY, name text)", "none"),
    ("execute INSERT INTO t VALUES (?, ?), (2, 'two')\tint32 1\tstr grüße", "none"),
    (
        "query SELECT id, name FROM t WHERE id > ? ORDER BY id\tint32 0",
        "id|name: int32 1, str grüße; int32 2, str two",
    ),
    ("query SELECT id FROM t WHERE id > 9", "id: "),
    ("execute DELETE FROM t WHERE id = ?\tint32 2", "none"),
    (
        "query SELECT CAST(? AS SIGNED) AS v\tint64 -9223372036854775807",
        "v: int64 -9223372036854775807",
    ),
    (
        "query SELECT CAST(? AS UNSIGNED) AS v\tuint64 9223372036854775807",
        "v: uint64 9223372036854775807",
    ),
    ("query SELECT CAST(? AS DOUBLE) AS v\tfloating64 -2.25", "v: floating64 -2.25"),
    ("query SELECT CAST(? AS BINARY) AS v\tbinary ab", "v: binary ab"),
    ("query SELECT name AS v FROM t WHERE ? IS NULL\tdb-null", "v: str grüße"),
    ("query SELECT CAST(? AS DATE) AS v\tstr 2024-02-29", "v: str 2024-02-29"),
    ("query SELEKT", "error query-failed …"),
    ("execute INSERT INTO t VALUES (1, 'again')", "error query-failed …"),
    ("execute SELECT 1\tint32 1", "error …"),
    ("query SELECT id FROM t", "id: int32 1"),
    ("open {address}nothing", "error connection-failed …"),
];

const REDIS: Conversation = &[
    ("open {address}", "none"),
    ("set text value", "none"),
    ("get text", "value"),
    ("get nothing", "none"),
    ("incr number", "1"),
    ("incr number", "2"),
    ("incr text", "error type-error"),
    ("sadd set a b", "2"),
    ("sadd set b", "0"),
    ("smembers set", "a b"),
    ("smembers nothing", ""),
    ("smembers text", "error type-error"),
    ("srem set a c", "1"),
    ("publish channel message", "none"),
    ("delete text number nothing", "2"),
    ("get set", "error type-error"),
    ("execute SET text 77", "status OK"),
    ("execute GET text", "binary 77"),
    ("execute MGET text nothing", "binary 77 nil"),
    ("execute STRLEN text", "int64 2"),
    ("execute APPEND text -7", "int64 4"),
    ("execute NOSUCH", "error other …"),
    ("execute DEL text set", "int64 2"),
    ("open nothing", "error invalid-address"),
];

const MQTT: Conversation = &[
    ("open {address}", "none"),
    ("publish 0 home/door open", "none"),
    ("publish 1 home/door open", "none"),
    ("publish 2 home/door open", "none"),
    ("publish 1 home/# open", "error other …"),
    ("open nothing", "error invalid-address"),
];

const VARIABLES: Conversation = &[
    ("get greeting", "hello friend"),
    ("get nothing", "error undefined …"),
    ("get No", "error invalid-name …"),
];

const WASI_CONFIG: Conversation = &[
    ("get greeting", "hello friend"),
    ("get nothing", "none"),
    ("get-all", "greeting=hello friend name=friend"),
];

const LLM: Conversation = &[
    ("infer test-model hello", "3 5 olleh"),
    ("infer-with-options test-model hello", "3 5 olleh"),
    ("generate-embeddings test-model a def", "2 [[1.0, 1.0, 0.5], [3.0, 1.0, 0.5]]"),
    ("infer other-model hello", "error model-not-supported"),
    ("infer unknown hello", "error invalid-input …"),
    ("infer test-model", "error invalid-input …"),
];
