//! The templates of compiled languages, each built by the command that its manifest says.

use std::fs;
use std::os::unix::fs::symlink;

use dayfly_model::Manifest;
use dayfly_testing::{Compilers, Linked, program, workspace};

use super::Made;

/// Runs the commands that the manifest has for the app's only component.
async fn build(made: &Made, linked: Linked) {
    let app = Manifest::load(&made.folder(), None).unwrap();
    let build = app.components.values().find_map(|it| it.build.as_ref()).unwrap();
    let compilers = Compilers::new();
    let mut shell = program("sh");
    shell
        .arg("-ec")
        .arg(build.commands.join("\n"))
        .current_dir(made.folder().join(build.workdir.as_ref().unwrap()))
        .envs(compilers.environment(linked));
    for ours in Compilers::OURS {
        shell.env_remove(ours);
    }
    // A standard library takes longer than a program may.
    let built = shell.output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

async fn is_built_and_does_as_its_readme_says(template: &str) {
    let made = Made::new(template, &[]).await;
    build(&made, Linked::Program).await;
    made.does_as_its_readme_says().await;
}

/// The same for a template in Rust; what is built of its libraries is kept.
async fn in_rust(template: &str, component: &str, linked: Linked) {
    let made = Made::new(template, &[]).await;
    let kept = workspace().join("target/guest-build").join(template);
    fs::create_dir_all(&kept).unwrap();
    symlink(kept, made.folder().join(component).join("target")).unwrap();
    build(&made, linked).await;
    made.does_as_its_readme_says().await;
}

#[tokio::test]
async fn http_in_rust() {
    in_rust("http-rust", "web", Linked::Program).await;
}

#[tokio::test]
async fn middleware_in_rust() {
    in_rust("middleware", "guarded", Linked::Library).await;
}

#[tokio::test]
async fn http_in_go() {
    is_built_and_does_as_its_readme_says("http-go").await;
}

#[tokio::test]
async fn http_in_c() {
    is_built_and_does_as_its_readme_says("http-c").await;
}

#[tokio::test]
async fn http_in_zig() {
    is_built_and_does_as_its_readme_says("http-zig").await;
}

#[tokio::test]
async fn http_in_assemblyscript() {
    is_built_and_does_as_its_readme_says("http-assemblyscript").await;
}
