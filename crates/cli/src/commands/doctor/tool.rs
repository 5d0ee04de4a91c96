//! The programs that apps are built with: what for, how they tell their version, and by which command each
//! is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of a version is shown.
const SHOWN: usize = 60;

/// A program that builds components.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Whose apps need it.
    pub(super) of: &'static str,
    /// What makes it tell its version.
    version: &'static [&'static str],
    install: Install,
}

/// By which command it is installed.
enum Install {
    /// The same everywhere.
    By(&'static str),
    /// By the system's packages: of Debian, Fedora, Arch, and Homebrew; nothing where there is none.
    Packages([&'static str; 4]),
}

/// The target for which Rust's standard library has to be there.
pub(super) const RUST_TARGET: &str = "wasm32-wasip2";

use Install::{By, Packages};

/// All that are known.
pub(super) const TOOLS: &[Tool] = &[
    tool(
        "cargo",
        "Rust",
        &["--version"],
        Packages([
            "rustup && rustup default stable",
            "rustup && rustup-init -y",
            "rustup && rustup default stable",
            "rustup && rustup default stable",
        ]),
    ),
    tool(RUST_TARGET, "Rust", &[], By("rustup target add wasm32-wasip2")),
    tool(
        "node",
        "JavaScript and AssemblyScript",
        &["--version"],
        Packages(["nodejs", "nodejs", "nodejs", "node"]),
    ),
    tool(
        "npm",
        "JavaScript and AssemblyScript",
        &["--version"],
        Packages(["npm", "nodejs-npm", "npm", "node"]),
    ),
    tool(
        "jco",
        "JavaScript as a component",
        &["--version"],
        By("npm install -g @bytecodealliance/jco @bytecodealliance/componentize-js"),
    ),
    tool("python3", "Python", &["--version"], Packages(["python3", "python3", "python", "python"])),
    tool(
        "pip",
        "Python",
        &["--version"],
        Packages(["python3-pip", "python3-pip", "python-pip", "python"]),
    ),
    tool(
        "componentize-py",
        "Python as a component",
        &["--version"],
        By("pip install componentize-py"),
    ),
    tool("go", "Go", &["version"], Packages(["golang", "golang", "go", "go"])),
    tool(
        "tinygo",
        "Go",
        &["version"],
        Packages(["", "tinygo", "tinygo", "tinygo-org/tools/tinygo"]),
    ),
    tool(
        "clang",
        "C",
        &["--version"],
        Packages([
            "clang lld wasi-libc libclang-rt-dev-wasm32",
            "clang lld wasi-libc-devel compiler-rt",
            "clang lld wasi-libc wasi-compiler-rt",
            "llvm lld wasi-libc",
        ]),
    ),
    tool("zig", "Zig", &["version"], Packages(["", "zig", "zig", "zig"])),
    tool(
        "wasm-tools",
        "components by hand",
        &["--version"],
        By("cargo install --locked wasm-tools"),
    ),
];

const fn tool(
    name: &'static str,
    of: &'static str,
    version: &'static [&'static str],
    install: Install,
) -> Tool {
    Tool { name, of, version, install }
}

impl Tool {
    /// The one of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Its version, or only that it is there; nothing if it is not.
    pub(super) fn found(&self) -> Option<String> {
        if self.name == RUST_TARGET {
            let sysroot = first_line("rustc", &["--print", "sysroot"])?;
            let there = Path::new(&sysroot).join("lib/rustlib").join(RUST_TARGET);
            return there.is_dir().then(|| "installed".to_owned());
        }
        in_path(self.name)?;
        Some(first_line(self.name, self.version).unwrap_or_else(|| "there".to_owned()))
    }

    /// The command that installs it here.
    pub(super) fn install(&self) -> String {
        let packages = match &self.install {
            By(command) => return (*command).to_owned(),
            Packages(packages) => packages,
        };
        let (i, command) = package_manager();
        match (packages[i], self.name) {
            ("", "zig") => {
                "pip install ziglang && ln -s \"$(command -v python-zig)\" ~/.local/bin/zig"
                    .to_owned()
            }
            ("", name) => format!("see https://{name}.org"),
            (package, _) => format!("{command} {package}"),
        }
    }
}

/// Which of a tool's packages are this system's, and what installs them.
fn package_manager() -> (usize, &'static str) {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let ids = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    let ids: Vec<&str> = ids.flat_map(|ids| ids.trim_matches('"').split(' ')).collect();
    let is = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    match () {
        () if is(&["debian", "ubuntu"]) => (0, "apt-get install"),
        () if is(&["fedora", "rhel"]) => (1, "dnf install"),
        () if is(&["arch"]) => (2, "pacman -S"),
        () => (3, "brew install"),
    }
}

/// Where a program is that can be run by its name.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&folders).map(|folder| folder.join(program));
    files.into_iter().find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

/// The first line that a program prints, if it ends well and in time.
fn first_line(program: &str, words: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if began.elapsed() > PATIENCE => {
                // It may end by itself just now.
                let _ = child.kill();
                break child.wait().ok()?;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    let line = dayfly_host::printable(&line[..line.floor_char_boundary(SHOWN)]).into_owned();
    (status.success() && !line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_says_how_it_is_installed() {
        for tool in TOOLS {
            assert!(tool.install().split_whitespace().count() >= 2, "{}", tool.name);
            assert!(Tool::named(tool.name).is_some());
        }
    }

    #[test]
    fn a_program_is_asked_and_not_waited_for() {
        assert_eq!(first_line("echo", &["one"]).as_deref(), Some("one"));
        assert_eq!(first_line("false", &[]), None);
        assert_eq!(first_line("no-such-program", &[]), None);
        assert!(in_path("sh").is_some() && in_path("no-such-program").is_none());
    }
}
