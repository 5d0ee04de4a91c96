//! What a guest is told: environment, arguments, and variables by `wasi:config`.

use dayfly_testing::{App, Running};

use crate::dayfly;

const VARIABLES: &str = "dayfly = 1\n[application]\nname = \"test\"\n\
    [variables]\nname = { default = \"friend\" }\nkey = { required = true, secret = true }\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
    [component.guest]\nsource = \"guest:rust-http\"\n\
    variables = { greeting = \"hello {{ name }}!\", token = \"{{ key }}\", fixed = \"as it is\" }\n";

#[tokio::test]
async fn templates_are_filled_from_defaults_and_arguments() {
    let app = App::new(VARIABLES);
    let server = up(&app, &["--variable", "key=opensesame"]).await;
    assert_eq!(server.text("/config/greeting").await, "hello friend!");
    assert_eq!(server.text("/config/token").await, "opensesame");
    assert_eq!(server.text("/config/fixed").await, "as it is");
    for unknown in ["name", "key", "GREETING", "other"] {
        assert_eq!(server.get(&format!("/config/{unknown}")).await.status, 404, "{unknown}");
    }
    server.stop().await;
}

async fn up(app: &App, flags: &[&str]) -> Running {
    dayfly().arg("up").args(flags).arg(app.folder()).serve().await
}

#[tokio::test]
async fn the_environment_gives_values_and_arguments_are_stronger() {
    let app = App::new(VARIABLES);
    let dayfly_ = || dayfly().env("DAYFLY_VARIABLE_KEY", "1").env("SPIN_VARIABLE_KEY", "2");
    let server = dayfly_().env("SPIN_VARIABLE_NAME", "spin").up(app.folder()).await;
    assert_eq!(server.text("/config/token").await, "1");
    assert_eq!(server.text("/config/greeting").await, "hello spin!");
    server.stop().await;
    let server = dayfly_().args(["up", "--variable", "key=3"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/config/token").await, "3");
    server.stop().await;
}

#[tokio::test]
async fn a_value_may_lie_in_a_file() {
    let app = App::new(VARIABLES).file("key.txt", "from a file");
    let flag = format!("key=@{}", app.path("key.txt").display());
    let server = up(&app, &["--variable", &flag]).await;
    assert_eq!(server.text("/config/token").await, "from a file");
    server.stop().await;
}

#[tokio::test]
async fn a_required_variable_without_a_value_is_named_with_a_hint() {
    let app = App::new(VARIABLES);
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("`key`") && stderr.contains("hint: "), "{stderr}");
    assert!(stderr.contains("--variable"), "{stderr}");
}

#[tokio::test]
async fn a_value_for_no_variable_is_named() {
    let app = App::new(VARIABLES);
    let command = dayfly().args(["up", "--variable", "kei=x", "--variable", "key=y"]);
    let stderr = command.arg(app.folder()).ends().await.with(1);
    assert!(stderr.contains("`kei`"), "{stderr}");
}

#[tokio::test]
async fn the_environment_is_what_the_manifest_and_the_flag_say_and_nothing_of_the_host() {
    let app = App::granted("rust-http", "environment = { A = \"1\", B = \"2\" }");
    let server = dayfly()
        .env("FROM_THE_HOST", "leaked")
        .args(["up", "--env", "B=3", "--env", "C=4=5"])
        .arg(app.folder())
        .serve()
        .await;
    let text = server.text("/env").await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "B=3", "C=4=5"]);
    server.stop().await;
}

#[tokio::test]
async fn an_http_handler_has_no_arguments() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/args").await, "");
    server.stop().await;
}
