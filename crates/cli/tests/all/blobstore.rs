//! Blobs: a real guest, real files.

use dayfly_testing::{App, Body, Pattern, Running};
use http::Method;

use crate::dayfly;

const GUEST: &str = "rust-interfaces";

async fn up(lines: &str) -> (App, Running) {
    let app = App::granted(GUEST, lines);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// The answer to a call that must fail with the interface's error.
pub(crate) async fn refused(server: &Running, path: &str, error: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    assert!(answer.text().contains(error), "{path}: no {error} in {}", answer.text());
}

pub(crate) const ALL: &str = r#"container-exists false
container-exists true
create-container Err("there is such a container already")
get-container "pictures"
info ("pictures", true)
has-object false
write-data Ok(())
has-object true
object-info ("a/b", "pictures", true, 8)
object-info Err("there is no such object")
size 8
consume-sync "contents"
consume-async "ten"
get-data Err("the range ends before it begins, or begins after the object's end")
get-data Err("the range ends before it begins, or begins after the object's end")
get-data Err("there is no such object")
copy-object Ok(())
move-object Ok(())
move-object Err("there is no such object")
list-objects "a/b d"
skip-stream-object-names (1, false)
read-stream-object-names 1
delete-object Ok(())
delete-object Ok(())
delete-objects Ok(())
list-objects ""
outgoing-value-write-body Err(())
finish Ok(())
object-info 0
write-data Err(true)
clear Ok(())
list-objects ""
delete-container Ok(())
delete-container Err("there is no such container")
get-container Err("there is no such container")
has-object Ok(false)
"#;

#[tokio::test]
async fn every_function_does_its_work() {
    let (_app, server) = up("blob_containers = [\"pictures\"]").await;
    assert_eq!(server.text("/blobs/all?container=pictures").await, ALL);
    server.stop().await;
}

#[tokio::test]
async fn objects_are_files_that_people_find_and_survive_the_server() {
    let (app, server) = up("blob_containers = [\"pictures\"]").await;
    server.text("/blobs/create?container=pictures").await;
    let put = "/blobs/put?container=pictures&object=summer/beach.txt";
    assert_eq!(server.post(put, "waves").await.text(), "stored");
    let file = server.state("blobs/pictures/summer%2Fbeach.txt");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "waves");
    // Nothing that a guest names leads out of the container.
    let put = "/blobs/put?container=pictures&object=../../escaped";
    assert_eq!(server.post(put, "waves").await.text(), "stored");
    assert!(!server.state("escaped").exists());
    assert_eq!(
        server.text("/blobs/list?container=pictures").await,
        "../../escaped summer/beach.txt"
    );
    let state = server.state("blobs");
    let kept = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(&state).arg(kept.path()).status();
    assert!(copied.unwrap().success());
    server.process().kill();
    let server = dayfly().env("DAYFLY_STATE_DIR", kept.path()).up(app.folder()).await;
    let get = "/blobs/get?container=pictures&object=summer/beach.txt";
    assert_eq!(server.text(get).await, "waves");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let (_app, server) = up("").await;
    for call in ["create", "exists", "delete", "list"] {
        let path = format!("/blobs/{call}?container=pictures");
        refused(&server, &path, "the container is not granted").await;
    }
    server.stop().await;
    let (_app, server) = up("blob_containers = [\"pictures\", \"music\"]").await;
    server.text("/blobs/create?container=pictures").await;
    for other in ["films", "..", "pictures/..", "PICTURES", ""] {
        let path = format!("/blobs/create?container={other}");
        refused(&server, &path, "the container is not granted").await;
    }
    server.post("/blobs/put?container=pictures&object=a", "a").await;
    let copy = |to: &str| format!("/blobs/copy?container=pictures&object=a&to={to}");
    refused(&server, &copy("films"), "the container is not granted").await;
    refused(&server, &copy("music"), "there is no such container").await;
    server.text("/blobs/create?container=music").await;
    assert_eq!(server.text(&copy("music")).await, "copied");
    assert_eq!(server.text("/blobs/get?container=music&object=a").await, "a");
    server.stderr().containing("blob_containers").await;
    server.stop().await;
}

