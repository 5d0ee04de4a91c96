//! Redis: real guests, real servers.

use dayfly_testing::{App, Certificate, Dayfly, Redis, Running};
use tokio::net::TcpListener;

use crate::dayfly;

/// The guests, each with a version of the interface.
const GUESTS: [&str; 5] =
    ["rust-spin-3", "rust-spin-5", "rust-spin-6", "rust-spin-7", "rust-interfaces"];

/// What every function answers.
const ALL: &str = r#"set Ok(())
get Ok(Some([118, 97, 108, 117, 101]))
get Ok(None)
incr Ok(1)
incr Ok(2)
incr Err(Error::TypeError)
sadd Ok(2)
sadd Ok(0)
smembers ["a", "b"]
smembers Ok([])
smembers Err(Error::TypeError)
srem Ok(1)
publish Ok(())
del Ok(2)
get Err(Error::TypeError)
execute Ok([RedisResult::Status("OK")])
execute Ok([RedisResult::Binary([45, 55])])
"#;

/// The same as far as the oldest version can say it.
const ALL_UNVERSIONED: &str = r#"set Ok(())
get Ok([118, 97, 108, 117, 101])
get Ok([])
incr Ok(1)
incr Ok(2)
incr Err(Error { code: 1, name: "error", message: "" })
sadd Ok(2)
sadd Ok(0)
smembers ["a", "b"]
smembers Ok([])
smembers Err(Error { code: 1, name: "error", message: "" })
srem Ok(1)
publish Ok(())
del Ok(2)
get Err(Error { code: 1, name: "error", message: "" })
execute Ok([RedisResult::Status("OK")])
execute Ok([RedisResult::Binary([45, 55])])
"#;

/// All that the oldest version says of an error.
const UNVERSIONED: &str = "name: \"error\"";

/// A guest that may reach a server.
async fn up(guest: &str, redis: &Redis) -> (App, Running) {
    up_with(dayfly(), guest, &redis.url(), "").await
}

async fn up_with(dayfly: Dayfly, guest: &str, host: &str, lines: &str) -> (App, Running) {
    let app = App::granted(guest, &format!("allowed_outbound_hosts = [\"{host}\"]\n{lines}"));
    let server = dayfly.up(app.folder()).await;
    (app, server)
}

/// The answer to a call that must fail with the interface's error.
async fn refused(server: &Running, path: &str, error: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    assert!(answer.text().contains(error), "{path}: no {error} in {}", answer.text());
}

