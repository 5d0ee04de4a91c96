//! Blobs in the bucket of a real server that checks signatures.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Dayfly, Pattern, Running, S3};
use http::Method;
use tokio::net::TcpListener;

use crate::blobstore::{ALL, refused, streams};
use crate::dayfly;

const GUEST: &str = "rust-interfaces";
const GRANT: &str = "blob_containers = [\"pictures\"]";

/// What a runtime configuration says of a server.
fn store(label: &str, s3: &S3, rest: &str) -> String {
    format!(
        "[blob_store.{label}]\ntype = \"s3\"\nbucket = \"bucket\"\nendpoint = \"{}\"\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n{rest}\n",
        s3.url(),
        S3::ACCESS_KEY_ID,
        S3::SECRET_ACCESS_KEY,
    )
}

fn command(lines: &str, config: &str) -> (Dayfly, App) {
    let app = App::granted(GUEST, lines).file("c.toml", config);
    let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
    (command.arg(app.folder()), app)
}

async fn up(lines: &str, config: &str) -> (App, Running) {
    let (command, app) = command(lines, config);
    (app, command.serve().await)
}

#[tokio::test]
async fn every_function_does_its_work() {
    let s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(GRANT, &store("default", &s3, "")).await;
    assert_eq!(server.text("/blobs/all?container=pictures").await, ALL);
    assert!(!server.state("blobs/pictures").exists());
    server.stop().await;
}

#[tokio::test]
async fn objects_have_keys_that_others_find() {
    let s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(GRANT, &store("default", &s3, "prefix = \"shop/prod\"")).await;
    server.text("/blobs/create?container=pictures").await;
    for object in ["summer/beach.txt", "../../escaped", "%2e%2e%2f", ".container", "a//b", "größe"]
    {
        let name =
            percent_encoding::utf8_percent_encode(object, percent_encoding::NON_ALPHANUMERIC);
        let (put, get) = (format!("put?object={name}"), format!("get?object={name}"));
        let path = |call: &str| format!("/blobs/{call}&container=pictures");
        assert_eq!(server.post(&path(&put), object.to_owned()).await.text(), "stored", "{object}");
        assert_eq!(server.text(&path(&get)).await, object);
    }
    let file =
        |key: &str| std::fs::read_to_string(s3.file("bucket/shop/prod/pictures", key)).unwrap();
    assert_eq!(file("summer/beach.txt"), "summer/beach.txt");
    assert_eq!(file("%2E./%2E./escaped"), "../../escaped");
    assert_eq!(file("%252e%252e%252f"), "%2e%2e%2f");
    assert_eq!(file(".container"), "");
    // What others put there is an object if a guest could have put it there.
    std::fs::write(s3.file("bucket/shop/prod/pictures", "theirs"), "theirs").unwrap();
    std::fs::write(s3.file("bucket/shop/prod/pictures", "%zz"), "").unwrap();
    assert_eq!(
        server.text("/blobs/list?container=pictures").await,
        "%2e%2e%2f ../../escaped .container a//b größe summer/beach.txt theirs"
    );
    assert_eq!(server.text("/blobs/get?container=pictures&object=theirs").await, "theirs");
    assert_eq!(server.text("/blobs/clear?container=pictures").await, "cleared");
    assert_eq!(server.text("/blobs/list?container=pictures").await, "");
    assert!(s3.file("bucket/shop/prod/pictures", "%zz").exists());
    for name in ["a".repeat(256), String::new()] {
        let put = format!("/blobs/put?container=pictures&bytes=1&object={name}");
        refused(&server, &put, "an object's name has").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn containers_and_apps_are_apart() {
    let s3 = S3::start(&["bucket"]).await;
    let config = store("default", &s3, "");
    let both = "blob_containers = [\"pictures\", \"pictures-2\"]";
    let (_app, server) = up(both, &config).await;
    for container in ["pictures", "pictures-2"] {
        server.text(&format!("/blobs/create?container={container}")).await;
        server.post(&format!("/blobs/put?container={container}&object=a"), container).await;
        assert_eq!(server.text(&format!("/blobs/list?container={container}")).await, "a");
    }
    refused(&server, "/blobs/create?container=films", "the container is not granted").await;
    refused(&server, "/blobs/create?container=..", "the container is not granted").await;
    server.text("/blobs/delete?container=pictures").await;
    assert_eq!(server.text("/blobs/get?container=pictures-2&object=a").await, "pictures-2");
    server.stop().await;
    // Another app has containers of its own in the same bucket.
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"other\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:{GUEST}\"\n{both}\n"
    ))
    .file("c.toml", &config);
    let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
    let other = command.arg(app.folder()).serve().await;
    assert_eq!(other.text("/blobs/exists?container=pictures-2").await, "false");
    other.text("/blobs/create?container=pictures-2").await;
    assert_eq!(other.text("/blobs/list?container=pictures-2").await, "");
    other.stop().await;
    assert!(s3.file("bucket", "other/pictures-2/.container").exists());
}

