//! The templates of compiled languages, each built by the command that its manifest says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use dayfly_model::Manifest;
use dayfly_testing::{program, run, workspace};
use tempfile::TempDir;
use tokio::process::Command;

use super::Made;

/// The compilers of the set-up by the names that they have elsewhere.
const COMPILERS: [(&str, &str); 3] = [
    ("clang", "/usr/bin/clang-22"),
    ("go", "target/tools/venv/bin/go"),
    ("zig", "target/tools/venv/bin/python-zig"),
];

/// How Debian's compiler of Rust builds for a target whose standard library comes as source.
const RUST: [(&str, &str); 3] = [
    ("RUSTC", "/usr/bin/rustc"),
    ("RUSTC_BOOTSTRAP", "1"),
    ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort"),
];

/// How Debian's linker links libraries, and programs, whose entry it does not find by itself.
const LIBRARY: &str = "-C link-self-contained=no -L/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-22";
const PROGRAM: &str = "-C link-self-contained=no -L/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-22 \
    -C link-arg=/usr/lib/wasm32-wasi/crt1-command.o";

/// A folder of programs that comes before all others.
fn compilers() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in COMPILERS {
        let path = workspace().join(path);
        assert!(path.is_file(), "`{}` is missing: run `cargo xtask setup`", path.display());
        symlink(path, folder.path().join(name)).unwrap();
    }
    folder
}

/// Has the user's own compiler of Rust build if that has the target, else Debian's.
async fn with_rust(command: &mut Command, compilers: &Path, flags: &str) {
    let sysroot = run(program("rustc").args(["--print", "sysroot"])).await;
    if !Path::new(sysroot.trim()).join("lib/rustlib/wasm32-wasip2").is_dir() {
        symlink("/usr/bin/cargo", compilers.join("cargo")).unwrap();
        command.envs(RUST).env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags);
    }
}

/// Runs the commands that the manifest has for the app's only component.
async fn build(made: &Made, flags: &str) {
    let app = Manifest::load(&made.folder(), None).unwrap();
    let build = app.components.values().find_map(|it| it.build.as_ref()).unwrap();
    let compilers = compilers();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = program("sh");
    shell
        .arg("-ec")
        .arg(build.commands.join("\n"))
        .current_dir(made.folder().join(build.workdir.as_ref().unwrap()))
        .env("PATH", format!("{}:{path}", compilers.path().display()));
    for ours in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR", "CARGO"]
    {
        shell.env_remove(ours);
    }
    with_rust(&mut shell, compilers.path(), flags).await;
    // A standard library takes longer than a program may.
    let built = shell.output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

async fn is_built_and_does_as_its_readme_says(template: &str) {
    let made = Made::new(template, &[]).await;
    build(&made, PROGRAM).await;
    made.does_as_its_readme_says().await;
}

/// The same for a template in Rust; what is built of its libraries is kept.
async fn in_rust(template: &str, component: &str, flags: &str) {
    let made = Made::new(template, &[]).await;
    let kept = workspace().join("target/guest-build").join(template);
    fs::create_dir_all(&kept).unwrap();
    symlink(kept, made.folder().join(component).join("target")).unwrap();
    build(&made, flags).await;
    made.does_as_its_readme_says().await;
}

#[tokio::test]
async fn http_in_rust() {
    in_rust("http-rust", "web", PROGRAM).await;
}

#[tokio::test]
async fn middleware_in_rust() {
    in_rust("middleware", "guarded", LIBRARY).await;
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