#[tokio::test]
async fn every_function_of_every_version_does_its_work() {
    for guest in GUESTS {
        let redis = Redis::start().await;
        let (_app, server) = up(guest, &redis).await;
        let expected = if guest == "rust-interfaces" { ALL_UNVERSIONED } else { ALL };
        let text = server.text(&format!("/redis/all?address={}", redis.url())).await;
        assert_eq!(text, expected, "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let (redis, other) = (Redis::start().await, Redis::start().await);
    for guest in GUESTS {
        let error = if guest == "rust-interfaces" { UNVERSIONED } else { "InvalidAddress" };
        let get = |url: &str| format!("/redis/get?key=x&address={url}");
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        refused(&server, &get(&redis.url()), error).await;
        server.stop().await;
        let (_app, server) = up(guest, &redis).await;
        assert_eq!(server.get(&get(&redis.url())).await.status, 200, "{guest}");
        refused(&server, &get(&other.url()), error).await;
        refused(&server, &get(&redis.url().replace("redis:", "rediss:")), error).await;
        refused(&server, &get("redis://localhost"), error).await;
        refused(&server, &get("nothing"), error).await;
        server.stderr().containing("allowed_outbound_hosts").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn replies_of_every_type_come_through() {
    let redis = Redis::start().await;
    for guest in ["rust-spin-3", "rust-spin-7"] {
        let (_app, server) = up(guest, &redis).await;
        for (command, arguments, expected) in [
            ("PING", "", "RedisResult::Status(\"PONG\")"),
            ("GET", "nothing", "RedisResult::Nil"),
            ("DBSIZE", "", "RedisResult::Int64(0)"),
            ("ECHO", "text", "\"text\""),
            ("MGET", "a,b", "RedisResult::Nil RedisResult::Nil"),
            ("KEYS", "*", ""),
            // Arrays in arrays follow one another.
            (
                "EVAL",
                "return%20{1%2C{'two'%2C{3%2Cfalse}}%2C{ok='four'}},0",
                "RedisResult::Int64(1) \"two\" RedisResult::Int64(3) RedisResult::Nil \
                 RedisResult::Status(\"four\")",
            ),
        ] {
            let path = "/redis/execute?address=";
            let path = format!("{path}{}&command={command}&arguments={arguments}", redis.url());
            assert_eq!(server.text(&path).await, expected, "{guest}: {command}");
        }
        let wrong = format!("/redis/execute?address={}&command=NOSUCH", redis.url());
        refused(&server, &wrong, "ERR unknown command").await;
        let script = "return%20{1%2C{err='BAD%20inside'}},0";
        let nested =
            format!("/redis/execute?address={}&command=EVAL&arguments={script}", redis.url());
        refused(&server, &nested, "BAD inside").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn commands_that_change_a_connection_change_only_the_guests_own() {
    let redis = Redis::start().await;
    let (_app, server) = up("rust-spin-3", &redis).await;
    let path = format!("/redis/session?address={}", redis.url());
    let session = async |commands: &str| server.post(&path, commands.to_owned()).await.text();
    let text = session("SET key zero\nSELECT 1\nown-get key\nSET key one\nGET key").await;
    let ok = "RedisResult::Status(\"OK\")";
    assert_eq!(text, format!("{ok}\n{ok}\nNone\n{ok}\n\"one\"\n"));
    assert_eq!(session("GET key").await, "\"zero\"\n");
    let text = session("MULTI\nINCR n\nINCR n\nEXEC\nGET n").await;
    let queued = "RedisResult::Status(\"QUEUED\")";
    let both = "RedisResult::Int64(1) RedisResult::Int64(2)";
    assert_eq!(text, format!("{ok}\n{queued}\n{queued}\n{both}\n\"2\"\n"));
    // What waits keeps nobody else waiting.
    let waits = session("BLPOP list 3\nGET key");
    let others = async {
        for _ in 0..20 {
            assert_eq!(session("GET key").await, "\"zero\"\n");
        }
        session("RPUSH list item").await
    };
    let start = std::time::Instant::now();
    let (waited, _) = tokio::join!(waits, others);
    assert_eq!(waited, "\"list\" \"item\"\n\"zero\"\n");
    assert!(start.elapsed() < std::time::Duration::from_secs(3));
    for refused in ["SUBSCRIBE c", "psubscribe *", "MONITOR", "HELLO 3", "CLIENT REPLY OFF"] {
        let text = session(&format!("{refused}\nGET key")).await;
        assert!(text.contains("is not served") && text.ends_with("\n\"zero\"\n"), "{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_component_has_one_connection_and_shares_it_with_no_other() {
    let redis = Redis::start().await;
    let url = redis.url();
    let manifest = format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/redis/get\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:rust-spin-7\"\nallowed_outbound_hosts = [\"{url}\"]\n\
         [component.two]\nsource = \"guest:rust-interfaces\"\n\
         allowed_outbound_hosts = [\"{url}\"]\n"
    );
    let app = App::new(&manifest);
    let server = dayfly().up(app.folder()).await;
    server.text(&format!("/redis/set?address={url}&key=key&bytes=10")).await;
    let many = format!("/redis/many?address={url}&key=key&times=200");
    let requests = (0..10).map(|_| server.text(&many));
    for text in futures_util::future::join_all(requests).await {
        assert_eq!(text, "2000 bytes");
    }
    let clients = async || {
        let path = format!("/redis/execute?address={url}&command=INFO&arguments=clients");
        let text = server.text(&path).await;
        let (_, count) = text.split_once("connected_clients:").expect("a number of clients");
        count.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    assert_eq!(clients().await, "1");
    assert_eq!(server.text(&format!("/redis/get?address={url}&key=key")).await, "xxxxxxxxxx");
    assert_eq!(clients().await, "2");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_an_error_and_works_once_it_is_back() {
    for guest in GUESTS {
        let mut redis = Redis::start().await;
        let (_app, server) = up(guest, &redis).await;
        let set = format!("/redis/set?address={}&key=key&bytes=3", redis.url());
        let get = format!("/redis/get?address={}&key=key", redis.url());
        server.text(&set).await;
        redis.kill().await;
        let error = if guest == "rust-interfaces" { UNVERSIONED } else { "Error::Other" };
        refused(&server, &get, error).await;
        redis.restart().await;
        assert_eq!(server.text(&get).await, "xxx", "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (_app, server) = up_with(dayfly(), "rust-spin-7", &url, "").await;
    let start = std::time::Instant::now();
    refused(&server, &format!("/redis/get?address={url}&key=key"), "did not answer in time").await;
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_whose_certificate_is_trusted() {
    let certificate = Certificate::new();
    let redis = Redis::with_tls(&certificate).await;
    let url = redis.url().replace("redis://127.0.0.1", "rediss://localhost");
    let path = format!("/redis/set?address={url}&key=key&bytes=3");
    let trusting = dayfly().env("SSL_CERT_FILE", certificate.authority());
    let (_app, server) = up_with(trusting, "rust-spin-7", &url, "").await;
    assert_eq!(server.text(&path).await, "stored");
    server.stop().await;
    let (_app, server) = up_with(dayfly(), "rust-spin-7", &url, "").await;
    refused(&server, &path, "TLS handshake failed").await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_a_limit_is_an_error() {
    let redis = Redis::start().await;
    let url = redis.url();
    for guest in GUESTS {
        let error = |error| if guest == "rust-interfaces" { UNVERSIONED } else { error };
        let (_app, server) =
            up_with(dayfly(), guest, &url, "limits = { outbound = 5, memory = \"128MiB\" }").await;
        let open = |times| format!("/redis/open?address={url}&times={times}");
        assert_eq!(server.text(&open(5)).await, "5 connections", "{guest}");
        refused(&server, &open(6), error("TooManyConnections")).await;
        let set = |bytes: u32| format!("/redis/set?address={url}&key=key&bytes={bytes}");
        assert_eq!(server.text(&set(4_000_000)).await, "stored", "{guest}");
        refused(&server, &set(5_000_000), error("a command may have 4 MiB")).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_password_is_not_told_to_the_log() {
    let redis = Redis::with_password("opensesame").await;
    let (_app, server) = up_with(dayfly(), "rust-spin-3", &redis.url(), "").await;
    let with = |password: &str| redis.url().replace("//", &format!("//:{password}@"));
    let set = |url: &str| format!("/redis/set?address={url}&key=key");
    assert_eq!(server.text(&set(&with("opensesame"))).await, "stored");
    refused(&server, &set(&with("secretword")), "WRONGPASS").await;
    refused(&server, &set(&redis.url()), "NOAUTH").await;
    let elsewhere = with("secretword").replace("127.0.0.1", "127.0.0.2");
    refused(&server, &set(&elsewhere), "InvalidAddress").await;
    let printed = server.stop().await;
    assert!(!printed.stderr.contains("secretword") && !printed.stderr.contains("opensesame"));
}
