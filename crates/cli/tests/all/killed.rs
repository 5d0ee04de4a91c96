//! `kill -9` at any moment leaves a cache and a state folder that the next start uses.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Dayfly, Guest};
use tokio::time::sleep;

use crate::dayfly;

const TIMES: u32 = 100;

/// A guest that no cache knows yet: a small one with a custom section of its own.
fn new_guest(number: u32) -> Vec<u8> {
    let mut bytes = Guest::bytes("rust-hello");
    let contents = [&[1, b'n'][..], &number.to_le_bytes()].concat();
    bytes.extend([0, contents.len() as u8]);
    bytes.extend(contents);
    bytes
}

fn app() -> App {
    App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\nfiles = [\"data/*\"]\n",
    )
    .file("data/a", vec![1; 1 << 20])
    .file("data/b", "b")
}

/// A start with a cache and a state folder that last longer than the process.
fn up(app: &App, folder: &Path) -> Dayfly {
    dayfly()
        .env("DAYFLY_CACHE_DIR", folder.join("cache"))
        .env("DAYFLY_STATE_DIR", folder.join("state"))
        .arg("up")
        .arg(app.folder())
}

#[tokio::test]
async fn a_hundred_kills_while_starting_leave_nothing_broken() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = app().file("guest.wasm", new_guest(0));

    // How long a start takes that has to compile, so that the kills spread over all of it.
    let began = Instant::now();
    let server = up(&app, folder.path()).serve().await;
    let start = began.elapsed();
    server.stop().await;

    for number in 1..=TIMES {
        app = app.file("guest.wasm", new_guest(number)).file("data/b", number.to_string());
        let starting = up(&app, folder.path()).spawn();
        sleep(start * number / TIMES + jitter()).await;
        starting.process().kill();
        assert_eq!(starting.ended().await.code, None);
    }

    for number in [TIMES, 1, TIMES / 2] {
        app = app.file("guest.wasm", new_guest(number));
        let server = up(&app, folder.path()).serve().await;
        assert_eq!(server.text("/").await, "hello world");
        let ended = server.stop().await;
        for word in ["WARN", "ERROR", "error"] {
            assert!(!ended.stderr.contains(word), "{}", ended.stderr);
        }
    }
}

/// A few milliseconds, otherwise each time.
fn jitter() -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    Duration::from_micros(random % 5000)
}
