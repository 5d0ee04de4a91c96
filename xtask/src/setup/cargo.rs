//! Programs that cargo installs: the test runner, the judge of dependencies, what makes the
//! bindings of guests in C, and an S3 server.
//! They are compiled, which takes minutes, and only where they are missing; what they have in common
//! is compiled once.

use std::process::Command;

use anyhow::Result;

use super::progress;
use crate::process::{answer, cargo, run_quietly};
use crate::tree::{Tree, remove_folder};

struct Program {
    package: &'static str,
    /// How it is asked for its version.
    name: Name,
    /// Fixed where what it does decides what guests become or what tests see.
    version: Option<&'static str>,
    /// What `cargo install` is told besides.
    features: &'static [&'static str],
}

/// A command of cargo's, installed for whoever works here, or a program under `target/tools`.
enum Name {
    Verb(&'static str),
    Tool(&'static str),
}

const PROGRAMS: &[Program] = &[
    Program { package: "cargo-nextest", name: Name::Verb("nextest"), version: None, features: &[] },
    Program { package: "cargo-deny", name: Name::Verb("deny"), version: None, features: &[] },
    Program {
        package: "wit-bindgen-cli",
        name: Name::Tool("wit-bindgen"),
        version: Some("0.63.0"),
        features: &["--no-default-features", "--features", "c"],
    },
    // It checks signatures.
    Program {
        package: "s3s-fs",
        name: Name::Tool("s3s-fs"),
        version: Some("0.14.1"),
        features: &["--features", "binary"],
    },
];

pub fn install(tree: &Tree) -> Result<()> {
    for program in PROGRAMS.iter().filter(|program| !program.is_installed(tree)) {
        progress(&format!("compiling {}, which takes some minutes", program.package));
        run_quietly(&mut program.installation(tree))?;
    }
    remove_folder(&tree.cargo_scratch())
}

impl Program {
    fn is_installed(&self, tree: &Tree) -> bool {
        let found = match self.name {
            Name::Verb(verb) => answer(cargo().args([verb, "--version"])),
            Name::Tool(name) => answer(Command::new(tree.cargo_program(name)).arg("--version")),
        };
        found.is_some_and(|found| found.contains(self.version.unwrap_or_default()))
    }

    fn installation(&self, tree: &Tree) -> Command {
        let mut install = cargo();
        install.args(["install", "--locked", self.package]).args(self.features);
        if let Some(version) = self.version {
            install.args(["--version", version]);
        }
        // None of them works for long: making them fast would take longer than that saves. Servers are asked a lot.
        let opt_level = match self.name {
            Name::Verb(_) => "0",
            Name::Tool(_) => {
                install.arg("--root").arg(tree.cargo_programs());
                "1"
            }
        };
        install.env("CARGO_TARGET_DIR", tree.cargo_scratch());
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level);
        install.env("CARGO_PROFILE_RELEASE_LTO", "off");
        install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        install.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        install
    }
}
