//! `dayfly watch`: what changes is built and served, what is wrong is shown, and no request is dropped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dayfly_testing::{App, Dayfly, Guest, Running};

use crate::dayfly;
use crate::scripts::with_interpreters;

/// An app whose component is made by a command, of the guest that a file names.
fn app(guest: &str) -> App {
    App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"made/handler.wasm\"\n\
         build = { command = \"mkdir -p made && cp $(cat which.txt) made/handler.wasm\", watch = [\"*.txt\"] }\n",
    )
    .file("which.txt", path(guest))
}

fn path(guest: &str) -> String {
    Guest::path(guest).display().to_string()
}

async fn watch(folder: &Path) -> Running {
    dayfly().arg("watch").arg(folder).serve().await
}

/// Watches with a cache in which nothing is, and tells what is compiled.
async fn watch_compiling(command: Dayfly, cache: &Path, folder: &Path) -> Running {
    let command = command
        .env("DAYFLY_CACHE_DIR", cache)
        .env("DAYFLY_LOG", "info,dayfly_engine=debug,dayfly_host=debug")
        .env_remove("DAYFLY_ENGINE");
    command.arg("watch").arg(folder).serve().await
}

/// Waits until a path is answered as expected; meanwhile each answer must be one of `others`, too.
async fn until_answered(server: &Running, path: &str, expected: u16, others: &[u16]) {
    let since = Instant::now();
    loop {
        let answer = server.get(path).await;
        let status = answer.status;
        if status == expected {
            return;
        }
        assert!(others.contains(&status), "{path}: {status} {}", answer.text());
        assert!(since.elapsed() < Duration::from_secs(60), "{path} is not answered by {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_changes_is_built_and_served() {
    // Only the first answers on any path.
    let app = app("rust-hello");
    let server = watch(app.folder()).await;
    assert_eq!(server.text("/").await.trim(), "hello world");
    until_answered(&server, "/nowhere", 200, &[]).await;
    let end = Arc::new(AtomicBool::new(false));
    let (client, ended) = ((*server).clone(), end.clone());
    let load = tokio::spawn(async move {
        let mut answers = 0;
        while !ended.load(SeqCst) {
            assert_eq!(client.get("/hello").await.status, 200);
            answers += 1;
        }
        answers
    });
    for _ in 0..3 {
        std::fs::write(app.path("which.txt"), path("rust-http")).unwrap();
        until_answered(&server, "/nowhere", 404, &[200]).await;
        std::fs::write(app.path("which.txt"), path("rust-hello")).unwrap();
        until_answered(&server, "/nowhere", 200, &[404]).await;
    }
    // What somebody else makes is served as it is.
    std::fs::copy(Guest::path("rust-http"), app.path("made/new")).unwrap();
    std::fs::rename(app.path("made/new"), app.path("made/handler.wasm")).unwrap();
    until_answered(&server, "/nowhere", 404, &[200]).await;
    end.store(true, SeqCst);
    assert!(load.await.unwrap() > 0);
    server.stop().await.with(0);
}

#[tokio::test]
async fn only_what_changed_is_built() {
    let component = |id: &str| {
        format!(
            "[[trigger.http]]\nroute = \"/{id}/...\"\ncomponent = \"{id}\"\n\
             [component.{id}]\nsource = \"made/{id}.wasm\"\n\
             build = {{ watch = [\"{id}.txt\"], command = \"echo {id} >> built && mkdir -p made && \
             cp $(cat {id}.txt) made/{id}.wasm\" }}\n"
        )
    };
    let (one, two) = (component("one"), component("two"));
    let app = App::new(&format!("dayfly = 1\n[application]\nname = \"test\"\n{one}{two}"))
        .file("one.txt", path("rust-hello"))
        .file("two.txt", path("rust-hello"));
    let server = watch(app.folder()).await;
    until_answered(&server, "/one/nowhere", 200, &[503]).await;
    std::fs::write(app.path("two.txt"), path("rust-http")).unwrap();
    until_answered(&server, "/two/nowhere", 404, &[200]).await;
    until_answered(&server, "/one/nowhere", 200, &[]).await;
    let built = app.text("built");
    let mut built: Vec<&str> = built.lines().collect();
    assert_eq!(built.pop(), Some("two"));
    built.sort_unstable();
    assert_eq!(built, ["one", "two"]);
    server.stop().await.with(0);
}

#[tokio::test]
async fn errors_of_builds_stand_in_the_terminal_and_in_the_browser() {
    let app = app("rust-hello");
    let server = watch(app.folder()).await;
    std::fs::write(app.path("which.txt"), "/no/<such>").unwrap();
    server.stderr().containing("a build failed").await;
    server.stderr().containing("guest: `mkdir -p made").await;
    server.stderr().containing("failed: exit status").await;
    until_answered(&server, "/", 503, &[200]).await;
    let line = server.get("/").await;
    assert_eq!(line.text(), "The build failed: see the terminal of `dayfly watch`\n");
    let page = server.get_with("/", &[("accept", "text/html,*/*")]).await;
    assert_eq!(page.status, 500);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text().contains("failed: exit status"), "{}", page.text());
    assert!(!page.text().contains("<such>"), "{}", page.text());
    assert!(page.text().contains("such"), "what the shell said: {}", page.text());
    std::fs::write(app.path("which.txt"), path("rust-hello")).unwrap();
    until_answered(&server, "/", 200, &[503]).await;
    server.stop().await.with(0);
}

#[tokio::test]
async fn a_build_that_fails_at_first_is_waited_for() {
    let app = app("rust-hello").file("which.txt", "/nowhere");
    let server = watch(app.folder()).await;
    until_answered(&server, "/", 503, &[]).await;
    std::fs::write(app.path("which.txt"), path("rust-hello")).unwrap();
    until_answered(&server, "/", 200, &[503]).await;
    server.stop().await.with(0);
}

#[tokio::test]
async fn the_manifest_is_read_again() {
    let app = app("rust-http");
    let server = watch(app.folder()).await;
    until_answered(&server, "/added", 404, &[]).await;
    let manifest = app.text("dayfly.toml");
    let route = "[[trigger.http]]\nroute = \"/added\"\nstatic_response = { body = \"static\" }\n";
    std::fs::write(app.manifest(), format!("{manifest}{route}")).unwrap();
    until_answered(&server, "/added", 200, &[404]).await;
    assert_eq!(server.text("/").await.trim(), "hello world");
    // A mistake, and none any more.
    std::fs::write(app.manifest(), format!("{manifest}nonsense = 1\n")).unwrap();
    until_answered(&server, "/", 503, &[200]).await;
    let page = server.get_with("/", &[("accept", "text/html")]).await;
    assert!(page.text().contains("nonsense"), "{}", page.text());
    std::fs::write(app.manifest(), manifest).unwrap();
    until_answered(&server, "/", 200, &[503]).await;
    until_answered(&server, "/added", 404, &[]).await;
    server.stop().await.with(0);
}

#[tokio::test]
async fn events_go_on_while_the_app_changes() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/version\"\nstatic_response = { body = \"1\" }\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
         [component.rust-events]\nsource = \"guest:rust-events\"\n",
    );
    let server = watch(app.folder()).await;
    let state = server.state("");
    let manifest = app.text("dayfly.toml");
    for version in 2..6 {
        let send = ["queue", "send", "in", &version.to_string(), "--state-dir"].map(str::to_owned);
        dayfly().args(send).arg(&state).ends().await.with(0);
        let changed = manifest.replace("\"1\"", &format!("\"{version}\""));
        std::fs::write(app.manifest(), changed).unwrap();
        let since = Instant::now();
        while server.text("/version").await != version.to_string() {
            assert!(since.elapsed() < Duration::from_secs(60), "version {version} never comes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let mut out = crate::events::heard(&state, 4).await;
    out.sort();
    assert_eq!(out, ["2", "3", "4", "5"]);
    server.stop().await.with(0);
}

#[tokio::test]
async fn what_never_changes_is_not_watched() {
    let error = dayfly().args(["watch", "registry.example/me/app:1.0"]).ends().await.with(1);
    assert!(error.contains("is a package: nothing of it ever changes"), "{error}");
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response = { body = \"1\" }\n\
         [[trigger.command]]\ncomponent = \"c\"\n\
         [component.c]\nsource = \"guest:rust-command\"\n",
    );
    let server = watch(app.folder()).await;
    server.stderr().containing("run by `dayfly up`").await;
    server.stop().await.with(0);
}

/// Whatever is saved while the interpreter's code is made, and then, it is made once by each compiler.
#[tokio::test]
async fn an_interpreter_is_compiled_once_for_all_saves() {
    let says = |text| format!("export default {{ fetch: () => new Response(\"{text}\") }};\n");
    let app = crate::scripts::app("app.js").file("app.js", says("first"));
    let cache = tempfile::tempdir().unwrap();
    let server = watch_compiling(with_interpreters(), cache.path(), app.folder()).await;
    let until_said = async |text: &str| {
        let since = Instant::now();
        while server.text("/").await != text {
            assert!(since.elapsed() < Duration::from_secs(60), "{text} is never said");
        }
    };
    let compiled = |mode| {
        let log = server.stderr().text();
        log.lines().filter(|line| line.contains("compiled") && line.contains(mode)).count()
    };
    for text in ["first", "second", "third"] {
        std::fs::write(app.path("app.js"), says(text)).unwrap();
        until_said(text).await;
        assert_eq!(compiled("mode=baseline"), 1, "{text}");
    }
    // Behind what is served, so it takes its time.
    let since = Instant::now();
    while !server.stderr().text().contains("compiled in full") {
        assert!(since.elapsed() < Duration::from_secs(120), "{}", server.stderr().text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::write(app.path("app.js"), says("fourth")).unwrap();
    until_said("fourth").await;
    assert_eq!((compiled("mode=baseline"), compiled("mode=auto")), (1, 1));
    // There is room for two releases.
    assert!(!server.stderr().text().contains("sent away"), "{}", server.stderr().text());
    server.stop().await.with(0);
}

/// Code that others follow soon is not made in full: that would take the cores from what builds the next.
#[tokio::test]
async fn only_what_stays_is_compiled_in_full() {
    let guests = ["rust-spin-5", "rust-wstd", "rust-spin-2"];
    let app = app(guests[0]);
    let cache = tempfile::tempdir().unwrap();
    let server = watch_compiling(dayfly(), cache.path(), app.folder()).await;
    let count = |words: [&str; 2]| {
        let log = server.stderr().text();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    let until = async |words: [&str; 2], expected: usize| {
        let since = Instant::now();
        while count(words) < expected {
            let log = server.stderr().text();
            assert!(since.elapsed() < Duration::from_secs(120), "{words:?}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for (saves, guest) in guests.into_iter().enumerate() {
        std::fs::write(app.path("which.txt"), path(guest)).unwrap();
        until(["compiled", "mode=baseline"], saves + 1).await;
        until(["Serving", "again"], saves).await;
        // The first event is what causes more.
        server.get("/").await;
    }
    until(["compiled in full", ""], 1).await;
    assert_eq!(count(["compiled", "mode=auto"]), 1);
    server.stop().await.with(0);
}
