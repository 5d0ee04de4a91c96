//! Capabilities from scripts: the same steps by the same names in each language, against real servers.

mod blobs;
mod fetch;
mod perl;
mod sending;

use dayfly_testing::{App, MariaDb, Postgres, Redis, Running, Upstream};
use serde_json::{Value, json};

use super::with_interpreters;

/// The app of each language, which takes the same steps.
const APPS: [(&str, &str); 4] = [
    ("app.py", include_str!("capabilities/app.py")),
    ("app.rb", include_str!("capabilities/app.rb")),
    ("app.js", include_str!("capabilities/app.js")),
    ("app.psgi", include_str!("capabilities/app.psgi")),
];

/// A script with these grants.
fn granted(source: &str, script: &str, grants: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n[variables]\nname = {{ default = \"friend\" }}\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"script\"\n\
         [component.script]\nsource = \"{source}\"\n{grants}"
    ))
    .file(source, script)
}

/// What a step gives.
async fn step(server: &Running, step: &str) -> Value {
    let answer = server.get(&format!("/{step}")).await;
    let text = answer.text();
    assert_eq!(answer.status, 200, "{step}: {text}; {}", server.stderr().text());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{step}: {error} in {text}"))
}

/// Takes steps in each language; each must give the same.
async fn steps(grants: &str, steps: &[(&str, Value)]) {
    for (source, script) in APPS {
        let app = granted(source, script, grants);
        let server = with_interpreters().up(app.folder()).await;
        for (name, expected) in steps {
            assert_eq!(step(&server, name).await, *expected, "{source}, {name}");
        }
        server.stop().await;
    }
}

fn error(kind: &str, words: &str) -> Value {
    json!({ "kind": kind, "error": words })
}