#[tokio::test]
async fn objects_are_copied_between_folders_and_buckets() {
    let s3 = S3::start(&["bucket"]).await;
    let config = store("far", &s3, "") + &store("beside", &s3, "prefix = \"beside\"");
    let lines = "blob_containers = [\"near\", \"far\", \"beside\"]";
    let (_app, server) = up(lines, &config).await;
    for container in ["near", "far", "beside"] {
        server.text(&format!("/blobs/create?container={container}")).await;
    }
    assert!(server.state("blobs/near").exists() && !server.state("blobs/far").exists());
    server.post("/blobs/put?container=near&object=a", "from near").await;
    let large = "/blobs/put?container=near&object=large&bytes=7000000";
    assert_eq!(server.text(large).await, "stored");
    for (from, to) in [("near", "far"), ("far", "beside"), ("beside", "near")] {
        for object in ["a", "large"] {
            let path = format!("/blobs/copy?container={from}&object={object}&to={to}");
            assert_eq!(server.text(&path).await, "copied", "{path}");
            let get = format!("/blobs/get?container={to}&object={object}");
            let answer = server.get(&get).await;
            let length = if object == "a" { 9 } else { 7_000_000 };
            assert_eq!(answer.body.len(), length);
        }
    }
    let left = std::fs::read_dir(server.state("blobs/.unfinished")).unwrap().count();
    assert_eq!(left, 0);
    server.stop().await;
}

