//! `dayfly test`: what holds passes, what does not is told, and nothing gets out.

use dayfly_testing::{App, Redis, Upstream};
use serde_json::Value;

use super::command;

/// An app of many triggers, with these tests.
fn shop(tests: &str) -> App {
    App::new(
        "dayfly = 1\n[application]\nname = \"shop\"\n\
         [variables]\ncolour = { required = true }\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"web\"\n\
         [component.web]\nsource = \"guest:rust-http\"\nvariables = { colour = \"{{ colour }}\" }\n\
         allowed_outbound_hosts = [\"https://api.example.com\", \"http://127.0.0.1:*\"]\n\
         files = [{ source = \"data\", destination = \"/data\", writable = true }]\n\
         [[trigger.http]]\nroute = \"/old-kv/...\"\ncomponent = \"store\"\n\
         [[trigger.http]]\nroute = \"/old-llm/...\"\ncomponent = \"store\"\n\
         [component.store]\nsource = \"guest:rust-interfaces\"\n\
         key_value_stores = [\"default\", \"cache\"]\nai_models = [\"test-model\"]\n\
         [[trigger.http]]\nroute = \"/sqlite/...\"\ncomponent = \"sql\"\n\
         [component.sql]\nsource = \"guest:rust-spin-3\"\nsqlite_databases = [\"default\"]\n\
         [[trigger.queue]]\nid = \"jobs\"\nqueue = \"jobs\"\ncomponent = \"worker\"\n\
         output = \"redis://done?as=queue\"\n\
         [[trigger.redis]]\nid = \"news\"\naddress = \"redis://127.0.0.1:1\"\nchannel = \"news\"\n\
         component = \"worker\"\noutput = \"component:second\"\n\
         [[trigger.cron]]\nid = \"noon\"\ncron_expression = \"* * * * * *\"\ncomponent = \"worker\"\n\
         [component.worker]\nsource = \"guest:rust-events\"\n\
         [component.second]\nsource = \"guest:rust-events\"\n\
         [[trigger.http]]\nroute = \"/chat\"\ncomponent = \"chat\"\nwebsocket = { join = [\"all\"] }\n\
         [component.chat]\nsource = \"guest:rust-websocket\"\n\
         [[trigger.command]]\ncomponent = \"job\"\nargs = [\"args\"]\n\
         [component.job]\nsource = \"guest:rust-command\"\n",
    )
    .file("data/kept", "as it was")
    .file("tests/shop.toml", format!("[setup]\nvariables.colour = \"red\"\n{tests}"))
}

