//! `dayfly add`: a further component, and an app that is as it was where that does not work.

use std::fs;
use std::path::Path;

use super::command;
use super::help::help;
use super::new::{Made, names};
use crate::examples::answers;
use crate::scripts::text;

#[tokio::test]
async fn the_help() {
    insta::assert_snapshot!(help("add").await, @r##"
    Add a component from a template to an app

    Its files go to a folder of its own beside the manifest, and what the manifest has to say of it to
    the manifest's end; the rest of that stays as it is.

    Usage: dayfly add [OPTIONS] [TEMPLATE] [NAME]

    Arguments:
      [TEMPLATE]
              The template: `dayfly new --list` lists them

      [NAME]
              What the component is to be called [default: the template says]

    Options:
      -f, --from <PATH>
              The app's folder, or its manifest

              [default: .]

      -v, --value <NAME=VALUE>
              Set a variable of the template

      -a, --accept-defaults
              Ask nothing, and take the defaults

      -q, --quiet
              Print nothing

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      dayfly add http-python cart
      dayfly add queue --from shop --value queue=mail
    "##);
}

/// Runs `dayfly add …` for an app; what it says after it ended with this status.
async fn add(app: &Path, words: &[&str], status: i32) -> String {
    command(&["add", "--from"]).arg(app).args(words).ends().await.with(status)
}

/// All that an app's folder holds.
fn state(app: &Path) -> (Vec<String>, String) {
    (names(app), fs::read_to_string(app.join("dayfly.toml")).unwrap())
}

#[tokio::test]
async fn components_in_other_languages_are_added() {
    let made = Made::new("http-js", &[]).await;
    let app = made.folder();
    let own = format!("# My own words.\n{}\n# The end.", state(&app).1);
    fs::write(app.join("dayfly.toml"), &own).unwrap();
    let said = add(&app, &["http-python", "cart"], 0).await;
    assert!(said.contains("component `cart`") && said.contains("`/cart/...`"), "{said}");
    // The name is free, then it is not.
    add(&app, &["http-perl"], 0).await;
    add(&app, &["queue"], 0).await;
    let (names, manifest) = state(&app);
    assert!(manifest.starts_with(&own), "{manifest}");
    let expected =
        [".gitignore", "README.md", "cart", "dayfly.toml", "tests", "web", "web-2", "worker"];
    assert_eq!(names, expected);
    let server = made.up().await;
    answers(&server, &app).await;
    assert_eq!(text(&server, "/cart/?name=cart").await, "hello cart\n");
    assert_eq!(text(&server, "/web-2/?name=perl").await, "hello perl\n");
    assert_eq!(server.post("/worker-jobs", "x").await.status, 202);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_added_changes_nothing() {
    let made = Made::new("http-js", &[]).await;
    let app = made.folder();
    fs::create_dir(app.join("taken")).unwrap();
    fs::write(app.join(".env"), "").unwrap();
    let before = state(&app);
    for (words, status, told) in [
        (&["http-python", "web"][..], 1, "the app has a component `web` already"),
        (&["http-python", "taken"], 1, "taken` is there already"),
        (&["http-python", "cart", "--value", "route=/..."], 1, "matches the same paths"),
        (&["http-python", "cart", "--value", "route=..."], 1, "does not fit into"),
        (&["http-python", "../cart"], 2, "a name has only"),
        (&["http-python", "/cart"], 2, "a name has only"),
        (&["nothing", "cart"], 1, "there is no template `nothing`"),
        (&[], 1, "no template is named"),
    ] {
        let said = add(&app, words, status).await;
        assert!(said.contains(told), "{words:?}: {said}");
        assert_eq!(state(&app), before, "{words:?}");
    }
}

#[tokio::test]
async fn an_app_of_spin_may_be_added_to_and_a_broken_one_not() {
    let folder = tempfile::tempdir().unwrap();
    let said = add(folder.path(), &["http-js"], 1).await;
    assert!(said.contains("has no `dayfly.toml` or `spin.toml`"), "{said}");
    let manifest = folder.path().join("spin.toml");
    let text = "spin_manifest_version = 2\n[application]\nname = \"old\"\n\
                [[trigger.http]]\nroute = \"/a\"\nstatic_response = { body = \"a\" }\n";
    fs::write(&manifest, format!("{text}[component]\nx = 1\n")).unwrap();
    add(folder.path(), &["http-js"], 1).await;
    assert_eq!(names(folder.path()), ["spin.toml"]);
    fs::write(&manifest, text).unwrap();
    // Spin knows no queues.
    let said = add(folder.path(), &["queue"], 1).await;
    assert!(said.contains("template `queue` does not fit into"), "{said}");
    assert_eq!(names(folder.path()), ["spin.toml"]);
    add(folder.path(), &["http-js"], 0).await;
    assert_eq!(names(folder.path()), ["spin.toml", "tests", "web"]);
    let inline = "spin_manifest_version = 2\napplication = { name = \"old\" }\n\
                  trigger = { http = [{ route = \"/a\", static_response = { body = \"a\" } }] }\n";
    fs::write(&manifest, inline).unwrap();
    let said = add(folder.path(), &["http-js"], 1).await;
    assert!(said.contains("template `http-js` does not fit into"), "{said}");
    assert_eq!(fs::read_to_string(&manifest).unwrap(), inline);
}
