//! What a guest is told: environment, arguments, and variables by `wasi:config`.

use dayfly_testing::{App, Page, Running};

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
async fn the_page_says_how_it_is() {
    let page = Page::read("capabilities/variables.md");
    let manifest = page.example("toml", 0).replace("\"cart.wasm\"", "\"guest:rust-spin-3\"");
    let providers = page.example("toml", 1);
    // All but the first, which nobody here can ask.
    let (_, providers) = providers.split_once("\n\n").unwrap();
    let app = App::new(&manifest)
        .file("key.txt", "opensesame")
        .file("runtime-config.toml", providers)
        .file("shop.env", "SHOP_API_KEY='from the file'\n");
    let server = dayfly().within(app.folder()).args(["up", "--variable", "api_key=@key.txt"]);
    let server = server.serve().await;
    assert_eq!(server.text("/variable/endpoint").await, "https://eu.api.example.com/v1");
    assert_eq!(server.text("/variable/token").await, "opensesame");
    assert_eq!(server.get("/variable/api_key").await.status, 502);
    server.stop().await;
    let server = dayfly().within(app.folder()).args(["up", "--runtime-config-file"]);
    let server = server.arg("runtime-config.toml").serve().await;
    assert_eq!(server.text("/variable/endpoint").await, "https://us.api.example.com/v1");
    assert_eq!(server.text("/variable/token").await, "from the file");
    server.stop().await;
}

#[tokio::test]
async fn several_values_may_lie_in_a_file() {
    let app = App::new(VARIABLES)
        .file("a.json", "{ \"key\": \"from json\", \"name\": \"json\" }")
        .file("b.toml", "name = 'toml'\n");
    let flags: Vec<String> =
        ["a.json", "b.toml"].map(|file| format!("--variable=@{}", app.path(file).display())).into();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = up(&app, &flags).await;
    assert_eq!(server.text("/config/token").await, "from json");
    assert_eq!(server.text("/config/greeting").await, "hello toml!");
    server.stop().await;
}

#[tokio::test]
async fn a_dotenv_file_beside_the_manifest_is_asked_after_the_environment() {
    let app = App::new(VARIABLES)
        .file(".env", "# secrets\nSPIN_VARIABLE_KEY='from .env'\nSPIN_VARIABLE_NAME=env\n");
    let server = dayfly().env("SPIN_CONFIG_NAME", "old").up(app.folder()).await;
    assert_eq!(server.text("/config/token").await, "from .env");
    assert_eq!(server.text("/config/greeting").await, "hello old!");
    server.stop().await;
}

/// A guest of each interface by which variables are read, the path at which it reads one, and what
/// it says of one that there is not, and of one that cannot be.
const GUESTS: [(&str, &str, &str, &str); 5] = [
    ("rust-spin-3", "/variable/", "Undefined", "InvalidName"),
    ("rust-spin-5", "/variable?name=", "Undefined", "InvalidName"),
    ("rust-spin-6", "/variable/", "Undefined", "InvalidName"),
    ("rust-spin-7", "/variable/", "Undefined", "InvalidName"),
    ("rust-interfaces", "/config/", "Provider", "InvalidKey"),
];

#[tokio::test]
async fn every_interface_reads_them() {
    for (guest, path, undefined, invalid) in GUESTS {
        let app = App::new(&VARIABLES.replace("rust-http", guest));
        let server = up(&app, &["--variable", "key=opensesame"]).await;
        assert_eq!(server.text(&format!("{path}greeting")).await, "hello friend!", "{guest}");
        assert_eq!(server.text(&format!("{path}token")).await, "opensesame", "{guest}");
        // Of the app's own variables, a component has what its table names.
        for (name, error) in [("key", undefined), ("other", undefined), ("NAME", invalid)] {
            let answer = server.get(&format!("{path}{name}")).await;
            assert_eq!(answer.status, 502, "{guest} {name}");
            assert!(answer.text().contains(error), "{guest} {name}: {}", answer.text());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_component_that_was_granted_none_has_none() {
    for (guest, path, undefined, _) in GUESTS {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        let answer = server.get(&format!("{path}token")).await;
        assert!(answer.text().contains(undefined), "{guest}: {}", answer.text());
        server.stop().await;
    }
}

#[tokio::test]
async fn a_name_of_any_length_is_an_error_of_the_interface() {
    let app = App::granted("rust-spin-7", "");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get(&format!("/variable/{}", "a".repeat(8000))).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().len() < 1000, "{}", answer.text().len());
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
