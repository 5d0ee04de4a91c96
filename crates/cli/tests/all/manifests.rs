//! Manifests of every kind run; those that cannot be honoured say so by name.

use dayfly_testing::App;

use crate::dayfly;

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"test\"\n";

#[tokio::test]
async fn a_spin_manifest_of_version_2_runs_unchanged() {
    let app = App::spin(
        "spin_manifest_version = 2\n\
         [application]\nname = \"old-friend\"\nversion = \"0.1.0\"\nauthors = [\"A <a@b.c>\"]\n\
         description = \"\"\n\
         [variables]\nname = { default = \"friend\" }\n\
         [[trigger.http]]\nid = \"hello\"\nroute = \"/...\"\ncomponent = \"hello\"\n\
         [component.hello]\nsource = \"guest:rust-http\"\ndescription = \"says hello\"\n\
         allowed_outbound_hosts = []\nvariables = { greeting = \"hello {{ name }}\" }\n\
         environment = { A = \"b\" }\n\
         [component.hello.build]\ncommand = \"cargo build\"\nwatch = [\"src/**/*.rs\"]\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/config/greeting").await, "hello friend");
    assert_eq!(server.text("/env").await, "A=b\n");
    server.stop().await;
}

#[tokio::test]
async fn a_spin_manifest_of_version_1_runs_unchanged() {
    let app = App::spin(
        "spin_manifest_version = \"1\"\nname = \"old\"\nversion = \"0.1.0\"\n\
         trigger = { type = \"http\", base = \"/api\" }\n\
         [variables]\nname = { default = \"friend\" }\n\
         [[component]]\nid = \"hello\"\nsource = \"guest:rust-http\"\n\
         environment = { A = \"b\" }\nfiles = [\"data/*.txt\"]\n\
         config = { greeting = \"hello {{ name }}\" }\n\
         [component.trigger]\nroute = \"/...\"\n\
         [[component]]\nid = \"command\"\nsource = \"guest:rust-command\"\n\
         [component.trigger]\nroute = \"/cgi\"\nexecutor = { type = \"wagi\" }\n",
    )
    .file("data/a.txt", "a file");
    let server = dayfly().up(app.folder()).await;
    // The guest sees the whole path, and answers 404 itself to one below the base.
    let text = server.get("/api/env").await.text();
    assert_eq!(text, "no such path: /api/env\n");
    let text = server.text("/api/cgi").await;
    assert!(text.contains("X_MATCHED_ROUTE=/api/cgi"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn the_manifest_may_be_named_itself() {
    let app = App::of("rust-hello");
    let server = dayfly().up(app.manifest()).await;
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn the_folder_is_the_working_directory_unless_named() {
    let app = App::of("rust-hello");
    let server = dayfly().within(app.folder()).up(".").await;
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await;
    let server = dayfly().args(["up", "--from"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_profile_overrides_what_it_names() {
    let app = App::granted(
        "rust-http",
        "environment = { MODE = \"usual\" }\n[component.guest.profile.test]\nenvironment = { MODE = \"test\" }\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/env").await, "MODE=usual\n");
    server.stop().await;
    let server = dayfly().args(["up", "--profile", "test"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/env").await, "MODE=test\n");
    server.stop().await;
}

/// What a manifest says that this version does not serve, and the words that must name it.
const UNSERVED: &[(&str, &[&str])] = &[
    (
        "[[trigger.sqs]]\nqueue = \"jobs\"\ncomponent = \"guest\"\n",
        &["spin.toml:4:", "trigger.sqs", "the `sqs` trigger"],
    ),
    (
        "[component.guest]\nsource = \"app.php\"\n",
        &["spin.toml:8:", "component.guest.source", "script"],
    ),
];

#[tokio::test]
async fn what_is_not_served_is_named_with_its_key_file_and_line() {
    const TRIGGER: &str = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"guest\"\n";
    const COMPONENT: &str = "[component.guest]\nsource = \"x.wasm\"\n";
    for (lines, words) in UNSERVED {
        let rest = if lines.contains("[component.guest]") {
            format!("{TRIGGER}{lines}")
        } else {
            format!("{lines}{COMPONENT}")
        };
        let app = App::spin(&format!("{HEAD}{rest}"));
        let stderr = dayfly().up_ends(app.folder()).await.with(1);
        for word in *words {
            assert!(stderr.contains(word), "no `{word}` for\n{rest}\nin\n{stderr}");
        }
    }
}

#[tokio::test]
async fn all_that_is_not_served_is_told_at_once() {
    let app = App::spin(&format!(
        "{HEAD}[[trigger.sqs]]\nqueue = \"a\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"app.php\"\n"
    ));
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    for word in ["`sqs`", "`.php`"] {
        assert!(stderr.contains(word), "{stderr}");
    }
}

#[tokio::test]
async fn all_mistakes_of_a_manifest_are_told_at_once() {
    let app = App::spin(&format!(
        "{HEAD}[[trigger.http]]\nroute = \"/\"\ncomponnent = \"guest\"\n\
         [component.guest]\nsource = 7\nenviroment = {{ A = \"b\" }}\n"
    ));
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    for word in ["spin.toml:6:1", "`component`", "spin.toml:8:", "spin.toml:9:1", "`environment`"] {
        assert!(stderr.contains(word), "no {word} in\n{stderr}");
    }
    assert!(stderr.starts_with("error: "), "{stderr}");
}

#[tokio::test]
async fn an_app_without_triggers_is_refused() {
    let app = App::spin(&format!("{HEAD}[component.guest]\nsource = \"guest:rust-hello\"\n"));
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("`trigger` is missing"), "{stderr}");
}

#[tokio::test]
async fn two_triggers_on_one_route_are_a_mistake() {
    let app = App::spin(&format!(
        "{HEAD}[[trigger.http]]\nroute = \"/x/:a\"\ncomponent = \"guest\"\n\
         [[trigger.http]]\nroute = \"/x/:b\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-hello\"\n"
    ));
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("/x/:"), "{stderr}");
}