/// Runs the tests of an app; what was told of each, for machines.
async fn told(app: &App, words: &[&str], status: i32) -> Value {
    let ended = command(&["test", "--json"]).args(words).arg(app.folder()).ends().await;
    let shown = format!("{ended:#?}");
    assert_eq!(ended.code, Some(status), "{shown}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

/// What was not as expected, a line each: the test, what was looked at, what was expected and came.
fn failures(told: &Value) -> Vec<String> {
    let tests = told["tests"].as_array().unwrap().iter();
    let lines = tests.flat_map(|test| {
        let failures = test["failures"].as_array().unwrap().iter();
        failures.map(move |it| {
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            let name = test["name"].as_str().unwrap();
            format!("{name}: {}: {} / {}", text("what"), text("expected"), text("got"))
        })
    });
    lines.collect()
}

#[tokio::test]
async fn what_holds_passes() {
    let app = shop(
        r#"environment.DEBUG = "1"

[setup.key_value]
default.greeting = "hello"
cache.cart = { json = { items = ["tea"] } }

[setup.sqlite]
default = ["CREATE TABLE t (a, b)", { file = "rows.sql" }]

[[setup.http]]
request = "POST https://api.example.com/orders"
body = { contains = "nothing such" }
response = { status = 500 }

[[setup.http]]
request = "https://api.example.com/*"
response = { status = 203, headers.x-one = "1", json = { price = 3 } }

[[setup.llm]]
prompt = { contains = "weather" }
answer = "it rains"

[[test]]
name = "a request is answered"
request = "GET /hello"
expect = { status = 200, headers.x-nothing = { absent = true }, body = "hello world" }

[[test]]
name = "variables and the environment are set"

[[test.step]]
request = "/config/colour"
expect.body = { contains = "red" }

[[test.step]]
request = "/env"
expect.body = { contains = "DEBUG" }

[[test]]
name = "a test has its own"
setup.variables.colour = "blue"
request = "/config/colour"
expect.body = { contains = "blue", lacks = "red" }

[[test]]
name = "what is sent comes back"
request = { method = "PUT", path = "/echo", json = { a = [1, { b = 2 }] }, headers.x-two = "2" }
expect.body = { json = { a = [1, {}] }, at."/a/1/b" = 2 }

[[test]]
name = "stores hold what was put"

[[test.step]]
request = "/old-kv/get?key=greeting"
expect.body = "hello"

[[test.step]]
request = { path = "/old-kv/set?key=new", body = "value" }
expect.key_value.default = { new = "value", greeting = "hello", other = { absent = true } }

[[test.step]]
expect.key_value.cache.cart = { at."/items/0" = "tea" }

[[test]]
name = "databases hold what was put"
request = { path = "/sqlite/default", body = "INSERT INTO t VALUES (3, 'c')" }
expect.sqlite = [
  { query = "SELECT a, b FROM t ORDER BY a", rows = [[1, "a"], [2.5, {}], [3, "c"]] },
]

[[test]]
name = "outbound requests are answered"
request = { path = "/fetch?method=POST&url=https://api.example.com/orders?id=7", body = "an order" }
expect.body = { contains = ["203", "{\"price\":3}"] }
expect.requests = [{ request = "POST https://api.example.com/orders?id=7", body = "an order" }]

[[test]]
name = "models are answered for"
request = { path = "/old-llm/infer", body = "how is the weather" }
expect.body = "4 2 it rains"

[[test]]
name = "a message of a queue is handled and its answer passed on"
event = { trigger = "jobs", body = "the dishes" }
expect = { body = "the dishes", log = { contains = "handled the dishes" }, outputs = [
  { to = "redis://127.0.0.1:6379/done?as=queue", body = "the dishes" },
] }

[[test]]
name = "a message of Redis goes to both"
event = { trigger = "news", body = "facts", attributes.kind = "x" }
expect.body = { regex = '^dayfly.redis.message\|/redis/127.0.0.1:1\|news' }
expect.log = { contains = "handled facts" }
expect.outputs = [{ to = "component:second" }]

[[test]]
name = "noon comes when it is told to"
event = { trigger = "noon", body = "facts" }
expect.body = { contains = "dayfly.cron" }

[[test]]
name = "an event is given up"
event = { trigger = "jobs", body = "fail" }
expect.error = { contains = ["418", "5 times"] }

[[test]]
name = "people talk"

[[test.step]]
websocket = { name = "ada", connect = "/chat" }

[[test.step]]
websocket = { name = "bob", connect = "/chat", send = "say all hi" }
expect.messages = ["hi", { contains = "2" }]

[[test.step]]
websocket = { name = "ada", send_bytes = "bytes", close = true }
expect.messages = ["hi", "bytes"]

[[test.step]]
websocket = "/chat?deny=403"
expect = { status = 403 }

[[test]]
name = "a command runs"

[[test.step]]
command = "job"
expect.body = "args\n"

[[test.step]]
command = { component = "job", arguments = ["-x"] }
expect = { status = 0, body = "args\n-x\n" }

[[test]]
name = "files are copies"

[[test.step]]
request = "/read?path=/data/kept"
expect.body = { contains = "as it was" }

[[test.step]]
request = { path = "/write?path=/data/kept", body = "other" }

[[test.step]]
request = "/read?path=/data/kept"
expect.body = { contains = "other" }
"#,
    )
    .file("tests/rows.sql", "INSERT INTO t VALUES (1, 'a'), (2.5, NULL);");
    let told = told(&app, &[], 0).await;
    assert_eq!(failures(&told), [""; 0]);
    assert_eq!((told["ok"].as_bool(), told["passed"].as_u64()), (Some(true), Some(15)));
    let kept = std::fs::read_to_string(app.path("data/kept")).unwrap();
    assert_eq!(kept, "as it was");
    assert!(!app.path(".dayfly/key-value").exists());
}

#[tokio::test]
async fn what_does_not_is_told() {
    let app = shop(
        r#"
[[setup.http]]
request = "GET https://api.example.com/a"
response = "a"

[[test]]
name = "status"
request = "/nothing"

[[test]]
name = "trap"
request = "/panic"

[[test]]
name = "body"
request = "/hello"
expect = { status = 201, body = "hello\nall", headers.content-type = { absent = true } }

[[test]]
name = "log"
request = "/hello"
expect = { log = { contains = "never" }, within = "50ms" }

[[test]]
name = "store"
request = "/hello"
expect = { key_value.default.a = "1", within = "50ms" }

[[test]]
name = "sql"
request = "/hello"
expect = { sqlite = [{ query = "SELECT 1", rows = [[2]] }], within = "50ms" }

[[test]]
name = "outputs"
event = { trigger = "jobs", body = "a" }
expect = { outputs = [{ to = "redis://done?as=queue", body = "b" }], within = "50ms" }

[[test]]
name = "kept in"
request = "/fetch?url=https://api.example.com/b"
expect = { requests = [{ request = "GET https://api.example.com/c" }], within = "50ms" }

[[test]]
name = "not granted"
request = "/fetch?url=https://other.example.com/"

[[test]]
name = "handled"
event = { trigger = "jobs", body = "a" }
expect.error = { contains = "x" }

[[test]]
name = "nobody"
event = { trigger = "nobody" }

[[test]]
name = "time"
timeout = "300ms"
request = "/sleep?ms=60000"

[[test]]
name = "silence"
websocket = "/chat"
expect = { messages = ["hi"], within = "50ms" }

[[test]]
name = "exit"
command = { component = "job", arguments = ["x"], stdin = { file = "missing" } }
"#,
    );
    let told = told(&app, &[], 1).await;
    let failures = failures(&told);
    let expected = [
        "status: status: below 400 / 404, with no such path: /nothing",
        "trap: status: below 400 / 500, with the handler failed (error ",
        "body: status: 201 / 200",
        "body: header content-type: nothing / text/plain",
        "body: body: hello\nall / hello world",
        "log: log: to contain \"never\" / ",
        "store: key \"a\" of store `default`: 1 / nothing",
        "sql: `SELECT 1`: [[2]] / [[1]]",
        "outputs: output redis://done?as=queue: b / a",
        "kept in: status: below 400 / 502, with",
        "not granted: status: below 400 / 502, with",
        "handled: error: to contain \"x\" / nothing",
        "nobody: it: an answer / no trigger of events has the id `nobody`, or wakes `nobody`; the app has jobs, news, noon",
        "time: time: the test to end within 300ms / it was still in this step",
        "silence: message 1: hi / nothing",
        "exit: it: an answer / failed to read",
    ];
    for expected in expected {
        assert!(failures.iter().any(|it| it.starts_with(expected)), "{expected}: {failures:#?}");
    }
    assert_eq!(told["failed"], 14, "{failures:#?}");
    let log = |name: &str| {
        let tests = told["tests"].as_array().unwrap();
        tests.iter().find(|test| test["name"] == name).unwrap()["log"].to_string()
    };
    assert!(log("trap").contains("the handler failed: "), "{}", log("trap"));
    assert!(log("kept in").contains("https://api.example.com:443"), "{}", log("kept in"));
    let grant =
        "`allowed_outbound_hosts = [\\\"https://other.example.com:443\\\"]` of component `web`";
    assert!(log("not granted").contains(grant), "{}", log("not granted"));
}

#[tokio::test]
async fn people_see_what_differs_and_where() {
    let app = shop(
        "[[test]]\nname = \"good\"\nrequest = \"/hello\"\n\n\
         [[test]]\nname = \"bad\"\nrequest = \"/hello\"\nexpect.body = \"hello\\nall\"\n",
    );
    let ended = command(&["test"]).within(app.folder()).ends().await;
    let out = ended.stdout.clone();
    let lines: Vec<&str> = out.lines().collect();
    let [good, bad, rest @ ..] = &lines[..] else { panic!("{out}") };
    assert!(good.starts_with("PASS  tests/shop.toml  good ("), "{out}");
    assert!(bad.starts_with("FAIL  tests/shop.toml  bad ("), "{out}");
    let expected = [
        "    tests/shop.toml:7:1: GET /hello",
        "      body:",
        "        - hello",
        "        - all",
        "        + hello world",
    ];
    assert_eq!(rest, expected);
    assert!(ended.with(1).contains("Tested `shop`: 1 passed, 1 failed, in "));
    let ended = command(&["test", "--only", "good"]).within(app.folder()).ends().await;
    assert!(ended.with(0).contains("1 passed, 0 failed"));
    let listed = command(&["test", "--list"]).within(app.folder()).ends().await;
    assert_eq!(listed.with_stdout(0), "tests/shop.toml  good\ntests/shop.toml  bad\n");
    let none = command(&["test", "--only", "ugly"]).within(app.folder()).ends().await;
    assert!(none.with(1).contains("no test is called like `ugly`"));
}

#[tokio::test]
async fn mistakes_of_all_files_are_told_with_their_places() {
    let app = shop("[[test]]\nname = \"a\"\nreqest = \"/\"\n")
        .file("tests/other.toml", "[[test]]\nname = \"b\"\nrequest = \"nowhere\"\n");
    let said = command(&["test"]).within(app.folder()).ends().await.with(1);
    for told in [
        "tests/other.toml:3:11: `test[0].request` is not a request: \"nowhere\" does not begin with `/`",
        "tests/shop.toml:5:1: unknown key `reqest` in `test[0]`",
        "did you mean `request`?",
    ] {
        assert!(said.contains(told), "no `{told}` in {said}");
    }
    let app = App::of("rust-hello");
    let said = command(&["test"]).within(app.folder()).ends().await.with(1);
    assert!(said.contains("the app has no tests"), "{said}");
}

#[tokio::test]
async fn what_is_real_is_reached() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let url = upstream.url();
    let tests = |real: &str| {
        format!(
            "real = [{real}]\n[[test]]\nname = \"out\"\nrequest = \"/fetch?url={url}/\"\n\
             [[test]]\nname = \"cache\"\nrequest = {{ path = \"/old-kv/set?store=cache&key=a\", body = \"1\" }}\n\
             expect.key_value.cache.a = \"1\"\n"
        )
    };
    let config = format!("[key_value_store.cache]\ntype = \"redis\"\nurl = \"{}\"\n", redis.url());
    let app = shop(&tests(&format!("{url:?}"))).file("rc.toml", config);
    let config = app.path("rc.toml").display().to_string();
    told(&app, &["--runtime-config-file", &config], 0).await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut client = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
    assert_eq!(keys.len(), 1, "it is really there: {keys:?}");
    let app = shop(&tests(""));
    let refused = told(&app, &["--only", "out"], 1).await;
    assert!(refused.to_string().contains(&format!("does not name {url}")), "{refused:#}");
}
