//! The templates of compiled languages, each built by the command that its manifest says.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use dayfly_model::Manifest;
use dayfly_testing::{Compilers, program, workspace};

use super::Made;

/// Runs the commands that the manifest has for the app's only component.
async fn build(made: &Made) {
    let app = Manifest::load(&made.folder(), None).unwrap();
    let build = app.components.values().find_map(|it| it.build.as_ref()).unwrap();
    let compilers = Compilers::new();
    let mut shell = program("sh");
    shell
        .arg("-ec")
        .arg(build.commands.join("\n"))
        .current_dir(made.folder().join(build.workdir.as_ref().unwrap()))
        .envs(compilers.environment());
    for ours in Compilers::OURS {
        shell.env_remove(ours);
    }
    // A standard library takes longer than a program may.
    let built = shell.output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

async fn is_built_and_does_as_its_readme_says(template: &str) {
    let made = Made::new(template, &[]).await;
    build(&made).await;
    made.does_as_its_readme_says().await;
}

/// The same for a template in Rust, built where the guests of the tests are, for the standard library's sake.
async fn in_rust(template: &str, component: &str) {
    let made = Made::new(template, &[]).await;
    let target = made.folder().join(component).join("target");
    let shared = workspace().join("target/guest-build");
    let one_at_a_time = File::create(shared.join(".templates")).unwrap();
    one_at_a_time.lock().unwrap();
    symlink(&shared, &target).unwrap();
    build(&made).await;
    fs::remove_file(&target).unwrap();
    let built = "wasm32-wasip2/release";
    fs::create_dir_all(target.join(built)).unwrap();
    for name in ["guard.wasm", "handler.wasm"] {
        let from = shared.join(built).join(name);
        if from.exists() {
            fs::rename(from, target.join(built).join(name)).unwrap();
        }
    }
    drop(one_at_a_time);
    made.does_as_its_readme_says().await;
}

#[tokio::test]
async fn http_in_rust() {
    in_rust("http-rust", "web").await;
}

#[tokio::test]
async fn middleware_in_rust() {
    in_rust("middleware", "guarded").await;
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
