//! Debian's packages: the WebAssembly compilers for Rust and C, and the clients of the tests.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::progress;
use crate::process::{answer, find, run_quietly};

const PACKAGES: &[&str] = &[
    // Dayfly's own C dependencies.
    "gcc",
    "libc6-dev",
    // The fuzz targets: libFuzzer is C++.
    "g++",
    // Guests in Rust: a compiler with sources of its standard library, and the linker.
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
    // Guests in C.
    "clang-22",
    "libclang-rt-22-dev-wasm32",
    "wasi-libc",
    // Guests in Python, and the packages that PyPI brings.
    "python3-venv",
    // Clients of the end-to-end tests.
    "chromium",
    "curl",
    "nghttp2-client",
    "openssl",
    "wrk",
    // Counts instructions.
    "valgrind",
];

pub fn install() -> Result<()> {
    // One question for all of them, since it is the usual case.
    if are_installed(PACKAGES) {
        return Ok(());
    }
    let missing: Vec<&str> =
        PACKAGES.iter().copied().filter(|name| !are_installed(&[name])).collect();
    if find("apt-get").is_none() {
        bail!("this set-up knows Debian's apt-get only; install by hand: {}", missing.join(" "));
    }
    progress(&format!("installing Debian packages: {}", missing.join(" ")));
    run_quietly(apt_get()?.arg("update"))?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run_quietly(apt_get()?.args(install).args(&missing)).context(
        "failed to install Debian packages (Debian 12 or later, with its security updates)",
    )
}

fn are_installed(names: &[&str]) -> bool {
    let states = answer(Command::new("dpkg-query").args(["-W", "-f=${Status}\n"]).args(names));
    states.is_some_and(|states| states.lines().all(|state| state.ends_with(" installed")))
}

/// `apt-get`, through sudo unless this is root already.
fn apt_get() -> Result<Command> {
    let user = answer(Command::new("id").arg("-u")).unwrap_or_default();
    let mut command = match (user.trim(), find("sudo")) {
        ("0", _) => Command::new("env"),
        (_, Some(sudo)) => {
            let mut command = Command::new(sudo);
            command.arg("env");
            command
        }
        (_, None) => bail!("installing Debian packages needs root, and there is no `sudo`"),
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    Ok(command)
}
