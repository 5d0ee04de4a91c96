//! The template in Rust, built by the command that its manifest says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use dayfly_model::Manifest;
use dayfly_testing::{program, run, workspace};
use tokio::process::Command;

use super::Made;

/// How Debian's compiler, which is what the set-up installs, builds for a target whose standard library
/// comes as source.
const DEBIAN: [(&str, &str); 4] = [
    ("RUSTC", "/usr/bin/rustc"),
    ("RUSTC_BOOTSTRAP", "1"),
    ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort"),
    (
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "-C link-self-contained=no -L/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-22 \
         -C link-arg=/usr/lib/wasm32-wasi/crt1-command.o",
    ),
];

/// Has a command use the user's own compiler if that has the target, else Debian's.
async fn with_compiler(command: &mut Command) {
    let sysroot = run(program("rustc").args(["--print", "sysroot"])).await;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-wasip2").is_dir() {
        return;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.envs(DEBIAN).env("PATH", format!("/usr/bin:{path}"));
}

#[tokio::test]
async fn http_in_rust() {
    let made = Made::new("http-rust", &[]).await;
    let app = Manifest::load(&made.folder(), None).unwrap();
    let build = app.components.values().find_map(|it| it.build.as_ref()).unwrap();
    let folder = made.folder().join(build.workdir.as_ref().unwrap());
    // What is built of the libraries is kept.
    let kept = workspace().join("target/guest-build/templates");
    fs::create_dir_all(&kept).unwrap();
    symlink(kept, folder.join("target")).unwrap();
    for words in &build.commands {
        let mut shell = program("sh");
        shell.arg("-c").arg(words).current_dir(&folder);
        for ours in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CARGO_TARGET_DIR",
            "CARGO",
            "RUSTUP_TOOLCHAIN",
        ] {
            shell.env_remove(ours);
        }
        with_compiler(&mut shell).await;
        // The standard library takes longer than a program may.
        let built = shell.output().await.unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    made.does_as_its_readme_says().await;
}
