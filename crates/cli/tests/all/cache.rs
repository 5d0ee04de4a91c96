//! The artifact cache: what is in it is not compiled again, what is wrong with it never matters.

use std::path::{Path, PathBuf};

use dayfly_testing::{App, Ended, Guest};

use crate::dayfly;

/// Serves one request with the cache in `cache`, and gives back what was printed.
async fn serve(app: &App, cache: &Path, flags: &[&str]) -> Ended {
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache).arg("up").args(flags);
    let server = command.arg(app.folder()).serve().await;
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await
}

fn compiled(ended: &Ended) -> bool {
    ended.stderr.contains("Compiled")
}

fn complains(ended: &Ended) -> bool {
    ["WARN", "ERROR", "error:"].iter().any(|word| ended.stderr.contains(word))
}

/// The files of a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A way to damage a file, and what it is called.
type Spoil = (&'static str, fn(&mut Vec<u8>));

#[tokio::test]
async fn the_second_start_compiles_nothing() {
    let (app, cache) = (App::of("rust-hello"), tempfile::tempdir().unwrap());
    assert!(compiled(&serve(&app, cache.path(), &[]).await));
    let second = serve(&app, cache.path(), &[]).await;
    assert!(!compiled(&second) && !complains(&second), "{second:?}");
}

#[tokio::test]
async fn a_source_that_is_known_is_not_read_by_later_starts() {
    let (app, cache) = (App::of("rust-hello"), tempfile::tempdir().unwrap());
    let copy = app.path("copy.wasm");
    std::fs::copy(Guest::path("rust-hello"), &copy).unwrap();
    // Until then it might be written again without a change of its stamp.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let read = async |app: &Path, text| {
        let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).arg("up").arg(app);
        let server = command.serve().await;
        assert_eq!(server.text("/").await, text);
        let id = server.process().id();
        let io = std::fs::read_to_string(format!("/proc/{id}/io")).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().to_owned();
        server.stop().await;
        line.parse::<u64>().unwrap()
    };
    let compiled = read(&copy, "hello world").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let verified = read(&copy, "hello world").await;
    let known = read(&copy, "hello world").await;
    let size = |file: &Path| file.metadata().unwrap().len();
    let artifact = files(cache.path()).iter().map(|file| size(file)).max().unwrap();
    assert!(known + size(&copy) <= compiled + 1024, "the source is read: {compiled}, then {known}");
    assert!(
        known + artifact <= verified + 1024,
        "the artifact is verified: {verified}, then {known}"
    );
    // Another source at the same place is taken up.
    std::fs::write(&copy, include_str!("../../../../examples/hello/hello.wat")).unwrap();
    read(&copy, "hello, world\n").await;
}

#[tokio::test]
async fn every_engine_serves_and_none_takes_the_artifacts_of_another() {
    let (app, cache) = (App::of("rust-hello"), tempfile::tempdir().unwrap());
    for engine in ["auto", "jit", "aot", "baseline", "interpreter"] {
        for _ in 0..2 {
            let ended = serve(&app, cache.path(), &["--engine", engine]).await;
            assert!(!complains(&ended), "{engine}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn what_is_corrupted_or_truncated_is_compiled_again() {
    let (app, cache) = (App::of("rust-hello"), tempfile::tempdir().unwrap());
    serve(&app, cache.path(), &[]).await;
    let spoil: [Spoil; 5] = [
        ("flipped at the end", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("flipped in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x80;
        }),
        ("flipped at the start", |bytes| bytes[0] ^= 1),
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
        ("emptied", Vec::clear),
    ];
    for (how, spoil) in spoil {
        let largest =
            files(cache.path()).into_iter().max_by_key(|file| file.metadata().unwrap().len());
        let artifact = largest.expect("an artifact");
        let mut bytes = std::fs::read(&artifact).unwrap();
        spoil(&mut bytes);
        // Another file in its place: what is mapped by nobody may be replaced by anybody.
        std::fs::remove_file(&artifact).unwrap();
        std::fs::write(&artifact, bytes).unwrap();
        assert!(compiled(&serve(&app, cache.path(), &[]).await), "{how}: it was trusted");
        assert!(!compiled(&serve(&app, cache.path(), &[]).await), "{how}: it was not mended");
    }
}

#[tokio::test]
async fn a_cache_of_another_key_is_not_trusted() {
    let (app, cache) = (App::of("rust-hello"), tempfile::tempdir().unwrap());
    let other = tempfile::tempdir().unwrap();
    serve(&app, cache.path(), &[]).await;
    serve(&app, other.path(), &[]).await;
    let artifact = |folder: &Path| {
        files(folder).into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap()
    };
    std::fs::copy(artifact(other.path()), artifact(cache.path())).unwrap();
    let ended = serve(&app, cache.path(), &[]).await;
    assert!(compiled(&ended), "a foreign artifact was trusted: {ended:?}");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_not_fatal() {
    let app = App::of("rust-hello").file("cache", "a file where a folder should be");
    let ended = serve(&app, &app.path("cache"), &[]).await;
    assert!(compiled(&ended), "{ended:?}");
}

#[tokio::test]
async fn two_processes_share_a_cache() {
    let (app, cache) = (App::of("rust-http"), tempfile::tempdir().unwrap());
    let up = || dayfly().env("DAYFLY_CACHE_DIR", cache.path()).up(app.folder());
    let (one, two) = tokio::join!(up(), up());
    for server in [&one, &two] {
        assert_eq!(server.text("/hello").await, "hello world");
    }
    let third = up().await;
    assert_eq!(third.text("/hello").await, "hello world");
    for server in [one, two] {
        assert!(!complains(&server.stop().await));
    }
    let third = third.stop().await;
    assert!(!compiled(&third) && !complains(&third), "{third:?}");
}