#[tokio::test]
async fn variables_and_key_value_stores() {
    let grants =
        "variables = { greeting = \"hello {{ name }}!\" }\nkey_value_stores = [\"default\"]";
    let stored = json!(["one", [0, 255], null, true, ["a", "b"], false]);
    let denied = error("access-denied", "access denied");
    let told = [
        ("variables?greeting", json!("hello friend!")),
        ("variables?none", error("undefined", "undefined: the component has no variable `none`")),
        ("key_value", stored.clone()),
        ("key_value?default", stored),
        ("key_value?other", denied),
        ("empty_key", error("other", "a key may not be empty")),
    ];
    steps(grants, &told).await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_hosts_words() {
    let upstream = Upstream::start().await;
    let refused = format!("status?{}/", upstream.url());
    let told = [
        ("key_value", error("access-denied", "access denied")),
        ("sqlite", error("access-denied", "access denied")),
        ("redis?redis://127.0.0.1:6379", error("invalid-address", "invalid address")),
    ];
    steps("", &told).await;
    for (source, script) in APPS {
        let app = granted(source, script, "");
        let server = with_interpreters().up(app.folder()).await;
        let told = step(&server, &refused).await;
        assert_eq!(told["kind"], "HTTP-request-denied", "{source}: {told}");
        assert_eq!(told["error"], "HTTP request denied", "{source}: {told}");
        let told = step(&server, "database_error?postgres://user@127.0.0.1/x").await;
        let words = told["error"].as_str().unwrap();
        assert!(words.ends_with("is not permitted"), "{source}: {told}");
        server.stop().await;
    }
}

#[tokio::test]
async fn sql_on_sqlite() {
    let row = json!({ "a": 7, "b": 2.5, "c": "text", "d": [0, 1], "e": null, "f": 1 });
    let missing = error("io", "no such table: missing");
    let told = [
        ("sqlite", json!([1, 1, row])),
        ("sql?SELECT+1+AS+one", json!([{ "one": 1 }])),
        ("sql?SELECT+9007199254740993+AS+large", json!([{ "large": 9_007_199_254_740_993_u64 }])),
        ("sql?SELECT+*+FROM+missing", missing),
        ("many", json!([55 + 200_010_000 + 45_150, 100 * (10 + 20_000 + 300)])),
    ];
    for (source, script) in APPS {
        let app = granted(source, script, "sqlite_databases = [\"default\"]");
        let server = with_interpreters().up(app.folder()).await;
        for (name, expected) in &told {
            // JavaScript's JSON has no BigInt.
            if source != "app.js" || !name.contains("large") {
                assert_eq!(step(&server, name).await, *expected, "{source}, {name}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn numbers_that_do_not_fit_are_refused() {
    let limits = json!(["9223372036854775807", "-9223372036854775808"]);
    let refused = json!({ "kind": "range" });
    let told = [
        ("numbers?9223372036854775807,-9223372036854775808", limits),
        ("numbers?9223372036854775808", refused.clone()),
        ("numbers?-9223372036854775809", refused.clone()),
    ];
    // Python's numbers have no bounds, and `pack` knows them; Perl's larger ones are no whole numbers.
    let with_bounds = |(source, _): &(&str, &str)| matches!(*source, "app.rb" | "app.js");
    for (source, script) in APPS.into_iter().filter(with_bounds) {
        let app = granted(source, script, "sqlite_databases = [\"default\"]");
        let server = with_interpreters().up(app.folder()).await;
        for (name, expected) in &told {
            assert_eq!(step(&server, name).await, *expected, "{source}, {name}");
        }
        if source == "app.rb" {
            assert_eq!(step(&server, "timeout?-1").await, refused);
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn redis() {
    let redis = Redis::start().await;
    let grants = format!("allowed_outbound_hosts = [\"{}\"]", redis.url());
    let done = json!(["one", null, 1, 2, 2, ["x", "y"], 1, "OK", "5", null, 1, 2]);
    for (source, script) in APPS {
        let app = granted(source, script, &grants);
        let server = with_interpreters().up(app.folder()).await;
        let told = step(&server, &format!("redis?{}", redis.url())).await;
        assert_eq!(told, done, "{source}");
        let told = step(&server, &format!("redis_type?{}", redis.url())).await;
        assert_eq!(told, error("type-error", "type error"), "{source}");
        let mut client = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
        redis::cmd("FLUSHALL").exec(&mut client).unwrap();
        server.stop().await;
    }
}

#[tokio::test]
async fn sql_on_servers() {
    let (postgres, mariadb) = (Postgres::start().await, MariaDb::start().await);
    let grants =
        format!("allowed_outbound_hosts = [\"{}\", \"{}\"]", postgres.grant(), mariadb.grant());
    let of_postgres = json!([1, { "a": 7, "b": "text", "c": true, "d": null }]);
    let told = [
        (format!("postgres?{}", postgres.url()), of_postgres),
        (format!("mysql?{}", mariadb.url()), json!([{ "a": 7, "b": "text", "d": null }])),
    ];
    let told: Vec<_> = told.iter().map(|(step, told)| (step.as_str(), told.clone())).collect();
    steps(&grants, &told).await;
    for (source, script) in APPS {
        let app = granted(source, script, &grants);
        let server = with_interpreters().up(app.folder()).await;
        let told = step(&server, &format!("database_error?{}", postgres.url())).await;
        assert_eq!(told["kind"], "query-failed", "{source}: {told}");
        let words = told["error"].as_str().unwrap();
        assert!(words.contains("syntax error"), "{source}: {told}");
        server.stop().await;
    }
}

#[tokio::test]
async fn outbound_http() {
    let upstream = Upstream::start().await;
    let grants = format!("allowed_outbound_hosts = [\"{}\"]", upstream.url());
    let done =
        json!([200, true, "GET / HTTP/1.1", true, "POST /to?a=b HTTP/1.1", "a body", "one two"]);
    // The second one leaves an answer unread.
    let (all, status) = (format!("http?{}", upstream.url()), format!("status?{}/", upstream.url()));
    steps(&grants, &[(&all, done), (&status, json!([200, 200]))]).await;
}

#[tokio::test]
async fn granted_files_by_the_languages_own_functions() {
    for (source, script) in APPS {
        let grants = "files = [{ source = \"notes\", destination = \"/notes\" },\n\
            { source = \"kept\", destination = \"/kept\", writable = true }]";
        let app = granted(source, script, grants).file("notes/note.txt", "a note");
        let app = app.file("kept/old.txt", "");
        let server = with_interpreters().up(app.folder()).await;
        assert_eq!(step(&server, "file?/notes/note.txt").await, "a note", "{source}");
        assert_eq!(step(&server, "written?/kept/new.txt").await, "written", "{source}");
        assert_eq!(app.text("kept/new.txt"), "written", "{source}");
        for refused in ["file?/etc/passwd", "file?/app/app.py", "written?/notes/new.txt"] {
            let status = server.get(&format!("/{refused}")).await.status;
            assert_eq!(status, 500, "{source}, {refused}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_granted_while_the_app_is_loaded() {
    for (source, script) in [
        ("app.py", "import dayfly.variables\ndayfly.variables.get('name')\n"),
        ("app.rb", "Dayfly::Variables.get('name')\n"),
        ("app.psgi", "use Dayfly; Dayfly::Variables->get('name');\n"),
        ("app.js", "import { variables } from 'dayfly';\nvariables.get('name');\n"),
        ("app.js", "await fetch('http://127.0.0.1/');\n"),
    ] {
        let app = granted(source, script, "variables = { name = \"x\" }");
        let told = with_interpreters().up_ends(app.folder()).await.with(1);
        let expected = "while the app is loaded nothing is granted";
        assert!(told.contains(expected), "{script}: {told}");
    }
}

#[tokio::test]
async fn a_script_that_misuses_the_bridge_ends_its_own_instance_alone() {
    let python = "from array import array\nfrom dayfly.bridge import native\n\
        def app(environ, start_response):\n    start_response('200 OK', [])\n    \
        if environ['PATH_INFO'] == '/peek': native[1](array('I', [4294967040, 4096]))\n    \
        if environ['PATH_INFO'] == '/call': native[0](array('I', [9999, 0, 0, 0]))\n    \
        return [b'\"well\"']\n";
    let ruby = "run ->(env) {\n  bridge = Dayfly::Bridge\n  \
        bridge.peek(4294967040, 4096) if env['PATH_INFO'] == '/peek'\n  \
        bridge::CALL.pwrite([4294967040].pack('L'), 0) if env['PATH_INFO'] == '/call'\n  \
        [200, {}, ['\"well\"']]\n}\n";
    let javascript = "import { call, peek } from '/dayfly/system.js';\n\
        export default { fetch({ url }) {\n  if (url.endsWith('/peek')) peek(4294967040, 4096);\n  \
        if (url.endsWith('/call')) call(new DataView(new Uint32Array([9999, 0, 0, 0]).buffer));\n  \
        return new Response('\"well\"');\n} };\n";
    let perl = "sub {\n  my $path = shift->{PATH_INFO};\n  \
        Dayfly::Bridge::peek(4294967040, 4096) if $path eq '/peek';\n  \
        my $block = pack 'L4', 9999, 0, 0, 0;\n  \
        Dayfly::Bridge::enter(unpack 'L', pack 'P', $block) if $path eq '/call';\n  \
        return [200, [], ['\"well\"']];\n};\n";
    let apps = [("app.py", python), ("app.rb", ruby), ("app.js", javascript), ("app.psgi", perl)];
    for (source, script) in apps {
        let app = granted(source, script, "");
        let server = with_interpreters().up(app.folder()).await;
        for misuse in ["/peek", "/call"] {
            assert_eq!(server.get(misuse).await.status, 500, "{source}, {misuse}");
            assert_eq!(step(&server, "other").await, "well", "{source}");
        }
        server.stop().await;
    }
}
