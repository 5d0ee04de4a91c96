//! Debian's packages: the WebAssembly compilers for Rust and C, the clients of the tests, and the
//! servers that they start.

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
    "faketime",
    "nghttp2-client",
    "openssl",
    "skopeo",
    "wrk",
    // Servers that the end-to-end tests start, each with a folder and a port of its own.
    "docker-registry",
    "mariadb-server-core",
    "mosquitto",
    "mosquitto-clients",
    "nats-server",
    "pebble",
    "postgresql",
    "redis-server",
    // Loads apps for the tests of scripts, and is what they are measured beside.
    "bundler",
    "ruby",
    // Checks metrics.
    "prometheus",
    // Counts instructions.
    "valgrind",
];

/// Installs packages, and lets none of them start a service meanwhile: the tests start their own.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
fi
apt-get --quiet install --yes --no-install-recommends "$@"
"#;

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
    run_quietly(as_root()?.args(["apt-get", "--quiet", "update"]))?;
    run_quietly(as_root()?.args(["sh", "-c", INSTALL, "sh"]).args(&missing)).context(
        "failed to install Debian packages (Debian 12 or later, with its security updates)",
    )
}

fn are_installed(names: &[&str]) -> bool {
    let states = answer(Command::new("dpkg-query").args(["-W", "-f=${Status}\n"]).args(names));
    states.is_some_and(|states| states.lines().all(|state| state.ends_with(" installed")))
}

/// What runs a program as root, through sudo unless this is root already.
fn as_root() -> Result<Command> {
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
    command.arg("DEBIAN_FRONTEND=noninteractive");
    Ok(command)
}
