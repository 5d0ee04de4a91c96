//! Components that keep a compiler busy, and what others notice of it.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Running};

use crate::dayfly;

/// A command whose functions each have so many loops in one another, which change so many locals.
fn loops(functions: usize, depth: usize, locals: usize) -> String {
    let change = |n| format!("(local.set {n} (i32.add (local.get {n}) (i32.const 1)))");
    let body = "(loop ".repeat(depth)
        + &(0..locals).map(change).collect::<String>()
        + &"(br_if 0 (local.get 0)))".repeat(depth);
    let function = format!("(func (local {}) {body})\n", "i32 ".repeat(locals));
    format!(
        "(module (memory (export \"memory\") 1) (func (export \"_start\")) {})",
        function.repeat(functions)
    )
}

/// An app with a command of this text at `/heavy`, and two handlers.
fn beside(heavy: &str) -> App {
    App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/heavy\"\ncomponent = \"heavy\"\n\
         executor = { type = \"wagi\" }\n\
         [[trigger.http]]\nroute = \"/warm\"\ncomponent = \"warm\"\n\
         [[trigger.http]]\nroute = \"/cold\"\ncomponent = \"cold\"\n\
         [component.heavy]\nsource = \"heavy.wat\"\nlimits = { time = \"5m\" }\n\
         [component.warm]\nsource = \"guest:rust-hello\"\n\
         [component.cold]\nsource = \"guest:hostile\"\n",
    )
    .file("heavy.wat", heavy)
}

/// How long requests to a neighbour take, in order.
async fn latencies(server: &Running, until: impl AsyncFnOnce()) -> Vec<Duration> {
    let mut all = Vec::new();
    let done = std::cell::Cell::new(false);
    let asking = async {
        while !done.get() {
            let began = Instant::now();
            assert_eq!(server.text("/warm").await, "hello world");
            all.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::join!(asking, async {
        until().await;
        done.set(true);
    });
    all.sort_unstable();
    all
}

#[tokio::test]
async fn what_would_take_a_compiler_too_long_is_refused() {
    // 16 kB of WebAssembly, which took a compiler more than a minute, and memory without end.
    let app = beside(&loops(1, 1000, 1000));
    let server = dayfly().args(["up", "--check=never"]).arg(app.folder()).serve().await;
    let began = Instant::now();
    let answer = server.get("/heavy").await;
    assert_eq!(answer.status, 503);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let line = server.stderr().containing(&format!("error_id={}", answer.error_id())).await;
    assert!(line.contains("would keep the compiler busy for too long"), "{line}");
    assert_eq!(server.text("/warm").await, "hello world");
    server.stop().await;
    for command in [&["up", "--check"][..], &["check", "--compile"]] {
        let ended = dayfly().args(command).arg(app.folder()).ends().await;
        let text = ended.stdout.clone() + &ended.with(1);
        assert!(text.contains("would keep the compiler busy"), "{text}");
    }
}

#[tokio::test]
async fn others_are_served_while_a_component_is_compiled() {
    let (app, cache) = (beside(&loops(12, 40, 1000)), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path());
    let server = command.args(["up", "--check=never"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/warm").await, "hello world");
    let calm = latencies(&server, async || tokio::time::sleep(Duration::from_secs(1)).await).await;
    let (heavy, other) = (server.another_client(), server.another_client());
    let began = Instant::now();
    let mut cold = Duration::MAX;
    let busy = latencies(&server, async || {
        let compiled = async { heavy.get("/heavy").await };
        let light = async {
            // It is not compiled yet, and need not wait until the other one is.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(other.text("/cold").await, "hello world");
            began.elapsed()
        };
        let (_, took) = tokio::join!(compiled, light);
        cold = took;
    });
    let busy = busy.await;
    let took = began.elapsed();
    let (median, most) = (busy[busy.len() / 2], busy[busy.len() - 1]);
    println!(
        "compiled in {took:.1?}, another in {cold:.1?}; {} requests meanwhile: median {median:.1?}, \
         at most {most:.1?}; before: {:.1?}, {:.1?}",
        busy.len(),
        calm[calm.len() / 2],
        calm[calm.len() - 1]
    );
    assert!(took > Duration::from_secs(2), "long enough to notice: {took:?}");
    assert!(cold < took, "{cold:?} of {took:?}");
    assert!(median < 10 * calm[calm.len() / 2] + Duration::from_millis(20), "{median:?}");
    assert!(most < Duration::from_secs(2), "{most:?}");
    server.stop().await;
}
