//! Commands that run once, when the app starts.

use std::time::{Duration, Instant};

use dayfly_testing::App;

use super::until;
use crate::commands::copies;
use crate::dayfly;

/// An app of Spin's, as its plugin has it.
fn spins() -> App {
    App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [[trigger.command]]\ncomponent = \"job\"\n\
         [component.job]\nsource = \"guest:rust-command\"\n",
    )
}

#[tokio::test]
async fn a_command_of_spins_runs_once_and_its_status_is_the_apps() {
    let app = spins();
    let up = async |words: &[&str]| {
        dayfly().arg("up").arg(app.folder()).arg("--").args(words).ends().await
    };
    assert_eq!(up(&[]).await.with_stdout(0), "hello world\n");
    assert_eq!(up(&["args", "-x", "--", "y"]).await.with_stdout(0), "args\n-x\n--\ny\n");
    up(&["exit", "7"]).await.with(7);
    assert!(up(&["trap"]).await.with(134).contains("the command was stopped"));
}

#[test]
fn streams_are_the_processs_own() {
    let app = spins();
    copies(&["up", app.folder().to_str().unwrap(), "--", "cat"]);
}

/// An app with commands of these arguments, and something that is served.
fn beside(commands: &[&str]) -> App {
    let command =
        |args: &&str| format!("[[trigger.command]]\ncomponent = \"job\"\nargs = [{args}]\n");
    let commands: String = commands.iter().map(command).collect();
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{commands}\
         [component.job]\nsource = \"guest:rust-command\"\n\
         files = [{{ source = \"out\", destination = \"/out\", writable = true }}]\n\
         [component.hello]\nsource = \"guest:rust-hello\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n"
    ))
    .file("out/.keep", "")
}

#[tokio::test]
async fn commands_run_in_turn_beside_what_else_is_served() {
    let app = beside(&["\"write\", \"/out/a\", \"1\"", "\"cat\", \"/out/a\""]);
    let server = dayfly().up(app.folder()).await;
    until("the file", async || std::fs::read(app.path("out/a")).ok()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await.with(0);
}

#[tokio::test]
async fn a_command_that_fails_ends_the_app() {
    let app = beside(&["\"exit\", \"3\"", "\"write\", \"/out/a\", \"1\""]);
    dayfly().args(["up", "--listen", "127.0.0.1:0"]).arg(app.folder()).ends().await.with(3);
    assert!(!app.path("out/a").exists());
}

#[tokio::test]
async fn limits_hold_where_they_are_stated() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.command]]\ncomponent = \"job\"\nargs = [\"spin\"]\n\
         [component.job]\nsource = \"guest:rust-command\"\nlimits = { cpu = \"300ms\" }\n",
    );
    let began = Instant::now();
    let ended = dayfly().arg("up").arg(app.folder()).ends().await;
    assert!(ended.with(134).contains("CPU time of 300ms"));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn what_is_no_command_is_an_error() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.command]]\ncomponent = \"job\"\n\
         [component.job]\nsource = \"guest:rust-hello\"\n",
    );
    let said = dayfly().arg("up").arg(app.folder()).ends().await.with(1);
    assert!(said.contains("the trigger calls the component as a command"), "{said}");
    let app = App::of("rust-hello");
    let said = dayfly().arg("up").arg(app.folder()).args(["--", "x"]).ends().await.with(1);
    assert!(said.contains("has no `[[trigger.command]]`"), "{said}");
}
