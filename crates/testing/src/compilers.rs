//! The compilers of the set-up, as the build commands of templates call them.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::workspace;

/// By the names that they have elsewhere.
const COMPILERS: [(&str, &str); 3] = [
    ("clang", "/usr/bin/clang-22"),
    ("go", "target/tools/venv/bin/go"),
    ("zig", "target/tools/venv/bin/python-zig"),
];

/// How Debian's compiler of Rust builds for a target whose standard library comes as source. The profile is that
/// of `guests/.cargo/config.toml`, so that the standard library is there already.
const RUST: [(&str, &str); 8] = [
    ("RUSTC", "/usr/bin/rustc"),
    ("RUSTC_BOOTSTRAP", "1"),
    ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];

/// How guests are linked (`xtask/src/guests/rust.rs`), but for the linker's path.
const LINKED: &str = "-C link-self-contained=no -L/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=";

/// A folder of compilers that comes before all others, while this is there.
pub struct Compilers(TempDir);

impl Compilers {
    /// Those of `cargo xtask setup`.
    ///
    /// # Panics
    /// If one is missing.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, path) in COMPILERS {
            let path = workspace().join(path);
            assert!(path.is_file(), "`{}` is missing: run `cargo xtask setup`", path.display());
            symlink(path, folder.path().join(name)).unwrap();
        }
        if !has_rust_target() {
            symlink("/usr/bin/cargo", folder.path().join("cargo")).unwrap();
        }
        Self(folder)
    }

    /// What a build command's environment has of them. Rust is built by the user's own compiler if
    /// that has the target, else by Debian's.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut path = self.0.path().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut all = vec![("PATH".into(), path)];
        if self.0.path().join("cargo").exists() {
            all.extend(RUST.map(|(name, value)| (name.into(), value.into())));
            let flags = format!("{LINKED}{}", workspace().join("guests/wasm-ld").display());
            all.push(("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS".into(), flags.into()));
        }
        all
    }

    /// What of this process's environment would lead a build command elsewhere: tests are run by cargo.
    pub const OURS: [&str; 5] =
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR", "CARGO"];
}

impl Default for Compilers {
    fn default() -> Self {
        Self::new()
    }
}

fn has_rust_target() -> bool {
    let printed = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = printed.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    sysroot.is_ok_and(|it| Path::new(&it).join("lib/rustlib/wasm32-wasip2").is_dir())
}