#[tokio::test]
async fn components_share_the_containers_that_both_were_granted() {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/blobs/get\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:{GUEST}\"\nblob_containers = [\"own\", \"shared\"]\n\
         [component.two]\nsource = \"guest:{GUEST}\"\nblob_containers = [\"shared\"]\n"
    ));
    let server = dayfly().up(app.folder()).await;
    for container in ["own", "shared"] {
        server.text(&format!("/blobs/create?container={container}")).await;
        server.post(&format!("/blobs/put?container={container}&object=a"), container).await;
    }
    assert_eq!(server.text("/blobs/get?container=shared&object=a").await, "shared");
    refused(&server, "/blobs/get?container=own&object=a", "the container is not granted").await;
    server.stop().await;
}

/// Writes an object of so many bytes and reads it; gives back the path that does, and how much more
/// memory the server has had for it.
pub async fn streams(server: &Running, bytes: u64) -> (&'static str, u64) {
    server.text("/blobs/create?container=pictures").await;
    // What the first one needs is no matter of its size.
    server.text("/blobs/put?container=pictures&object=small&bytes=6000000").await;
    server.process().forget_peak();
    let before = server.process().resident_bytes();
    let path = format!("/blobs/put?container=pictures&object=large&bytes={bytes}");
    assert_eq!(server.text(&path).await, "stored");
    let get = "/blobs/get?container=pictures&object=large";
    let response = server.open(server.request(Method::GET, get).body(Body::empty()).unwrap());
    let mut body = response.await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        read += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
    }
    assert_eq!(read, bytes);
    (get, server.process().peak_resident_bytes().saturating_sub(before))
}

#[tokio::test]
async fn large_objects_stream_in_little_memory() {
    const BYTES: u64 = 200 << 20;
    let (_app, server) = up("blob_containers = [\"pictures\"]").await;
    let (get, grown) = streams(&server, BYTES).await;
    assert!(grown < 32 << 20, "{} MiB more", grown >> 20);
    let range = format!("{get}&first={}&last={}", BYTES - 3, u64::MAX);
    assert_eq!(server.text(&range).await, "xxx");
    server.stop().await;
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    let (_app, server) = up("blob_containers = [\"pictures\"]").await;
    server.text("/blobs/create?container=pictures").await;
    const BYTES: u64 = 3_333_333;
    let put = "/blobs/put?container=pictures&object=pattern";
    let request = server.request(Method::POST, put).body(Body::stream(Pattern::stream(BYTES)));
    assert_eq!(server.send(request).await.text(), "stored");
    let answer = server.get("/blobs/get?container=pictures&object=pattern").await;
    let mut pattern = Pattern::new();
    pattern.check(&answer.body);
    assert_eq!(pattern.checked(), BYTES);
    assert_eq!(answer.header("x-size"), BYTES.to_string());
    server.stop().await;
}

#[tokio::test]
async fn a_value_that_is_not_finished_leaves_nothing_behind() {
    let (_app, server) = up("blob_containers = [\"pictures\"]").await;
    server.text("/blobs/create?container=pictures").await;
    server.post("/blobs/put?container=pictures&object=a", "old").await;
    assert_eq!(server.text("/blobs/abandon?container=pictures&object=a").await, "abandoned");
    assert_eq!(server.text("/blobs/get?container=pictures&object=a").await, "old");
    let left = std::fs::read_dir(server.state("blobs/.unfinished")).unwrap().count();
    assert_eq!(left, 0);
    server.stop().await;
}

#[tokio::test]
async fn beyond_a_limit_is_an_error() {
    let lines = "blob_containers = [\"pictures\"]\nlimits = { files = 50 }";
    let (_app, server) = up(lines).await;
    server.text("/blobs/create?container=pictures").await;
    let long = format!("/blobs/put?container=pictures&bytes=1&object={}", "a".repeat(256));
    refused(&server, &long, "an object's name has").await;
    server.text("/blobs/put?container=pictures&object=a&bytes=1").await;
    let hold = |times| format!("/blobs/hold?container=pictures&object=a&times={times}");
    assert_eq!(server.text(&hold(40)).await, "40 held");
    refused(&server, &hold(60), "too many objects are open").await;
    assert_eq!(server.text("/blobs/list?container=pictures").await, "a");
    server.stop().await;
}
