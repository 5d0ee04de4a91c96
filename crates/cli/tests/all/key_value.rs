//! Key-value stores, by each interface that Spin or WASI has for them.

use std::path::Path;
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Redis, Running};

use crate::dayfly;

const GRANT: &str = "key_value_stores = [\"default\"]";

async fn get(server: &Client, path: &str) -> (u16, String) {
    let answer = server.get(path).await;
    (answer.status, answer.text())
}

async fn set(server: &Client, path: &str, value: impl Into<bytes::Bytes>) {
    let answer = server.post(path, value).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "stored\n"), "{path}");
}

/// Every function that stores by `kv` (or another first segment) have in all interfaces.
async fn uses_every_function(server: &Running, kv: &str, absent: (u16, &str)) {
    let path = |operation: &str, key: &str| format!("/{kv}/{operation}?key={key}");
    let absent = (absent.0, absent.1.to_owned());
    assert_eq!(get(server, &path("get", "a")).await, absent);
    assert_eq!(get(server, &path("exists", "a")).await, (200, "false\n".into()));
    set(server, &path("set", "a"), "first").await;
    set(server, &path("set", "b"), "").await;
    set(server, &path("set", "c-d"), "escaped").await;
    assert_eq!(get(server, &path("get", "a")).await, (200, "first".into()));
    assert_eq!(get(server, &path("get", "b")).await, (200, String::new()));
    assert_eq!(get(server, &path("get", "c-d")).await, (200, "escaped".into()));
    set(server, &path("set", "a"), "second").await;
    assert_eq!(get(server, &path("get", "a")).await, (200, "second".into()));
    assert_eq!(get(server, &path("exists", "b")).await, (200, "true\n".into()));
    assert_eq!(get(server, &path("keys", "")).await, (200, "a\nb\nc-d".into()));
    assert_eq!(get(server, &path("delete", "b")).await, (200, "deleted\n".into()));
    assert_eq!(get(server, &path("delete", "b")).await, (200, "deleted\n".into()));
    assert_eq!(get(server, &path("keys", "")).await, (200, "a\nc-d".into()));
    // A value that is not read on the runtime's own thread.
    let large = "x".repeat(3 << 20);
    set(server, &path("set", "large"), large.clone()).await;
    assert!(get(server, &path("get", "large")).await == (200, large));
}