#[tokio::test]
async fn large_objects_stream_in_little_memory() {
    const BYTES: u64 = 64 << 20;
    // The server is no fast one.
    let lines = format!("{GRANT}\nlimits = {{ time = \"10m\" }}");
    let s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(&lines, &store("default", &s3, "")).await;
    let (get, grown) = streams(&server, BYTES).await;
    assert!(grown < 32 << 20, "{} MiB more", grown >> 20);
    for (first, last, expected) in
        [(BYTES - 3, u64::MAX, "xxx"), (5, 6, "xx"), (BYTES, BYTES + 5, "")]
    {
        let range = format!("{get}&first={first}&last={last}");
        assert_eq!(server.text(&range).await, expected);
    }
    let beyond = format!("{get}&first={}&last={}", BYTES + 1, BYTES + 5);
    refused(&server, &beyond, "the range ends before it begins").await;
    assert_eq!(s3.unfinished(), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    const BYTES: u64 = 13_333_333;
    let s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(GRANT, &store("default", &s3, "")).await;
    server.text("/blobs/create?container=pictures").await;
    let put = "/blobs/put?container=pictures&object=pattern";
    let request = server.request(Method::POST, put).body(Body::stream(Pattern::stream(BYTES)));
    assert_eq!(server.send(request).await.text(), "stored");
    let answer = server.get("/blobs/get?container=pictures&object=pattern").await;
    let mut pattern = Pattern::new();
    pattern.check(&answer.body);
    assert_eq!(pattern.checked(), BYTES);
    assert_eq!(answer.header("x-size"), BYTES.to_string());
    // What is not finished was never there.
    assert_eq!(server.text("/blobs/abandon?container=pictures&object=a").await, "abandoned");
    assert_eq!(server.text("/blobs/list?container=pictures").await, "pattern");
    assert!(!s3.file("bucket", "test/pictures/a").exists());
    server.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_behind() {
    let s3 = S3::start(&["bucket"]).await;
    let lines = format!("{GRANT}\nlimits = {{ time = \"4s\" }}");
    let (_app, server) = up(&lines, &store("default", &s3, "")).await;
    server.text("/blobs/create?container=pictures").await;
    let put = "/blobs/put?container=pictures&object=large&bytes=200000000";
    let status = server.get(put).await.status;
    let gone = async {
        while s3.unfinished() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is called off");
    // A fast machine may have done it in time, and what was given up when all was sent may be there.
    let listed = server.text("/blobs/list?container=pictures").await;
    assert!(listed == "large" || (status == 504 && listed.is_empty()), "{status}: {listed}");
    server.stop().await;
}

#[tokio::test]
async fn lists_have_many_pages() {
    let s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(GRANT, &store("default", &s3, "")).await;
    server.text("/blobs/create?container=pictures").await;
    for number in 0..2345 {
        let key = format!("test/pictures/{number:04}");
        std::fs::write(s3.file("bucket", &key), "").unwrap();
    }
    let names = server.text("/blobs/list?container=pictures").await;
    let names: Vec<&str> = names.split(' ').collect();
    assert_eq!((names.len(), names[0], names[2344]), (2345, "0000", "2344"));
    assert_eq!(server.text("/blobs/clear?container=pictures").await, "cleared");
    assert_eq!(server.text("/blobs/list?container=pictures").await, "");
    assert_eq!(server.text("/blobs/exists?container=pictures").await, "true");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_fails_is_an_error_and_the_next_call_after_it_is_back_works() {
    let mut s3 = S3::start(&["bucket"]).await;
    let (_app, server) = up(GRANT, &store("default", &s3, "")).await;
    server.text("/blobs/create?container=pictures").await;
    server.post("/blobs/put?container=pictures&object=a", "one").await;
    s3.kill().await;
    let began = Instant::now();
    for call in ["get?object=a&", "put?object=b&bytes=1&", "list?", "exists?"] {
        refused(&server, &format!("/blobs/{call}container=pictures"), "the store failed").await;
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let said = server.stderr().containing("a call of a blob store failed").await;
    assert!(said.contains("refused") && !said.contains(S3::SECRET_ACCESS_KEY), "{said}");
    s3.restart().await;
    assert_eq!(server.text("/blobs/get?container=pictures&object=a").await, "one");
    server.post("/blobs/put?container=pictures&object=b", "two").await;
    assert_eq!(server.text("/blobs/list?container=pictures").await, "a b");
    server.stop().await;
}

#[tokio::test]
async fn credentials_that_do_not_open_it_are_a_clear_error() {
    let s3 = S3::start(&["bucket"]).await;
    let right = store("default", &s3, "");
    for said in [S3::SECRET_ACCESS_KEY, S3::ACCESS_KEY_ID] {
        let (_app, server) = up(GRANT, &right.replace(said, "wrong-hunter3")).await;
        refused(&server, "/blobs/create?container=pictures", "the store's server refuses access")
            .await;
        server.stderr().containing("403").await;
        refused(&server, "/blobs/exists?container=pictures", "refuses access").await;
        let log = server.stderr().text();
        assert!(!log.contains("hunter") && !log.contains(S3::ACCESS_KEY_ID), "{log}");
        server.stop().await;
    }
}

#[tokio::test]
async fn credentials_come_from_the_environment_and_reach_no_guest() {
    let s3 = S3::start(&["bucket"]).await;
    let config = "[blob_store.default]\ntype = \"s3\"\nbucket = \"bucket\"\n";
    let (command, _app) = command(GRANT, config);
    let server = command
        .env("AWS_ENDPOINT_URL", s3.url())
        .env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", S3::SECRET_ACCESS_KEY)
        .env("AWS_REGION", "eu-central-1")
        .serve()
        .await;
    server.text("/blobs/create?container=pictures").await;
    server.post("/blobs/put?container=pictures&object=a", "one").await;
    assert_eq!(server.text("/blobs/get?container=pictures&object=a").await, "one");
    server.stop().await;
    // Without them the app does not start, and says why.
    let (command, _app) = self::command(GRANT, config);
    let variables = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let command = variables.iter().fold(command, |command, name| command.env_remove(name));
    let said = command.ends().await.with(1);
    assert!(said.contains("blob store `default` has no credentials"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_an_error() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            drop(stream);
        }
    });
    let config = format!(
        "[blob_store.default]\ntype = \"s3\"\nbucket = \"bucket\"\nendpoint = \"http://{address}\"\n\
         access_key_id = \"id\"\nsecret_access_key = \"hunter2\"\n"
    );
    let (_app, server) = up(GRANT, &config).await;
    refused(&server, "/blobs/exists?container=pictures", "the store failed").await;
    // Where TLS is asked for, nothing is sent in the clear.
    server.stop().await;
    let (_app, server) = up(GRANT, &config.replace("http://", "https://")).await;
    refused(&server, "/blobs/exists?container=pictures", "the store failed").await;
    server.stop().await;
}