#[tokio::test]
async fn version_2_by_spins_sdks_3_and_5() {
    for guest in ["rust-spin-3", "rust-spin-5"] {
        let app = App::granted(guest, GRANT);
        let server = dayfly().up(app.folder()).await;
        uses_every_function(&server, "kv", (404, "no value\n")).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn version_3_by_spins_sdk_7() {
    version_3("rust-spin-7").await;
}

#[tokio::test]
async fn version_3_by_spins_sdk_6() {
    version_3("rust-spin-6").await;
}

async fn version_3(guest: &str) {
    let app = App::granted(guest, GRANT);
    let server = dayfly().up(app.folder()).await;
    uses_every_function(&server, "kv", (404, "no value\n")).await;
    // Calls that are under way together, and a list of several pages as a stream.
    for part in 0..25 {
        set(&server, &format!("/kv/set-many?key=many{part:02}"), "x").await;
    }
    let (status, keys) = get(&server, "/kv/keys").await;
    assert_eq!((status, keys.lines().count()), (200, 2503));
    assert_eq!(get(&server, "/kv/first-key").await, (200, "a".into()));
    server.stop().await;
}

#[tokio::test]
async fn the_interface_without_a_version() {
    let app = App::granted("rust-interfaces", GRANT);
    let server = dayfly().up(app.folder()).await;
    uses_every_function(&server, "old-kv", (502, "get: Error::NoSuchKey\n")).await;
    let invalid = (502, "exists: Error::InvalidStore\n".to_owned());
    for handle in ["0", "1", "7", "4294967295"] {
        let path = format!("/old-kv/exists?key=a&handle={handle}");
        assert_eq!(get(&server, &path).await, invalid, "{handle}");
    }
    assert_eq!(get(&server, "/old-kv/closed?key=a").await.1, "closed: Error::InvalidStore\n");
    server.stop().await;
}

#[tokio::test]
async fn wasis_draft_with_atomics_and_batches() {
    let app = App::granted("rust-interfaces", GRANT);
    let server = dayfly().up(app.folder()).await;
    let kv = |rest: &str| format!("/wasi-kv/{rest}");
    assert_eq!(get(&server, &kv("get?key=a")).await, (200, "none\n".into()));
    set(&server, &kv("set?key=a"), "first").await;
    assert_eq!(get(&server, &kv("get?key=a")).await, (200, "first\n".into()));
    assert_eq!(get(&server, &kv("exists?key=a")).await, (200, "true\n".into()));

    set(&server, &kv("set-many?keys=b,c"), "many").await;
    let found = "a=first\nnone=none\nc=many\n".to_owned();
    assert_eq!(get(&server, &kv("get-many?keys=a,none,c")).await, (200, found));
    assert_eq!(get(&server, &kv("delete-many?keys=a,none,c")).await, (200, "deleted\n".into()));
    let found = "a=none\nb=many\nc=none\n".to_owned();
    assert_eq!(get(&server, &kv("get-many?keys=a,b,c")).await, (200, found));

    assert_eq!(get(&server, &kv("increment?key=n&delta=5")).await, (200, "5\n".into()));
    assert_eq!(get(&server, &kv("increment?key=n&delta=-7")).await, (200, "-2\n".into()));
    let overflow = get(&server, &kv(&format!("increment?key=n&delta={}", i64::MIN))).await;
    assert_eq!(overflow.0, 502);
    assert!(overflow.1.contains("too large"), "{overflow:?}");
    let text = get(&server, &kv("increment?key=b&delta=1")).await;
    assert!(text.0 == 502 && text.1.contains("no number"), "{text:?}");

    let swap = |query: &str| kv(&format!("swap?{query}"));
    let answer = |path: String, value: &'static str| {
        let server = &server;
        async move { server.post(&path, value).await.text() }
    };
    assert_eq!(answer(swap("key=s"), "one").await, "saw none\nswapped\n");
    assert_eq!(answer(swap("key=s"), "two").await, "saw one\nswapped\n");
    assert_eq!(answer(swap("key=s&meddle=x"), "three").await, "saw two\nlost to x\n");
    let tried = answer(swap("key=s&meddle=y&tries=1"), "three").await;
    assert_eq!(tried, "saw x\nlost to y\nswapped\n");
    assert_eq!(get(&server, &kv("get?key=s")).await, (200, "three\n".into()));

    for part in 0..3 {
        let keys: Vec<String> = (0..700).map(|number| format!("p{part}-{number:03}")).collect();
        set(&server, &kv(&format!("set-many?keys={}", keys.join(","))), "x").await;
    }
    // 2,100 keys, and `b`, `n` and `s`.
    assert_eq!(get(&server, &kv("pages")).await, (200, "1000\n1000\n103\n".into()));
    server.stop().await;
}

/// The guests and their paths, by each interface.
const GUESTS: [(&str, &str); 6] = [
    ("rust-spin-3", "/kv"),
    ("rust-spin-5", "/kv"),
    ("rust-spin-6", "/kv"),
    ("rust-spin-7", "/kv"),
    ("rust-interfaces", "/old-kv"),
    ("rust-interfaces", "/wasi-kv"),
];

#[tokio::test]
async fn what_is_too_large_is_refused_by_every_interface() {
    let long = "k".repeat(4097);
    for (guest, path) in GUESTS {
        let app = App::granted(guest, GRANT);
        let server = dayfly().up(app.folder()).await;
        let answer = server.post(&format!("{path}/set?key={long}"), "value").await;
        let text = answer.text();
        assert!(answer.status == 502 && text.contains("4096 bytes"), "{guest} {path}: {text}");
        let value = vec![b'x'; (4 << 20) + 1];
        let answer = server.post(&format!("{path}/set?key=a"), value).await;
        let text = answer.text();
        assert!(answer.status == 502 && text.contains("4194304 bytes"), "{guest} {path}: {text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn without_a_grant_every_interface_says_access_denied() {
    for (guest, path) in GUESTS.map(|(guest, path)| (guest, format!("{path}/get?key=a"))) {
        for lines in ["", "key_value_stores = []"] {
            let app = App::granted(guest, lines);
            let server = dayfly().up(app.folder()).await;
            let (status, text) = get(&server, &path).await;
            assert!(status == 502 && text.contains("AccessDenied"), "{guest} {path}: {text}");
            assert!(!server.state("key-value").exists(), "nothing was opened");
            server.stop().await;
        }
        let app = App::granted(guest, GRANT);
        let server = dayfly().up(app.folder()).await;
        let (status, text) = get(&server, &format!("{path}&store=other")).await;
        assert!(status == 502 && text.contains("AccessDenied"), "{guest} {path}: {text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_too_large_is_an_error_of_the_interface() {
    let app = App::granted("rust-spin-3", GRANT);
    let server = dayfly().up(app.folder()).await;
    let long = "k".repeat(4097);
    let errors = [
        (format!("/kv/set?key={long}"), "4096 bytes"),
        (format!("/kv/get?key={long}"), "4096 bytes"),
        ("/kv/set?key=".to_owned(), "empty"),
        ("/kv/open-many".to_owned(), "StoreTableFull"),
    ];
    for (path, wanted) in errors {
        let answer = server.post(&path, "value").await;
        assert!(answer.status == 502 && answer.text().contains(wanted), "{}", answer.text());
    }
    let answer = server.post("/kv/set?key=a", vec![b'x'; (4 << 20) + 1]).await;
    assert!(answer.status == 502 && answer.text().contains("4194304 bytes"), "{}", answer.text());
    set(&server, "/kv/set?key=a", vec![b'x'; 4 << 20]).await;
    server.stop().await;
}

const TWO: &str = "dayfly = 1\n[application]\nname = \"test\"\n\
    [[trigger.http]]\nroute = \"/one/:op\"\ncomponent = \"one\"\n\
    [[trigger.http]]\nroute = \"/kv/:op\"\ncomponent = \"two\"\n\
    [component.one]\nsource = \"guest:rust-spin-3\"\nkey_value_stores = [\"default\"]\n\
    [component.two]\nsource = \"guest:rust-spin-3\"\n";

#[tokio::test]
async fn stores_outlive_the_process_and_belong_to_an_app() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::granted("rust-spin-3", GRANT);
    let up = |state: &str| {
        dayfly().env("DAYFLY_STATE_DIR", folder.path().join(state)).arg("up").arg(app.folder())
    };
    let server = up("one").serve().await;
    set(&server, "/kv/set?key=a", "kept").await;
    server.stop().await;
    let server = up("one").serve().await;
    assert_eq!(get(&server, "/kv/get?key=a").await, (200, "kept".into()));
    server.stop().await;
    let server = up("two").serve().await;
    assert_eq!(get(&server, "/kv/get?key=a").await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn components_that_are_granted_one_label_share_its_store() {
    // Both have the same paths: which of them answers, the host's name for it says.
    let manifest = |two: &str| {
        format!(
            "{}key_value_stores = [{two}]\n",
            TWO.replace("/one/:op", "/hello/...")
                .replace("route = \"/kv/:op\"", "route = \"/...\"")
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let up =
        |app: &App| dayfly().env("DAYFLY_STATE_DIR", folder.path()).arg("up").arg(app.folder());
    let one = App::granted("rust-spin-3", GRANT);
    let server = up(&one).serve().await;
    set(&server, "/kv/set?key=a", "shared").await;
    server.stop().await;
    let both = App::new(&manifest("\"default\""));
    let server = up(&both).serve().await;
    assert_eq!(get(&server, "/kv/get?key=a").await, (200, "shared".into()));
    server.stop().await;
    let alone = App::new(&manifest(""));
    let server = up(&alone).serve().await;
    let (status, text) = get(&server, "/kv/get?key=a").await;
    assert!(status == 502 && text.contains("AccessDenied"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_redis_server_of_the_operators() {
    let mut redis = Redis::start().await;
    let config =
        format!("[key_value_store.default]\ntype = \"redis\"\nurl = \"{}/3\"\n", redis.url());
    let config = config.replace("//3", "/3");
    let up = |guest: &str| {
        let app = App::granted(guest, GRANT).file("c.toml", &config);
        let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
        (command.arg(app.folder()), app)
    };
    let (command, _app) = up("rust-spin-3");
    let server = command.serve().await;
    let kv = |operation: &str, key: &str| format!("/kv/{operation}?key={key}");
    assert_eq!(get(&server, &kv("get", "a")).await.0, 404);
    set(&server, &kv("set", "a"), "one").await;
    assert_eq!(get(&server, &kv("get", "a")).await, (200, "one".into()));
    assert_eq!(get(&server, &kv("exists", "a")).await, (200, "true\n".into()));
    assert_eq!(get(&server, &kv("keys", "")).await, (200, "a".into()));
    assert_eq!(get(&server, &kv("delete", "a")).await, (200, "deleted\n".into()));
    assert_eq!(get(&server, &kv("exists", "a")).await, (200, "false\n".into()));
    redis.kill().await;
    let (status, text) = get(&server, &kv("get", "a")).await;
    assert!(status == 502 && text.contains("the store failed"), "{text}");
    redis.restart().await;
    set(&server, &kv("set", "b"), "two").await;
    server.stop().await;

    let (command, _app) = up("rust-interfaces");
    let server = command.serve().await;
    let kv = |rest: &str| format!("/wasi-kv/{rest}");
    assert_eq!(get(&server, &kv("increment?key=n&delta=5")).await, (200, "5\n".into()));
    let text = get(&server, &kv("increment?key=b&delta=1")).await;
    assert!(text.0 == 502 && text.1.contains("no number"), "{text:?}");
    set(&server, &kv("set-many?keys=x,y"), "many").await;
    let found = "x=many\nnone=none\ny=many\n".to_owned();
    assert_eq!(get(&server, &kv("get-many?keys=x,none,y")).await, (200, found));
    for (path, answer) in
        [("key=s", "saw none\nswapped\n"), ("key=s&meddle=z", "saw new\nlost to z\n")]
    {
        assert_eq!(server.post(&format!("/wasi-kv/swap?{path}"), "new").await.text(), answer);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_label_with_nothing_behind_it_is_an_error_at_the_start() {
    let app = App::new(&TWO.replace("[\"default\"]", "[\"default\", \"cache\", \"carts\"]"));
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    for wanted in ["`cache`", "`one`", "hint: ", "key_value_store.LABEL"] {
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    }
}

/// How often the process is killed: 200 times at `DAYFLY_TEST_KILLS=200`.
fn kills() -> u32 {
    std::env::var("DAYFLY_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

#[tokio::test]
async fn kills_lose_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::granted("rust-spin-3", GRANT);
    let state = folder.path().join("state");
    let up = || {
        dayfly()
            .env("DAYFLY_STATE_DIR", &state)
            .env("DAYFLY_CACHE_DIR", folder.path().join("cache"))
            .arg("up")
            .arg(app.folder())
    };
    let mut stored: u32 = 0;
    for kill in 0..kills() {
        let server = up().serve().await;
        let process = server.process();
        let end = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::from(kill * 37 % 150))).await;
            process.kill();
        });
        let writers = (0..4).map(|writer| {
            let client = server.another_client();
            tokio::spawn(async move { write_until_the_end(&client, kill, writer).await })
        });
        let written = futures_util::future::join_all(writers.collect::<Vec<_>>()).await;
        end.await.unwrap();
        assert_eq!(server.ended().await.code, None);
        for (writer, count) in written.into_iter().enumerate() {
            for number in 0..count.unwrap() {
                check(&state, kill, writer as u32, number);
                stored += 1;
            }
        }
    }
    let database = rusqlite::Connection::open(state.join("key-value/default.db")).unwrap();
    let integrity: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    let rows: u32 =
        database.query_row("SELECT count(*) FROM spin_key_value", [], |row| row.get(0)).unwrap();
    assert!(stored > 0 && rows >= stored, "{rows} rows for {stored} answers");
}

/// Stores numbered values until nobody answers; gives back how many were answered.
async fn write_until_the_end(client: &Client, kill: u32, writer: u32) -> u32 {
    for number in 0.. {
        let path = format!("/kv/set?key={kill}-{writer}-{number}");
        let request = client.request(http::Method::POST, &path);
        let body = Body::full(format!("value {number}"));
        match client.try_send(request.body(body)).await {
            Ok(answer) if answer.status == 200 => {}
            _ => return number,
        }
    }
    0
}

fn check(state: &Path, kill: u32, writer: u32, number: u32) {
    let database = rusqlite::Connection::open(state.join("key-value/default.db")).unwrap();
    let key = format!("{kill}-{writer}-{number}");
    let value: Vec<u8> = database
        .query_row(
            "SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1",
            [&key],
            |row| row.get(0),
        )
        .unwrap_or_else(|error| panic!("`{key}` was answered and is not there: {error}"));
    assert_eq!(value, format!("value {number}").as_bytes());
}

#[tokio::test]
async fn the_command_line_stores_before_the_app_serves() {
    let app = App::granted("rust-spin-3", "key_value_stores = [\"default\", \"scratch\"]")
        .file("value.txt", "from a file")
        .file("c.toml", "[key_value_store.scratch]\ntype = \"memory\"\n");
    let up = |flags: &[&str]| {
        let command = dayfly().within(app.folder()).args(["up", "--runtime-config-file", "c.toml"]);
        command.args(flags)
    };
    let flags = ["--key-value", "a=1", "--key-value", "default:b:c=@value.txt"];
    let server = up(&flags).args(["--key-value", "scratch:a=2=3"]).serve().await;
    assert_eq!(get(&server, "/kv/get?key=a").await, (200, "1".into()));
    assert_eq!(get(&server, "/kv/get?key=b:c").await, (200, "from a file".into()));
    assert_eq!(get(&server, "/kv/get?store=scratch&key=a").await, (200, "2=3".into()));
    server.stop().await;
    for (flag, told) in [
        ("other:a=1", "`other`"),
        ("a=@missing.txt", "missing.txt"),
        ("novalue", "NAME=VALUE"),
        (":a=1", "[STORE:]KEY"),
    ] {
        let ended = up(&["--key-value", flag]).ends().await;
        assert_ne!(ended.code, Some(0), "{flag}");
        assert!(ended.stderr.contains(told), "{flag}: {}", ended.stderr);
    }
}
